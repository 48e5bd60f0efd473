//! A server that loses, repeats or cuts is found out.

use std::{error::Error as _, net::Ipv4Addr, time::Duration};

use axum::{Router, body::Body, http::StatusCode, routing::post};
use bytes::Bytes;
use fundbond_bench::{
    client::Client,
    error::RunError,
    fleet::{Fleet, StreamError},
    verify::Violation,
};
use fundbond_protocol::{ConnectionId, Status, TaskEvent, TaskId, sse::Frame};
use futures::{StreamExt as _, stream};
use tokio::net::TcpListener;

fn frame(id: &str, event: &TaskEvent) -> Vec<u8> {
    let mut out = Vec::new();
    let json = event.to_json();
    let frame = Frame { id: Some(id), event: Some(event.status.as_str()), data: Some(&json) };
    frame.write(&mut out).unwrap();
    out
}

/// A stream that says what a task of two steps says, with these offsets.
fn told(offsets: [u64; 4]) -> Vec<u8> {
    let (now, task) = ("2026-01-01T00:00:00Z".parse().unwrap(), TaskId::parse("bench-0.0").unwrap());
    let connection = ConnectionId::parse("bench-0").unwrap();
    let mut bytes = frame("e.0", &TaskEvent::of_stream(&connection, 1, Status::CONNECTED, now));
    let step = |done| TaskEvent::of_task(&task, done, Status::SUBTASK_COMPLETED, now).with_progress(done, 2);
    let events = [
        TaskEvent::of_task(&task, "processing", Status::PROCESSING, now),
        step(1),
        step(2),
        TaskEvent::of_task(&task, "final", Status::COMPLETED, now).into_final(),
    ];
    for (offset, event) in offsets.iter().zip(&events) {
        bytes.extend(frame(&format!("e.{offset}"), event));
    }
    bytes
}

/// Runs a task on a stream of these bytes, which then ends or stays open.
async fn run(bytes: Vec<u8>, ends: bool) -> Result<u64, RunError> {
    let open = move || {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes.clone()))]);
        let rest = if ends { stream::empty().boxed() } else { stream::pending().boxed() };
        async move { Body::from_stream(first.chain(rest)) }
    };
    let router = Router::new()
        .route("/api/fund-events", post(open))
        .route("/api/fund-api", post(async || StatusCode::ACCEPTED));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = Client::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut fleet = Fleet::open(&client, 1, Some(2)).await?;
    let handle = fleet.handles()[0].clone();
    let load = async {
        handle.start(&client, Duration::ZERO).await?;
        handle.finish().await;
        if ends { std::future::pending().await } else { Ok(()) }
    };
    let result = fleet.during("one task", load).await;
    serving.abort();
    result.map(|()| fleet.seen().events())
}

#[tokio::test]
async fn an_honest_stream_passes() {
    assert_eq!(run(told([1, 2, 3, 4]), false).await.unwrap(), 4);
}

#[tokio::test]
async fn a_hole_and_a_repetition_end_the_run() {
    for offsets in [[1, 2, 4, 5], [1, 2, 2, 3], [2, 3, 4, 5]] {
        let error = run(told(offsets), false).await.unwrap_err();
        let RunError::Stream(StreamError::Violation { source, .. }) = &error else { panic!("{error:?}") };
        assert!(matches!(source, Violation::Offset { .. }), "{offsets:?}: {source:?}");
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_stream_that_ends_ends_the_run() {
    let error = run(told([1, 2, 3, 4]), true).await.unwrap_err();
    assert!(matches!(error, RunError::Stream(StreamError::Ended(_))), "{error:?}");
}
