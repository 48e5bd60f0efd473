//! The document and the routes say the same.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::client::{Answer, TestPod, send};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

async fn document(pod: &TestPod) -> Value {
    let answer = pod.get("/api/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{}", answer.text);
    answer.json()
}

/// Every documented call as method and path.
fn calls(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
        methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

async fn call(pod: &TestPod, method: &str, path: &str) -> Answer {
    let path = path.replace("{taskId}", "some-task").replace("{connectionId}", "some-connection");
    let path = path.replace("{userId}", "some-user");
    // A type that no stream call answers, so that none is opened.
    let request = Request::builder().method(method).uri(path).header("accept", "application/json");
    send(pod.address, request.body(Full::<Bytes>::default()).unwrap()).await
}

#[tokio::test]
async fn every_documented_call_is_served_with_a_documented_answer() {
    let pod = TestPod::start().await;
    let document = document(&pod).await;
    let calls = calls(&document);
    assert_eq!(calls.len(), 16, "{calls:?}");
    for (method, path) in calls {
        let answer = call(&pod, &method, &path).await;
        let kind = if answer.text.is_empty() { Value::Null } else { answer.json()["type"].clone() };
        assert_ne!(kind, "urn:fundbond:problem:no-such-path", "{method} {path}");
        assert_ne!(answer.status, 405, "{method} {path}");
        let operation = &document["paths"][&path][method.to_lowercase()];
        let documented = &operation["responses"][answer.status.to_string()];
        assert!(documented.is_object(), "{method} {path} answered {}: {}", answer.status, answer.text);
    }
}

#[tokio::test]
async fn what_a_path_allows_is_what_the_document_lists() {
    let pod = TestPod::start().await;
    let document = document(&pod).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut documented: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        for method in METHODS {
            let answer = call(&pod, method, path).await;
            if documented.contains(method) {
                assert_ne!(answer.status, 405, "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
            let allowed = answer.header("allow").split(',').map(|m| m.trim().to_owned());
            assert_eq!(allowed.collect::<BTreeSet<_>>(), documented, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let pod = TestPod::start().await;
    let document = document(&pod).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let (mut open, mut seen) = (vec![&document], 0);
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let target = document.pointer(reference.strip_prefix('#').unwrap());
                    assert!(target.is_some(), "{reference} leads nowhere");
                    seen += 1;
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(seen > 50, "{seen} references");
}

#[tokio::test]
async fn every_example_of_a_request_is_accepted() {
    let pod = TestPod::start().await;
    let document = document(&pod).await;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let example = &item["post"]["requestBody"]["content"]["application/json"]["example"];
        if example.is_object() {
            let answer = if path == "/api/fund-events" {
                let request = crate::client::post(path, example);
                crate::client::TestStream::open(pod.address, request).await.status
            } else {
                pod.post(path, example).await.status
            };
            assert!((200..300).contains(&answer), "{path} answers {answer}");
            tried += 1;
        }
    }
    assert_eq!(tried, 4);
}
