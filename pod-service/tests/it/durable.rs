//! Accepted tasks and the pods that come and go: on a store that several pods share.

use std::{num::NonZeroUsize, sync::Arc};

use fundbond_pod_service::Settings;
use fundbond_protocol::{ClusterId, ConnectionId, PodId, TaskId};
use fundbond_store::{Claims, Queue as _, Registry as _};
use serde_json::json;

use crate::{
    client::{TestPod, TestStream, offset, settings, within},
    troubled::TroubledStore,
};

fn shared() -> Arc<TroubledStore> {
    Arc::new(TroubledStore::shared())
}

async fn pod(store: &Arc<TroubledStore>, concurrency: usize) -> TestPod {
    let settings = Settings { task_concurrency: NonZeroUsize::new(concurrency), ..settings() };
    TestPod::with(settings, store.clone()).await
}

fn cluster() -> ClusterId {
    ClusterId::parse("cluster1").unwrap()
}

/// The id under which a pod holds the stream.
async fn id_of(store: &TroubledStore, connection: &str) -> PodId {
    let connection = ConnectionId::parse(connection).unwrap();
    store.holder(&connection).await.unwrap().expect("the stream is held").0
}

/// Reads a stream to its end: each offset follows the one before, and names the events.
async fn whole(stream: &mut TestStream) -> Vec<String> {
    let events = stream.rest().await;
    let offsets: Vec<u64> = events.iter().map(offset).collect();
    assert!(offsets.windows(2).all(|pair| pair[1] == pair[0] + 1), "{offsets:?}");
    events.into_iter().map(|event| event.name).collect()
}

fn counted(steps: usize) -> Vec<String> {
    let mut names = vec!["PROCESSING".to_owned()];
    names.extend(std::iter::repeat_n("SUBTASK_COMPLETED".to_owned(), steps));
    names.push("COMPLETED".to_owned());
    names
}

#[tokio::test]
async fn a_task_that_a_busy_pod_accepted_runs_on_one_with_room() {
    let store = shared();
    let busy = pod(&store, 1).await;
    busy.start_steps("long", "c", 1_000, 1_000).await;
    within("the long task to begin", async {
        while busy.get("/api/tasks/long").await.json()["status"] != "PROCESSING" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let other = pod(&store, 1).await;
    busy.start_steps("short", "s", 2, 0).await;
    assert_eq!(busy.until_final("short").await["status"], "COMPLETED");
    assert_eq!(busy.post("/api/tasks/long/cancel", &json!({})).await.status, 200);
    busy.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_pod_that_drains_gives_its_task_to_another_and_the_client_sees_every_event_once() {
    let store = shared();
    let (watching, first) = (pod(&store, 1).await, pod(&store, 1).await);
    // The pod that watches has no room for the task.
    watching.start_steps("busy", "b", 1_000, 1_000).await;
    within("the pod to be busy", async {
        while store.backlog(&cluster()).await.unwrap().waiting > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut stream = watching.listen("c", &["t"]).await;
    first.start_steps("t", "c", 20, 25).await;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(stream.next_said().await.unwrap());
    }
    // Both of them go; a third one ends what neither did.
    let third = pod(&store, 2).await;
    first.stop().await;
    let mut names: Vec<_> = events.into_iter().map(|event| event.name).collect();
    names.extend(whole(&mut stream).await);
    assert_eq!(names, counted(20));
    assert_eq!(third.post("/api/tasks/busy/cancel", &json!({})).await.status, 200);
    watching.stop().await;
    third.stop().await;
}

#[tokio::test]
async fn a_task_that_nobody_has_room_for_outlives_every_pod() {
    let store = shared();
    let first = pod(&store, 1).await;
    first.start_steps("long", "c", 3, 200).await;
    first.start_steps("next", "c", 1, 0).await;
    first.stop().await;
    let backlog = store.backlog(&cluster()).await.unwrap();
    assert_eq!((backlog.waiting, backlog.claimed), (2, 0), "a pod that stops takes nothing with it");
    let second = pod(&store, 1).await;
    for task in ["long", "next"] {
        assert_eq!(second.until_final(task).await["status"], "COMPLETED");
    }
    second.stop().await;
}

#[tokio::test]
async fn a_run_whose_task_another_pod_has_by_now_says_nothing_more() {
    let store = shared();
    let slow = pod(&store, 1).await;
    let mut stream = slow.listen("c", &["t"]).await;
    slow.start_steps("t", "c", 50, 20).await;
    for _ in 0..3 {
        stream.next_said().await.unwrap();
    }
    // As if it had been silent for so long that its tasks were handed over and another pod began one.
    store.hold("claim");
    let id = id_of(&store, "c").await;
    let other = PodId::parse("pod-other-1~aaaaaaaa").unwrap();
    store.heartbeat(&other, &cluster()).await.unwrap();
    store.inner.leave(&id, &cluster()).await.unwrap();
    let Claims::Tasks(tasks) = store.inner.claim(&other, &cluster(), 1).await.unwrap() else {
        panic!("the other pod is well")
    };
    assert_eq!(tasks[0].submission.task, TaskId::parse("t").unwrap());
    within("the run to end", async {
        while !slow.metrics().await.contains("fund_task_runs_left_total 1\n") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let record = slow.get("/api/tasks/t").await.json();
    assert_eq!(record["finalEvent"], false, "{record}");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_claimed_again() {
    let store = shared();
    let pod = pod(&store, 1).await;
    store.lose_answers("claim", 1);
    pod.start_steps("t", "c", 2, 0).await;
    assert_eq!(pod.until_final("t").await["status"], "COMPLETED");
    pod.stop().await;
}

#[tokio::test]
async fn more_tasks_than_may_wait_are_refused_with_a_time_to_come_back() {
    let store = shared();
    let settings = Settings { task_concurrency: NonZeroUsize::new(1), task_queue: 1, ..settings() };
    let pod = TestPod::with(settings, store.clone()).await;
    pod.start_steps("long", "c", 1_000, 1_000).await;
    within("the task to begin", async {
        while store.backlog(&cluster()).await.unwrap().waiting > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pod.start_steps("waits", "c", 1, 0).await;
    let body = json!({"correlationId": "more", "kind": "steps", "count": 1});
    let refused = pod.post("/api/fund-api", &body).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(pod.get("/api/tasks/more").await.status, 404);
    // What waits already may be asked for again.
    pod.start_steps("waits", "c", 1, 0).await;
    pod.stop().await;
}
