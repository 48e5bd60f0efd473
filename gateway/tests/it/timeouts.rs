//! Each of the four times has an end of its own, and none of them is a total.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::Instant,
};

use crate::support::{
    Body, Endpoint, Running, config, empty, get, next, piecewise, request, routes, send, soon, spec, text,
    whole,
};

/// Short enough for a test, long enough for a busy machine to do in time what is not late.
const SHORT: Duration = Duration::from_millis(300);

async fn with_timeouts(endpoint: &Endpoint, timeouts: &str) -> Running {
    let table = routes(1, &[("a", ", default: true", &[endpoint.spec()])]);
    Running::on(&table.replace("  endpoints", &format!("  timeouts: {{{timeouts}}}\n  endpoints"))).await
}

/// A listener whose queue is full: a connection to it neither succeeds nor fails.
async fn full_queue() -> (tokio::net::TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

#[tokio::test]
async fn a_connection_that_is_not_taken_is_a_504_in_time() {
    let probed = Endpoint::echo("pod-a-1").await;
    let (_listener, _waiting, address) = full_queue().await;
    let table = routes(1, &[("a", ", default: true", &[spec(address, probed.admin)])])
        .replace("  endpoints", "  timeouts: {connect: 300ms}\n  endpoints");
    let gateway = Running::on(&table).await;
    let begun = Instant::now();
    get(gateway.service, "/", &[]).await.is_problem(504, "connect-timeout");
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn three_connections_that_are_not_taken_are_enough() {
    let well = Endpoint::echo("pod-a-4").await;
    let dead = [full_queue().await, full_queue().await, full_queue().await];
    let mut endpoints: Vec<_> = dead.iter().map(|(_, _, address)| spec(*address, well.admin)).collect();
    endpoints.push(well.spec());
    let table = routes(1, &[("a", ", default: true", &endpoints)])
        .replace("  endpoints", "  timeouts: {connect: 300ms}\n  endpoints");
    let gateway = Running::on(&table).await;
    get(gateway.service, "/", &[]).await.is_problem(504, "connect-timeout");
    assert_eq!(well.hits(), 0, "nobody waits for a fourth");
    assert_eq!(get(gateway.service, "/", &[]).await.status, 200, "and the three are known");
}

#[tokio::test]
async fn an_endpoint_that_fell_silent_is_asked_once() {
    let hangs = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let known = hangs.clone();
    let endpoint = Endpoint::start(move |_| {
        let hangs = known.load(SeqCst);
        async move { if hangs { std::future::pending().await } else { Response::new(text("well")) } }
    })
    .await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[endpoint.spec()])]));
    config.probe_interval = Duration::from_mins(1);
    let gateway = Running::with(config).await;
    assert_eq!(get(gateway.service, "/", &[]).await.body, "well");
    // Over the connection of before, which says nothing by being idle.
    hangs.store(true, SeqCst);
    endpoint.silent.store(true, SeqCst);
    get(gateway.service, "/", &[]).await.is_problem(504, "endpoint-silent");
    assert_eq!(endpoint.hits(), 2);
}

#[tokio::test]
async fn a_client_that_pauses_in_its_upload_is_a_408() {
    let endpoint = Endpoint::start(|request| async move {
        let _ = request.into_body().collect().await;
        Response::new(text("done"))
    })
    .await;
    let gateway = with_timeouts(&endpoint, "requestBody: 300ms, responseHeaders: 100ms").await;
    let (feed, body) = piecewise();
    feed.send(Ok("first".into())).await.unwrap();
    let got = whole(send(gateway.service, request(Method::POST, "/", &[], body)).await).await;
    got.is_problem(408, "request-body-timeout");
}

#[tokio::test]
async fn an_upload_may_take_longer_than_any_timeout_while_it_moves() {
    let endpoint = Endpoint::start(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(text(body))
    })
    .await;
    let gateway = with_timeouts(&endpoint, "requestBody: 300ms, responseHeaders: 300ms").await;
    let (feed, body) = piecewise();
    let feeding = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(60));
        for _ in 0..12 {
            beat.tick().await;
            feed.send(Ok(Bytes::from_static(b"x"))).await.unwrap();
        }
    });
    let got = whole(send(gateway.service, request(Method::POST, "/", &[], body)).await).await;
    assert_eq!((got.status, got.body.as_str()), (200, "xxxxxxxxxxxx"));
    feeding.await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_a_504_and_is_left() {
    let endpoint = Endpoint::start(|_| std::future::pending::<Response<Body>>()).await;
    let gateway = with_timeouts(&endpoint, "responseHeaders: 300ms").await;
    for body in [empty(), text("whole")] {
        let got = whole(send(gateway.service, request(Method::POST, "/", &[], body)).await).await;
        got.is_problem(504, "response-timeout");
    }
    crate::support::until("connections to close", || {
        endpoint.connections.load(std::sync::atomic::Ordering::SeqCst) == 0
    })
    .await;
    assert_eq!(endpoint.hits(), 2);
}

