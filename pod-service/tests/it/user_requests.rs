//! Requests about users that are wrong, or come by a way that is none.

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    client::{post, send},
    users::{connect, heard, number, pods, say, status},
};

#[tokio::test]
async fn nobody_gets_at_a_users_stream_by_another_way() {
    let ([pod], store) = pods().await;
    let mut stream = connect(&pod, "maria").await;
    for body in [
        json!({"connectionId": "user:maria"}),
        json!({"connectionId": "c", "taskIds": ["user:maria"]}),
        json!({"correlationId": "user:maria"}),
    ] {
        assert_eq!(pod.post("/api/fund-events", &body).await.status, 422, "{body}");
    }
    for path in [
        "/api/fund-events/user:maria",
        "/api/fund-events/user%3Amaria",
        "/api/fund-events/c?taskIds=user:maria",
    ] {
        assert_eq!(pod.get(path).await.status, 422, "{path}");
    }
    for body in [
        json!({"correlationId": "t", "connectionId": "user:maria", "kind": "steps", "count": 1}),
        json!({"correlationId": "user:maria", "kind": "steps", "count": 1}),
    ] {
        assert_eq!(pod.post("/api/fund-api", &body).await.status, 422, "{body}");
    }
    assert_eq!(pod.get("/api/tasks?connectionId=user:maria").await.status, 422);
    // A task and a connection of her name are others; nor does a publisher of events for tasks get at it.
    pod.start_steps("maria", "maria", 1, 0).await;
    pod.until_final("maria").await;
    store.inner.publish_foreign(br#"{"correlationId":"maria","status":"TEST"}"#);
    store.inner.publish_foreign(br#"{"correlationId":"user:maria","status":"TEST"}"#);
    number(&pod, 1).await;
    assert_eq!(heard(&mut stream).await, "1");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let ([pod], _) = pods().await;
    let ok = |field: &str, value: Value| {
        let mut body = json!({"userId": "maria", "data": 1});
        body[field] = value;
        body
    };
    let long = "x".repeat(65);
    for (body, field) in [
        (ok("userId", json!("a:b")), "userId"),
        (ok("userId", json!("a\r\nb")), "userId"),
        (ok("userId", json!("a\0b")), "userId"),
        (ok("userId", json!("")), "userId"),
        (ok("userId", json!(long)), "userId"),
        (ok("event", json!("two words")), "event"),
        (ok("event", json!("a\nid: x.1")), "event"),
        (ok("event", json!("a:b")), "event"),
        (ok("event", json!(long)), "event"),
        (ok("event", json!("")), "event"),
        (ok("event", json!(7)), "event"),
        (ok("event", json!("CONNECTED")), "event"),
        (ok("event", json!("Heartbeat")), "event"),
        (ok("event", json!("reset")), "event"),
        (ok("event", json!("REPLACED")), "event"),
        (ok("event", json!("CLOSED")), "event"),
        (ok("event", json!("DRAINING")), "event"),
        (ok("event", json!("open")), "event"),
        (ok("event", json!("error")), "event"),
        (ok("id", json!("a b")), "id"),
        (ok("id", json!("x".repeat(129))), "id"),
        (ok("data", json!("x".repeat(256 * 1024))), "data"),
        (ok("other", json!(1)), "other"),
        (json!({"data": 1}), "body"),
        (json!({"userId": "maria"}), "body"),
    ] {
        let answer = say(&pod, body).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
    }
    // What is just not too large is sent.
    assert_eq!(say(&pod, ok("data", json!("x".repeat(256 * 1024 - 2)))).await.status, 202);
    let large = say(&pod, ok("data", json!("x".repeat(600 * 1024)))).await;
    assert_eq!((large.status, &large.json()["type"]), (413, &json!("urn:fundbond:problem:body-too-large")));
    for path in ["connect", "status"] {
        for user in ["a:b", "a%0d%0ab", "a%00", "%F0%9F%92%B6", &long] {
            assert_eq!(pod.get(&format!("/api/sse/{path}/{user}")).await.status, 422, "{path} {user}");
        }
    }
    assert_eq!(pod.post("/api/sse/close/a:b", &json!({})).await.status, 422);
    assert_eq!(pod.get("/api/sse/connect/maria?taskIds=t").await.status, 422);
    assert_eq!(pod.post("/api/sse/broadcast", &json!({"userId": "maria", "data": 1})).await.status, 422);
}

#[tokio::test]
async fn methods_and_types_are_answered_as_http_wants_them() {
    let ([pod], _) = pods().await;
    let call = |method: &str, path: &str, headers: &[(&str, &str)], body: &'static str| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(pod.address, request.body(Full::from(body)).unwrap())
    };
    let json = ("content-type", "application/json");
    for (method, path, allow) in [
        ("POST", "/api/sse/connect/maria", "GET,HEAD"),
        ("GET", "/api/sse/send", "POST"),
        ("GET", "/api/sse/broadcast", "POST"),
        ("GET", "/api/sse/close/maria", "POST"),
        ("DELETE", "/api/sse/status/maria", "GET,HEAD"),
    ] {
        let answer = call(method, path, &[json], "{}").await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method} {path}");
    }
    for kind in ["text/plain", "application/json5", "application/x-ndjsonx", ""] {
        let answer = call("POST", "/api/sse/send", &[("content-type", kind)], "{}").await;
        assert_eq!(answer.status, 415, "{kind}");
        assert!(answer.text.contains("application/x-ndjson"), "{}", answer.text);
    }
    let answer = call("POST", "/api/sse/broadcast", &[("content-type", "application/x-ndjson")], "{}").await;
    assert_eq!(answer.status, 415);
    let answer = call("GET", "/api/sse/connect/maria", &[("accept", "application/json")], "").await;
    assert_eq!(answer.status, 406);
    let head = call("HEAD", "/api/sse/connect/maria", &[], "").await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert_eq!(status(&pod).await["connected"], false, "a HEAD opens nothing");
    assert_eq!(call("HEAD", "/api/sse/status/maria", &[], "").await.status, 200);
    assert_eq!(call("GET", "/api/sse/nothing", &[], "").await.status, 404);
}

#[tokio::test]
async fn the_problem_of_a_body_that_is_no_json_is_that() {
    let ([pod], _) = pods().await;
    let request = post("/api/sse/send", &json!(null)).map(|_| Full::from("{\"userId\":\"maria\",\"data\":}"));
    let answer = send(pod.address, request).await;
    assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("urn:fundbond:problem:malformed-json")));
    assert_eq!(answer.json()["accepted"], Value::Null);
}
