//! Bodies flow while they are made, both ways, and a break on one side is a break on the other.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::support::{
    Endpoint, Running, connect, empty, get, metric, next, nowhere, piecewise, post, request, routes, send,
    soon, spec, text, until, whole,
};

type Feed = mpsc::Sender<std::io::Result<Bytes>>;

/// An endpoint whose answers are event streams that the test feeds.
async fn streams() -> (Endpoint, mpsc::Receiver<Feed>) {
    let (opened, feeds) = mpsc::channel(16);
    let endpoint = Endpoint::start(move |_| {
        let opened = opened.clone();
        async move {
            let (feed, body) = piecewise();
            opened.send(feed).await.unwrap();
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    })
    .await;
    (endpoint, feeds)
}

async fn one_route(endpoint: &Endpoint) -> Running {
    Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let (endpoint, mut feeds) = streams().await;
    let gateway = one_route(&endpoint).await;
    let response = send(gateway.service, request(Method::GET, "/api/fund-events/c1", &[], empty())).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let feed = soon("the stream at the endpoint", feeds.recv()).await.unwrap();
    let mut body = response.into_body();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        feed.send(Ok(event.clone().into())).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), event);
    }
    assert_eq!(metric(gateway.admin, "fund_gateway_streams_open{route=\"a\"}").await, Some(1.0));
    drop(feed);
    assert!(next(&mut body).await.is_none());
    assert_eq!(metric(gateway.admin, "fund_gateway_streams_open{route=\"a\"}").await, Some(0.0));
    let out = "fund_gateway_bytes_total{route=\"a\",direction=\"out\"}";
    assert_eq!(metric(gateway.admin, out).await, Some(45.0));
}

#[tokio::test]
async fn the_first_piece_of_an_upload_arrives_before_the_last_is_sent() {
    let (seen, mut pieces) = mpsc::channel::<Bytes>(16);
    let endpoint = Endpoint::start(move |request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                seen.send(frame.into_data().unwrap()).await.unwrap();
            }
            Response::new(text("done"))
        }
    })
    .await;
    let gateway = one_route(&endpoint).await;
    let (feed, body) = piecewise();
    let mut client = connect(gateway.service).await;
    let answer = tokio::spawn(client.send_request(request(Method::POST, "/", &[], body)));
    for piece in ["one", "two", "three"] {
        feed.send(Ok(piece.into())).await.unwrap();
        assert_eq!(soon("the piece", pieces.recv()).await.unwrap(), piece);
    }
    drop(feed);
    let got = whole(soon("the answer", answer).await.unwrap().unwrap()).await;
    assert_eq!(got.body, "done");
    assert_eq!(
        metric(gateway.admin, "fund_gateway_bytes_total{route=\"a\",direction=\"in\"}").await,
        Some(11.0)
    );
}

