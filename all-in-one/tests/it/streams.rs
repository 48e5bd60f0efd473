//! Promise: a stream opened either way shows every step of its tasks once, and ends when they have.

use fundbond_protocol::headers::EVENT_STREAM;
use http::Method;

use crate::harness::{Fundbond, json, parse_stream, read_to_end, statuses};

const STEPS: [&str; 5] = ["CONNECTED", "PROCESSING", "SUBTASK_COMPLETED", "SUBTASK_COMPLETED", "COMPLETED"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_by_post_ends_once_its_tasks_are_final() {
    let fundbond = Fundbond::start().await;
    fundbond.start_steps("cluster1", "desk7-fund-1", 2).await;
    let body = r#"{"correlationId": "desk7", "taskIds": ["desk7-fund-1"]}"#;
    let pairs = [("x-cluster-route", "cluster1"), ("accept", EVENT_STREAM)];
    let answer = fundbond.call(Method::POST, "/api/fund-events", &pairs, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), EVENT_STREAM);
    assert!(answer.header("x-routed-to").starts_with("cluster1/pod-"), "{answer:?}");
    let events = parse_stream(&answer.body);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, STEPS);
    assert!(answer.body.starts_with(b"retry: "), "{answer:?}");
    fundbond.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_by_get_is_the_same_stream_for_browsers() {
    let fundbond = Fundbond::start().await;
    fundbond.start_steps("cluster2", "desk7-fund-1", 2).await;
    let path = "/api/fund-events/desk7?taskIds=desk7-fund-1&cluster=cluster2";
    let answer = fundbond.get(path, &[]).await;
    let events = parse_stream(&answer.body);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, STEPS, "{answer:?}");
    // What an EventSource does next: it opens again after the last event, and is told to stay away.
    let last = events.last().unwrap().id.clone();
    let again = fundbond.get(path, &[("last-event-id", last.as_str())]).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (204, 0), "{again:?}");
    fundbond.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_seen_whichever_pod_runs_it_and_whichever_holds_the_stream() {
    let fundbond = Fundbond::start().await;
    // Round robin puts these on both pods of the cluster, and so it does with the streams.
    for number in 1..=4 {
        let (connection, task) = (format!("desk{number}"), format!("desk{number}-fund-1"));
        fundbond.start_steps("cluster1", &task, 2).await;
        let events = read_to_end(fundbond.stream("cluster1", &connection, &[&task])).await;
        assert_eq!(statuses(&events), STEPS, "{task}");
        let state = fundbond.get(&format!("/api/tasks/{task}?cluster=cluster1"), &[]).await;
        assert_eq!(json(&state)["finalEvent"], true, "{state:?}");
    }
    fundbond.stop().await;
}
