//! What a pod logs: each error once, with the names of what it is about.

use std::sync::Arc;

use fundbond_service_runtime::telemetry::captured::Log;
use serde_json::{Value, json};

use crate::{
    client::{Answer, TestPod, post, send, settings},
    troubled::TroubledStore,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A request in a trace.
async fn traced(pod: &TestPod, path: &str, body: &Value) -> Answer {
    let mut request = post(path, body);
    let trace = format!("00-{TRACE}-00f067aa0ba902b7-01");
    request.headers_mut().insert("traceparent", trace.parse().unwrap());
    request.headers_mut().insert("x-request-id", "r-1".parse().unwrap());
    send(pod.address, request).await
}

fn at<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_request_that_fails_at_the_store_is_one_line() {
    let (log, _guard) = Log::listen();
    let store = Arc::new(TroubledStore::default());
    let pod = TestPod::with(settings(), store.clone()).await;
    store.fail("submit", 1);
    let body = json!({"correlationId": "t1", "kind": "steps", "count": 1});
    assert_eq!(traced(&pod, "/api/fund-api", &body).await.status, 503);
    let errors = log.warnings();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let line = &errors[0];
    assert_eq!((at(line, "level"), at(line, "msg")), ("warn", "request failed"));
    assert_eq!((at(line, "traceId"), at(line, "requestId")), (TRACE, "r-1"));
    assert_eq!(at(line, "correlationId"), "t1");
    assert!(at(line, "error").ends_with("the store is unreachable: this store is away"), "{line}");
    pod.stop().await;
}

#[tokio::test]
async fn a_step_of_a_task_that_fails_is_one_line_in_the_trace_of_its_request() {
    let (log, _guard) = Log::listen();
    let store = Arc::new(TroubledStore::default());
    let pod = TestPod::with(settings(), store.clone()).await;
    store.fail("emit", 2);
    let body = json!({"correlationId": "t2", "kind": "steps", "count": 1});
    assert_eq!(traced(&pod, "/api/fund-api", &body).await.status, 202);
    pod.until_final("t2").await;
    pod.stop().await;
    let errors = log.warnings();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let line = &errors[0];
    assert_eq!((at(line, "what"), at(line, "traceId"), at(line, "correlationId")), ("emit", TRACE, "t2"));
    assert_eq!(at(line, "error"), "the store is unreachable: this store is away");
    let ended = log.lines().into_iter().find(|line| line["msg"] == "task ended").unwrap();
    assert_eq!((at(&ended, "status"), at(&ended, "kind")), ("COMPLETED", "steps"));
    assert_eq!((at(&ended, "traceId"), at(&ended, "correlationId")), (TRACE, "t2"));
}

#[tokio::test]
async fn a_stream_that_cannot_be_opened_is_one_line_with_its_user() {
    let (log, _guard) = Log::listen();
    let store = Arc::new(TroubledStore::default());
    let pod = TestPod::with(settings(), store.clone()).await;
    store.fail("register", 1);
    let body = json!({"connectionId": "c", "userId": "amy", "system": "desk"});
    let answer = traced(&pod, "/api/fund-events", &body).await;
    assert_eq!(answer.status, 200, "a stream is never refused");
    let errors = log.warnings();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let line = &errors[0];
    assert_eq!((at(line, "userId"), at(line, "system")), ("amy", "desk"));
    assert_eq!((at(line, "connectionId"), at(line, "traceId")), ("c", TRACE));
    pod.stop().await;
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one_and_what_a_client_does_wrong_is_no_warning() {
    let (log, _guard) = Log::listen();
    let pod = TestPod::start().await;
    assert_eq!(pod.get("/api/tasks/unknown").await.status, 404);
    assert_eq!(log.warnings(), [Value::Null; 0]);
    let refused = log.lines().into_iter().find(|line| line["msg"] == "request refused").unwrap();
    assert_eq!((at(&refused, "level"), at(&refused, "kind")), ("debug", "no-such-task"));
    assert_eq!((at(&refused, "traceId").len(), at(&refused, "correlationId")), (32, "unknown"));
    pod.stop().await;
}
