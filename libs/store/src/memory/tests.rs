//! What no caller can see: that everything is freed.

use std::time::Duration;

use fundbond_protocol::{EventId, LastEventId, Status, TraceId};
use tokio::time::{Instant, advance};

use super::*;
use crate::{Queue, RETENTION, Submission, TOMBSTONE};

fn emit(task: &TaskId, connection: &ConnectionId, step: usize) -> Emit {
    Emit {
        task: task.clone(),
        event_id: EventId::of_step(task, step),
        status: Status::PROCESSING,
        is_final: step == 2,
        json: "{}".into(),
        connection: connection.clone(),
        attempt: None,
    }
}

/// Pods, streams held and left, tasks that moved, ran, ended and have rows.
async fn live_a_little(store: &MemoryStore) {
    let cluster = ClusterId::parse("k").unwrap();
    for number in 0..100 {
        let pod = PodId::parse(format!("p{}", number % 7)).unwrap();
        let task = TaskId::parse(format!("t{number}")).unwrap();
        let [home, page] = ["c", "page"].map(|n| ConnectionId::parse(format!("{n}{number}")).unwrap());
        store.heartbeat(&pod, &cluster).await.unwrap();
        let submission = Submission {
            task: task.clone(),
            connection: home.clone(),
            cluster: cluster.clone(),
            kind: "k".into(),
            fingerprint: [0; 32],
            accepted_at: Timestamp::UNIX_EPOCH,
            pod: PodId::parse("p1").unwrap(),
            trace: TraceId::of_random(1),
            body: "{}".into(),
        };
        // One that was accepted stays until it has ended; the others were only spoken of.
        if number % 3 == 2 {
            store.submit(&submission, 1_000).await.unwrap();
        }
        store.emit(&emit(&task, &home, 0)).await.unwrap();
        let register = Register {
            connection: page.clone(),
            pod,
            cluster: cluster.clone(),
            last: LastEventId::Start,
            tasks: vec![task.clone()],
            limit: ReadLimit::default(),
            asked: Instant::now(),
        };
        store.register(&register).await.unwrap();
        for step in 1..=number % 3 {
            store.emit(&emit(&task, &page, step)).await.unwrap();
        }
        store.put_rows(&task, vec!["1".into()]).await.unwrap();
    }
    advance(Duration::from_mins(1)).await;
    store.bury(&PodId::parse("p0").unwrap()).await.unwrap();
}

/// Calls of the kind that comes all the time, until they have freed what they can.
async fn idle(store: &MemoryStore) {
    for _ in 0..1_000 {
        store.task(&TaskId::parse("t").unwrap()).await.unwrap();
    }
}

fn sizes(store: &MemoryStore) -> [usize; 6] {
    let data = &store.state.lock().unwrap().data;
    let held = data.held.values().map(std::collections::HashSet::len).sum();
    [data.connections.len(), data.tasks.len(), held, data.accepted.len(), data.nodes.len(), data.queued()]
}

#[tokio::test(start_paused = true)]
async fn everything_is_freed_after_its_retention() {
    let store = MemoryStore::new();
    live_a_little(&store).await;
    idle(&store).await;
    assert_eq!(sizes(&store), [200, 100, 100, 1, 7, 307]);
    advance(RETENTION).await;
    idle(&store).await;
    assert_eq!(sizes(&store), [0, 0, 0, 0, 1, 1], "only a tombstone is left");
    advance(TOMBSTONE).await;
    idle(&store).await;
    assert_eq!(sizes(&store), [0; 6]);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_again_is_freed_again() {
    let store = MemoryStore::new();
    for _ in 0..3 {
        live_a_little(&store).await;
        advance(RETENTION).await;
    }
    advance(TOMBSTONE).await;
    idle(&store).await;
    assert_eq!(sizes(&store), [0; 6]);
}

#[tokio::test(start_paused = true)]
async fn one_call_frees_only_a_little() {
    let store = MemoryStore::new();
    live_a_little(&store).await;
    advance(RETENTION).await;
    let before = sizes(&store)[5];
    store.task(&TaskId::parse("t").unwrap()).await.unwrap();
    assert!(before - sizes(&store)[5] <= 16);
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_forgets_tasks_that_ended_or_moved_a_day_ago() {
    let store = MemoryStore::new();
    live_a_little(&store).await;
    let home = ConnectionId::parse("c1").unwrap();
    for hour in 0..30 {
        advance(Duration::from_hours(1)).await;
        let task = TaskId::parse(format!("later-{hour}")).unwrap();
        for step in 0..=2 {
            store.emit(&emit(&task, &home, step)).await.unwrap();
        }
    }
    idle(&store).await;
    let state = store.state.lock().unwrap();
    let members = state.data.connections[&home].members().count();
    assert_eq!(members, 24, "those of the last day");
}