// A machine that is gone closes nothing: a client that opens a stream would wait a minute.
#[tokio::test]
async fn a_request_that_may_be_sent_twice_leaves_an_endpoint_that_answers_nobody_any_more() {
    let hangs = Endpoint::start(|_| std::future::pending::<Response<Body>>()).await;
    let well = Endpoint::echo("pod-a-2").await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[hangs.spec(), well.spec()])]));
    // Its probes have not noticed yet.
    config.probe_interval = Duration::from_mins(1);
    let gateway = Running::with(config).await;
    hangs.silent.store(true, SeqCst);
    // The first turn is the hanging one's.
    assert_eq!(get(gateway.service, "/", &[]).await.json()["name"], "pod-a-2");
    assert_eq!((hangs.hits(), well.hits()), (1, 1));
    crate::support::until("its connection to close", || hangs.connections.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn an_endpoint_that_takes_its_time_and_lives_is_waited_for() {
    let (probed, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::OnceLock::new()));
    let (known, asked) = (seen.clone(), probed.clone());
    let slow = Endpoint::start(move |_| {
        let (known, asked) = (known.clone(), asked.clone());
        async move {
            let probes: &Arc<AtomicUsize> = known.get().unwrap();
            let before = probes.load(SeqCst);
            crate::support::until("three questions", || probes.load(SeqCst) >= before + 3).await;
            asked.store(probes.load(SeqCst) - before, SeqCst);
            Response::new(text("at last"))
        }
    })
    .await;
    seen.set(slow.probes.clone()).unwrap();
    let well = Endpoint::echo("pod-a-2").await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[slow.spec(), well.spec()])]));
    config.probe_interval = Duration::from_mins(1);
    let gateway = Running::with(config).await;
    // It drains: it says so, and answers what it has taken.
    slow.ready.store(false, SeqCst);
    assert_eq!(get(gateway.service, "/", &[]).await.body, "at last");
    assert_eq!((probed.load(SeqCst), well.hits()), (3, 0));
}

#[tokio::test]
async fn an_endpoint_that_does_not_read_an_upload_is_a_504() {
    // Nothing reads: the sockets' buffers fill up, and the endpoint is the one who is waited for.
    let endpoint = Endpoint::start(|request| async move {
        let _unread = request;
        std::future::pending::<Response<Body>>().await
    })
    .await;
    let gateway = with_timeouts(&endpoint, "requestBody: 300ms, responseHeaders: 300ms").await;
    let body = text(vec![b'x'; 7 * 1024 * 1024]);
    let got = whole(send(gateway.service, request(Method::POST, "/", &[], body)).await).await;
    got.is_problem(504, "response-timeout");
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_cut_and_one_that_beats_is_not() {
    let endpoint = Endpoint::start(|_| async {
        let (feed, body) = piecewise();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(60));
            for _ in 0..12 {
                beat.tick().await;
                if feed.send(Ok(Bytes::from_static(b"x"))).await.is_err() {
                    return;
                }
            }
            // Open and silent until the gateway has had enough.
            feed.closed().await;
        });
        Response::new(body)
    })
    .await;
    let gateway = with_timeouts(&endpoint, "idle: 300ms").await;
    let begun = Instant::now();
    let mut body = send(gateway.service, request(Method::GET, "/", &[], empty())).await.into_body();
    let mut received = String::new();
    let broken = loop {
        match next(&mut body).await {
            Some(Ok(piece)) => received += &piece,
            other => break other,
        }
    };
    // Twelve beats last more than twice the timeout; the silence after them is one.
    assert_eq!(received.len(), 12);
    assert!(matches!(broken, Some(Err(_))), "a silent stream must not end as if it were whole");
    assert!(begun.elapsed() >= Duration::from_millis(660) + SHORT);
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_an_endpoint_that_is_silent() {
    let big = 6 * 1024 * 1024;
    let endpoint = Endpoint::start(move |_| async move { Response::new(text(vec![b'x'; big])) }).await;
    let gateway = with_timeouts(&endpoint, "idle: 100ms").await;
    let mut client = TcpStream::connect(gateway.service).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 512 * 1024];
    let mut pause = tokio::time::interval(Duration::from_millis(60));
    soon("the end of the answer", async {
        loop {
            let read = client.read(&mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            received += read;
            if received < big / 2 {
                // Back pressure: longer than the timeout passes before the endpoint may go on.
                pause.tick().await;
                pause.tick().await;
                pause.tick().await;
            }
        }
    })
    .await;
    assert!(received > big, "{received}");
}
