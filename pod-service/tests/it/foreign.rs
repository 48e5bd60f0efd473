//! What publishers say that are not ours, as the reader of a stream sees it.

use std::sync::Arc;

use fundbond_store::memory::Restart;
use serde_json::{Value, json};

use crate::{
    client::{TestPod, TestStream, offset, settings, within},
    troubled::{TroubledStore, pod},
};

fn publish(store: &TroubledStore, message: &Value) {
    store.inner.publish_foreign(message.to_string().as_bytes());
}

/// A metric of the pod; 0 while it is not there.
async fn metric(pod: &TestPod, series: &str) -> u64 {
    let text = pod.metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

async fn until_metric(pod: &TestPod, series: &str, wanted: u64) {
    within(series, async {
        while metric(pod, series).await != wanted {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn said(stream: &mut TestStream) -> (u64, Value) {
    let event = stream.next_said().await.expect("the stream goes on");
    (offset(&event), serde_json::from_str(&event.data).unwrap())
}

#[tokio::test]
async fn an_event_with_two_fields_reaches_the_stream_it_names_like_any_other() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("test", &[]).await;
    publish(&store, &json!({"correlationId": "test", "status": "TEST"}));
    let event = stream.next_said().await.unwrap();
    assert_eq!((event.name.as_str(), offset(&event)), ("TEST", 1));
    let body: Value = serde_json::from_str(&event.data).unwrap();
    for field in ["eventId", "correlationId", "status", "message", "finalEvent", "timestamp"] {
        assert!(!body[field].is_null(), "{field} is missing: {body}");
    }
    // Whoever comes back reads it again from the log.
    let mut again = pod.listen("test", &[]).await;
    assert_eq!(again.next_said().await.unwrap().id, event.id);
    pod.stop().await;
}

#[tokio::test]
async fn a_task_that_runs_elsewhere_ends_its_stream() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("desk", &["elsewhere"]).await;
    publish(&store, &json!({"correlationId": "elsewhere", "status": "PROCESSING"}));
    publish(
        &store,
        &json!({"correlationId": "elsewhere", "status": "COMPLETED", "finalEvent": true, "result": {"nav": 1}}),
    );
    assert_eq!(said(&mut stream).await.0, 1);
    let (at, last) = said(&mut stream).await;
    assert_eq!((at, &last["result"]), (2, &json!({"nav": 1})));
    assert!(stream.next().await.is_none() && stream.ended_cleanly);
    pod.stop().await;
}

#[tokio::test]
async fn what_is_said_while_the_registration_is_under_way_is_not_lost() {
    let (pod, store) = pod().await;
    let hold = store.hold("register");
    let opening = tokio::spawn({
        let request = crate::client::post(
            "/api/fund-events",
            &json!({"connectionId": "desk", "taskIds": ["elsewhere"]}),
        );
        TestStream::open(pod.address, request)
    });
    // The store knows who holds the stream, and the pod does not know yet.
    hold.reached(1).await;
    for of in ["desk", "elsewhere", "nobody"] {
        publish(&store, &json!({"correlationId": of, "status": "EARLY"}));
    }
    hold.release();
    let mut stream = opening.await.unwrap();
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    for of in ["desk", "elsewhere"] {
        assert_eq!(said(&mut stream).await.1["correlationId"], of);
    }
    until_metric(&pod, "fund_foreign_events_total{outcome=\"logged\"}", 2).await;
    pod.stop().await;
}

#[tokio::test]
async fn of_two_pods_the_one_that_holds_the_stream_takes_it() {
    let store = Arc::new(TroubledStore::default());
    let one = TestPod::with(settings(), store.clone()).await;
    let two = TestPod::with(settings(), store.clone()).await;
    let mut before = one.listen("desk", &["elsewhere"]).await;
    let mut after = two.listen("desk", &["elsewhere"]).await;
    for number in 0..20 {
        let of = if number % 2 == 0 { "desk" } else { "elsewhere" };
        publish(&store, &json!({"correlationId": of, "status": "TEST", "message": number.to_string()}));
    }
    for number in 0..20 {
        let (at, event) = said(&mut after).await;
        assert_eq!((at, &event["message"]), (number + 1, &json!(number.to_string())));
    }
    assert_eq!(before.next_said().await.unwrap().name, "REPLACED");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn after_a_gap_events_are_taken_again_once_the_store_said_whose_they_are() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("desk", &[]).await;
    // The pod cannot know whether somebody else took the stream meanwhile, until its re-assertion is answered.
    let hold = store.hold("reassert");
    store.inner.restart(Restart::Keep);
    hold.reached(1).await;
    hold.release();
    assert_eq!(stream.next_said().await.unwrap().name, "RESET");
    within("an event to be taken", async {
        let mut number = 0;
        loop {
            publish(
                &store,
                &json!({"correlationId": "desk", "status": "TEST", "message": number.to_string()}),
            );
            number += 1;
            tokio::task::yield_now().await;
            if metric(&pod, "fund_foreign_events_total{outcome=\"logged\"}").await > 0 {
                return;
            }
        }
    })
    .await;
    assert_eq!(said(&mut stream).await.1["status"], "TEST");
    pod.stop().await;
}

#[tokio::test]
async fn what_cannot_be_used_is_counted_by_its_fault_and_costs_the_stream_nothing() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("desk", &[]).await;
    let huge = json!({"correlationId": "desk", "status": "A", "message": "x".repeat(300_000)}).to_string();
    for (message, times) in [
        (&b"\xff\xfe"[..], 1),
        (b"hello", 500),
        (b"{\"correlationId\":\"desk\"}", 2),
        (b"{\"correlationId\":\"desk\\r\\nid: 9\",\"status\":\"A\"}", 3),
        (b"{\"correlationId\":\"desk\",\"status\":\"RESET\"}", 4),
        (huge.as_bytes(), 5),
    ] {
        for _ in 0..times {
            store.inner.publish_foreign(message);
        }
    }
    publish(&store, &json!({"correlationId": "desk", "status": "GOOD"}));
    let (at, event) = said(&mut stream).await;
    assert_eq!((at, &event["status"]), (1, &json!("GOOD")));
    for (reason, count) in [("not-json", 501), ("missing-field", 2), ("bad-field", 7), ("too-large", 5)] {
        until_metric(&pod, &format!("fund_foreign_unusable_total{{reason=\"{reason}\"}}"), count).await;
    }
    pod.stop().await;
}
