//! A pod whose store is away: before it ever was there, and later.

use std::sync::Arc;

use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::{
    client::{Answer, TestPod, send, settings, within},
    troubled::TroubledStore,
};

/// Steps that any request, stream or heartbeat begins with.
const STEPS: [&str; 6] = ["heartbeat", "register", "submit", "claim", "hold", "emit"];

fn away(store: &TroubledStore) {
    for step in STEPS {
        store.fail(step, usize::MAX);
    }
}

fn back(store: &TroubledStore) {
    for step in STEPS {
        store.fail(step, 0);
    }
}

async fn probe(pod: &TestPod, path: &str) -> Answer {
    send(pod.admin, Request::get(path).body(Full::default()).unwrap()).await
}

async fn until_ready_says(pod: &TestPod, status: u16, last_word: &str) -> Answer {
    within(last_word, async {
        loop {
            let answer = probe(pod, "/readyz?verbose").await;
            if answer.status == status && answer.text.ends_with(&format!("\n{last_word}\n")) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn start(pod: &TestPod, task: &str) -> Answer {
    pod.post("/api/fund-api", &json!({"correlationId": task, "kind": "steps", "count": 1})).await
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.headers["retry-after"].to_str().unwrap()),
        (503, "2"),
        "{}",
        answer.text
    );
    assert_eq!(answer.json()["type"], "urn:fundbond:problem:store-unavailable");
}

#[tokio::test]
async fn a_pod_that_never_met_its_store_lives_and_waits_unready() {
    let store = Arc::new(TroubledStore::default());
    away(&store);
    let pod = TestPod::waiting(settings(), store.clone()).await;
    let unready = until_ready_says(&pod, 503, "not ready").await;
    assert!(unready.text.contains("[-] store: "), "{}", unready.text);
    assert_eq!(probe(&pod, "/livez").await.status, 200);
    assert_unavailable(&start(&pod, "early-fund-1").await);
    let shed = pod.get("/api/fund-events/c").await;
    assert_eq!((shed.status, shed.headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    assert!(shed.text.starts_with("retry: "), "{}", shed.text);
    assert_eq!(probe(&pod, "/readyz").await.status, 503, "a store that fails some more changes nothing");

    back(&store);
    until_ready_says(&pod, 200, "ok").await;
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    assert_eq!(start(&pod, "c-fund-1").await.status, 202);
    let names: Vec<_> = stream.rest().await.into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["PROCESSING", "SUBTASK_COMPLETED", "COMPLETED"]);
    // What was answered 503 is asked for again.
    assert_eq!(start(&pod, "early-fund-1").await.status, 202);
    pod.until_final("early-fund-1").await;
    pod.stop().await;
}

#[tokio::test]
async fn a_pod_whose_store_goes_away_says_so_and_stays_in() {
    let store = Arc::new(TroubledStore::default());
    let pod = TestPod::with(settings(), store.clone()).await;
    until_ready_says(&pod, 200, "ok").await;
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    away(&store);
    // The next heartbeat is seconds away; who fails to reach the store makes the pod look.
    assert_unavailable(&start(&pod, "c-fund-1").await);
    let degraded = until_ready_says(&pod, 200, "degraded").await;
    assert!(degraded.text.contains("[~] store: degraded: "), "{}", degraded.text);
    let metrics = probe(&pod, "/metrics").await.text;
    assert!(metrics.contains("fund_condition{condition=\"store\",state=\"degraded\"} 1\n"), "{metrics}");
    assert_eq!(probe(&pod, "/livez").await.status, 200);

    back(&store);
    until_ready_says(&pod, 200, "ok").await;
    assert_eq!(start(&pod, "c-fund-1").await.status, 202);
    let names: Vec<_> = stream.rest().await.into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["PROCESSING", "SUBTASK_COMPLETED", "COMPLETED"]);
    pod.stop().await;
}

#[tokio::test]
async fn a_pod_that_never_met_its_store_ends_in_order() {
    let store = Arc::new(TroubledStore::default());
    away(&store);
    let pod = TestPod::waiting(settings(), store).await;
    until_ready_says(&pod, 503, "not ready").await;
    pod.stop().await;
}