#[tokio::test]
async fn a_body_passes_unchanged_and_with_its_length() {
    let endpoint = Endpoint::start(|request| async move {
        let length = request.headers().get("content-length").cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut answer = Response::new(text(body));
        answer.headers_mut().insert("x-length", length.unwrap());
        answer
    })
    .await;
    let gateway = one_route(&endpoint).await;
    let sent = "abcdefghijklmnopqrstuvwxyz0123".repeat(10_000);
    let got = post(gateway.service, "/", &[], text(sent.clone())).await;
    assert_eq!((got.header("x-length"), got.header("content-length")), ("300000", "300000"));
    assert!(got.body == sent);
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let endpoint = Endpoint::start(|_| async { Response::new(text("twelve bytes")) }).await;
    let gateway = one_route(&endpoint).await;
    for _ in 0..3 {
        let got = whole(send(gateway.service, request(Method::HEAD, "/", &[], empty())).await).await;
        assert_eq!((got.status, got.header("content-length"), got.body.as_str()), (200, "12", ""));
    }
    assert_eq!(endpoint.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_ends_it_at_the_endpoint() {
    let (endpoint, mut feeds) = streams().await;
    let gateway = one_route(&endpoint).await;
    let mut client = connect(gateway.service).await;
    let asked = request(Method::GET, "/", &[], empty());
    let mut response = soon("the answer", client.send_request(asked)).await.unwrap();
    let feed = soon("the stream at the endpoint", feeds.recv()).await.unwrap();
    feed.send(Ok("data: 1\n\n".into())).await.unwrap();
    next(response.body_mut()).await.unwrap().unwrap();
    drop((client, response));
    // Nothing more is written: the break itself is passed on.
    soon("the end at the endpoint", feed.closed()).await;
    until("the connection to close", || endpoint.connections.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels_the_request() {
    let dropped = Arc::new(Mutex::new(None::<tokio::sync::oneshot::Sender<()>>));
    let (told, cancelled) = tokio::sync::oneshot::channel::<()>();
    *dropped.lock().unwrap() = Some(told);
    let endpoint = Endpoint::start(move |_| {
        let held = dropped.lock().unwrap().take();
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Response::new(empty())
        }
    })
    .await;
    let gateway = one_route(&endpoint).await;
    let mut client = connect(gateway.service).await;
    let answer = tokio::spawn(client.send_request(request(Method::GET, "/", &[], empty())));
    until("the request at the endpoint", || endpoint.hits() == 1).await;
    answer.abort();
    drop(client);
    assert!(soon("the cancellation", cancelled).await.is_err());
}

#[tokio::test]
async fn a_stream_that_breaks_off_at_the_endpoint_does_not_end_cleanly_at_the_client() {
    let (endpoint, mut feeds) = streams().await;
    let gateway = one_route(&endpoint).await;
    let mut response = send(gateway.service, request(Method::GET, "/", &[], empty())).await;
    let feed = soon("the stream at the endpoint", feeds.recv()).await.unwrap();
    feed.send(Ok("data: 1\n\n".into())).await.unwrap();
    next(response.body_mut()).await.unwrap().unwrap();
    feed.send(Err(std::io::Error::other("killed"))).await.unwrap();
    assert!(next(response.body_mut()).await.unwrap().is_err());
}

#[tokio::test]
async fn connections_to_an_endpoint_are_used_again() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let gateway = one_route(&endpoint).await;
    let mut client = connect(gateway.service).await;
    for _ in 0..20 {
        let asked = request(Method::GET, "/", &[], empty());
        assert_eq!(whole(client.send_request(asked).await.unwrap()).await.status, 200);
    }
    assert_eq!((endpoint.hits(), endpoint.connections.load(SeqCst)), (20, 1));
}

#[tokio::test]
async fn a_stream_request_is_never_shed_with_an_error() {
    let gone = nowhere().await;
    let mut config = crate::support::config(&routes(1, &[("a", ", default: true", &[spec(gone, gone)])]));
    config.first_sync_wait = Duration::ZERO;
    let gateway = Running::with(config).await;
    let accept = [("accept", "text/html, text/event-stream;q=0.9")];
    for (target, headers) in
        [("/api/fund-events/c1", &[][..]), ("/api/fund-events", &[]), ("/api/sse/connect/u1", &accept)]
    {
        let got = get(gateway.service, target, headers).await;
        assert_eq!((got.status, got.header("content-type")), (200, "text/event-stream"), "{target}");
        assert_eq!(got.header("cache-control"), "no-store, no-transform");
        assert!(
            got.body.starts_with("retry: ") && got.body.ends_with(": no-ready-endpoint\n\n"),
            "{}",
            got.body
        );
    }
    get(gateway.service, "/api/fund-eventsx", &[]).await.is_problem(503, "no-ready-endpoint");
    assert_eq!(metric(gateway.admin, "fund_gateway_streams_shed_total{route=\"a\"}").await, Some(3.0));
}
