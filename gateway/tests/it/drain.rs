//! The way down.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};

use crate::support::{
    Endpoint, Running, config, connect, empty, get, next, piecewise, request, routes, soon, text, whole,
};

#[tokio::test]
async fn requests_under_way_finish_and_nothing_new_is_taken() {
    let (arrived, mut arrivals) = mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
    let endpoint = Endpoint::start(move |_| {
        let arrived = arrived.clone();
        async move {
            let (go, wait) = tokio::sync::oneshot::channel();
            arrived.send(go).await.unwrap();
            wait.await.unwrap();
            Response::new(text("finished"))
        }
    })
    .await;
    let mut gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    let mut client = connect(gateway.service).await;
    let answer = tokio::spawn(client.send_request(request(Method::GET, "/", &[], empty())));
    let go = soon("the request at the endpoint", arrivals.recv()).await.unwrap();
    let idle = connect(gateway.service).await;

    gateway.shutdown.begin();
    soon("readiness to go", async { while get(gateway.admin, "/readyz", &[]).await.status != 503 {} }).await;
    soon("the listener to close", async { while TcpStream::connect(gateway.service).await.is_ok() {} }).await;
    soon("idle connections to close", async {
        while !idle.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!gateway.task.is_finished());

    go.send(()).unwrap();
    let got = whole(soon("the answer", answer).await.unwrap().unwrap()).await;
    assert_eq!((got.body.as_str(), got.header("connection")), ("finished", "close"));
    soon("the end", &mut gateway.task).await.unwrap().unwrap();
}

/// An endpoint whose streams say one thing and do not end.
async fn endless() -> Endpoint {
    Endpoint::start(|_| async {
        let (feed, body) = piecewise();
        feed.send(Ok(Bytes::from_static(b"data: 1\n\n"))).await.unwrap();
        tokio::spawn(async move { feed.closed().await });
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    })
    .await
}

#[tokio::test]
async fn streams_are_cut_when_the_grace_is_over() {
    let endpoint = endless().await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[endpoint.spec()])]));
    config.drain_grace = Duration::from_millis(100);
    let mut gateway = Running::with(config).await;
    let mut client = connect(gateway.service).await;
    let mut response = client.send_request(request(Method::GET, "/", &[], empty())).await.unwrap();
    next(response.body_mut()).await.unwrap().unwrap();
    gateway.shutdown.begin();
    assert!(next(response.body_mut()).await.unwrap().is_err(), "cut, not ended");
    soon("the end", &mut gateway.task).await.unwrap().unwrap();
    crate::support::until("the endpoint to be left", || {
        endpoint.connections.load(std::sync::atomic::Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn streams_are_cut_one_by_one_over_the_grace() {
    const STREAMS: usize = 64;
    const GRACE: Duration = Duration::from_secs(2);
    let endpoint = endless().await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[endpoint.spec()])]));
    config.drain_grace = GRACE;
    let mut gateway = Running::with(config).await;
    let mut clients = tokio::task::JoinSet::new();
    let (opened, mut open) = mpsc::channel(STREAMS);
    for _ in 0..STREAMS {
        let (service, opened) = (gateway.service, opened.clone());
        clients.spawn(async move {
            let mut client = connect(service).await;
            let mut response = client.send_request(request(Method::GET, "/", &[], empty())).await.unwrap();
            next(response.body_mut()).await.unwrap().unwrap();
            opened.send(()).await.unwrap();
            assert!(next(response.body_mut()).await.unwrap().is_err(), "cut, not ended");
            Instant::now()
        });
    }
    for _ in 0..STREAMS {
        soon("a stream", open.recv()).await.unwrap();
    }
    let begun = Instant::now();
    gateway.shutdown.begin();
    let mut cut: Vec<Duration> = clients.join_all().await.into_iter().map(|at| at - begun).collect();
    cut.sort_unstable();
    // Of 64 moments spread evenly none is in the first quarter once in 10^8 runs, and so is none in the second.
    assert!(cut[0] < GRACE / 4, "the first of {STREAMS} streams was cut after {:?}", cut[0]);
    assert!(cut.iter().any(|at| (GRACE / 4..GRACE / 2).contains(at)), "{cut:?}");
    soon("the end", &mut gateway.task).await.unwrap().unwrap();
}
