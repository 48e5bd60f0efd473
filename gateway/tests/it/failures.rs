//! What happens when endpoints or clients misbehave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    Endpoint, Running, config, empty, get, metric, nowhere, piecewise, post, request, routes, send, soon,
    spec, text, whole,
};

/// A server that reads a little of each connection, writes `answer`, and closes. Counts connections.
async fn rude(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_refused_connection_is_tried_on_another_endpoint_and_the_dead_one_is_left_out() {
    let alive = Endpoint::echo("pod-a-1").await;
    let half = Endpoint::echo("pod-b-1").await;
    let gone = nowhere().await;
    // Its probes succeed, so it is picked; nobody listens, so it is refused.
    let table = routes(1, &[("a", ", default: true", &[spec(gone, half.admin), alive.spec()])]);
    let mut config = config(&table);
    config.probe_interval = std::time::Duration::from_mins(1);
    let gateway = Running::with(config).await;
    for sent in 1..=4 {
        // A body is no obstacle: nothing of it was sent anywhere.
        let got = post(gateway.service, "/", &[], text("body")).await;
        assert_eq!((got.status, got.json()["name"].as_str()), (200, Some("pod-a-1")));
        assert_eq!(alive.hits(), sent);
    }
    let retries = metric(gateway.admin, "fund_gateway_connect_retries_total{route=\"a\"}").await;
    assert_eq!(retries, Some(1.0), "refused once, then known to be gone");
}

#[tokio::test]
async fn when_every_connection_is_refused_the_answer_is_502() {
    let half = Endpoint::echo("pod-b-1").await;
    let gone = nowhere().await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[spec(gone, half.admin)])]));
    config.probe_interval = std::time::Duration::from_mins(1);
    let gateway = Running::with(config).await;
    let got = get(gateway.service, "/", &[]).await;
    got.is_problem(502, "endpoint-unreachable");
    assert_eq!(got.header("x-routed-to"), "a");
    // Now it is known.
    get(gateway.service, "/", &[]).await.is_problem(503, "no-ready-endpoint");
}

#[tokio::test]
async fn a_request_without_a_body_is_repeated_once_where_that_is_safe() {
    let probed = Endpoint::echo("pod-a-1").await;
    let (closing, seen) = rude("").await;
    let table = routes(1, &[("a", ", default: true", &[spec(closing, probed.admin), probed.spec()])]);
    let gateway = Running::on(&table).await;
    // The first turn is the rude one's.
    assert_eq!(get(gateway.service, "/", &[]).await.json()["name"], "pod-a-1");
    assert_eq!((seen.load(SeqCst), probed.hits()), (1, 1));
    // A POST may have been acted on.
    post(gateway.service, "/", &[], empty()).await.is_problem(502, "endpoint-closed");
    assert_eq!((seen.load(SeqCst), probed.hits()), (2, 1));
}

#[tokio::test]
async fn an_endpoint_that_closes_on_a_new_connection_is_asked_once() {
    let probed = Endpoint::echo("pod-a-1").await;
    let (closing, seen) = rude("").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[spec(closing, probed.admin)])])).await;
    get(gateway.service, "/", &[]).await.is_problem(502, "endpoint-closed");
    assert_eq!(seen.load(SeqCst), 1);
}

/// Idle connections that were just closed say nothing of their endpoint, and one of them says enough of the others.
#[tokio::test]
async fn after_one_connection_that_was_closed_no_other_idle_one_is_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Two requests at a time make two connections, each of which answers once.
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let meeting = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (meets, waits) = (both.clone(), meeting.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (both, meeting) = (meets.clone(), waits.clone());
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                if meeting.load(SeqCst) {
                    both.wait().await;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    let probed = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[spec(address, probed.admin)])])).await;
    let (one, two) = tokio::join!(get(gateway.service, "/", &[]), get(gateway.service, "/", &[]));
    assert_eq!([one.status, two.status], [200, 200]);
    meeting.store(false, SeqCst);
    let again = get(gateway.service, "/", &[]).await;
    assert_eq!((again.status, again.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_body_that_has_begun_is_never_sent_twice() {
    let probed = Endpoint::echo("pod-a-1").await;
    let (closing, seen) = rude("").await;
    let table = routes(1, &[("a", ", default: true", &[spec(closing, probed.admin), probed.spec()])]);
    let gateway = Running::on(&table).await;
    let put = request(Method::PUT, "/", &[], text("body"));
    whole(send(gateway.service, put).await).await.is_problem(502, "endpoint-closed");
    assert_eq!((seen.load(SeqCst), probed.hits()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_502() {
    let probed = Endpoint::echo("pod-a-1").await;
    for answer in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let (address, _) = rude(answer).await;
        let gateway =
            Running::on(&routes(1, &[("a", ", default: true", &[spec(address, probed.admin)])])).await;
        get(gateway.service, "/", &[]).await.is_problem(502, "endpoint-invalid");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413_whether_announced_or_not() {
    let endpoint = Endpoint::start(|request| async move {
        let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
        Response::new(text(length.to_string()))
    })
    .await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[endpoint.spec()])]));
    config.max_body_bytes = 1000;
    let gateway = Running::with(config).await;
    let chunked = |length: usize| {
        let (feed, body) = piecewise();
        for piece in vec![b'x'; length].chunks(100) {
            feed.try_send(Ok(Bytes::copy_from_slice(piece))).unwrap();
        }
        body
    };
    let answer = post(gateway.service, "/", &[], text(vec![b'x'; 1000])).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "1000"));
    assert_eq!(post(gateway.service, "/", &[], chunked(1000)).await.body, "1000");
    let untouched = endpoint.hits();
    let announced = post(gateway.service, "/", &[], text(vec![b'x'; 1001])).await;
    announced.is_problem(413, "body-too-large");
    assert_eq!(endpoint.hits(), untouched);
    let found = post(gateway.service, "/", &[], chunked(1100)).await;
    found.is_problem(413, "body-too-large");
    for answer in [announced, found] {
        assert!(answer.body.contains("at most 1000 bytes"), "{}", answer.body);
    }
    let lines = [("content-type", "application/x-ndjson; charset=utf-8")];
    assert_eq!(post(gateway.service, "/api/sse/send", &lines, chunked(1500)).await.body, "1500");
    // The media type alone is no way around the limit.
    post(gateway.service, "/", &lines, chunked(1100)).await.is_problem(413, "body-too-large");
    post(gateway.service, "/api/sse/send", &[], chunked(1100)).await.is_problem(413, "body-too-large");
    let limited = metric(gateway.admin, "fund_gateway_limited_total{route=\"a\",limit=\"body\"}").await;
    assert_eq!(limited, Some(4.0));
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", "", &[endpoint.spec()])])).await;
    let body = vec![b'x'; 4 * 1024 * 1024];
    post(gateway.service, "/", &[], text(body)).await.is_problem(404, "unnamed-route");
}

#[tokio::test]
async fn a_head_that_hops_could_read_differently_is_refused_and_the_connection_closed() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(gateway.service).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("the end of the connection", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad-request-head"),
            "{head}: {answer}"
        );
    }
    assert_eq!(endpoint.hits(), 0);
}

#[tokio::test]
async fn a_client_of_http_1_0_is_served() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    let mut stream = TcpStream::connect(gateway.service).await.unwrap();
    stream.write_all(b"GET /x HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the end of the connection", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.contains(r#""host":"a""#), "{answer}");
}
