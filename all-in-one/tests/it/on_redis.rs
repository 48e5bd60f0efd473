//! The promise with a real Redis between the pods, also when it dies in the middle.

use std::collections::{BTreeMap, BTreeSet};

use fundbond_cli::stream::Signal;
use fundbond_protocol::TaskEvent;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    harness::{DEADLINE, Fundbond, json},
    promises::{CLUSTERS, next, resumed, run_and_check, start},
    redis::{Keeps, Redis},
};

/// Twice as many streams of twice as many tasks as in memory, and nothing left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_of_twenty_tasks_get_exactly_their_own_events_through_a_redis() {
    let redis = Redis::start(Keeps::Nothing).await;
    let system = Fundbond::start_with(redis.system()).await;
    let runners = run_and_check(&system, 200, 20).await;
    assert_eq!(runners.len(), 4, "every pod of both clusters ran some");
    assert_eq!(redis.ask(&["KEYS", &format!("{}*", fundbond_protocol::keys::CONNECTIONS_PREFIX)]), "");
    system.stop().await;
}

/// Ten streams of five tasks; the server dies when each stream has seen some of its tasks' ends.
async fn dies_in_the_middle(keeps: Keeps) {
    let mut redis = Redis::start(keeps).await;
    let system = Fundbond::start_with(redis.system()).await;
    let (seen, mut some_ended) = tokio::sync::mpsc::channel(10);
    let mut readers = JoinSet::new();
    for s in 0..10 {
        let client = system.client(Some(CLUSTERS[s % 2]));
        let seen = seen.clone();
        readers.spawn(async move {
            let connection = format!("desk{s}");
            let tasks: Vec<String> = (0..5).map(|t| format!("{connection}-fund-{t}")).collect();
            let mut stream = resumed(&client, &connection, &tasks, "");
            assert_eq!(next(&mut stream).await.unwrap().name, "CONNECTED");
            for (index, task) in tasks.iter().enumerate() {
                // The first ends soon, the last well after the restart.
                start(&client, &connection, task, [3, 300, 400, 500, 600][index]).await;
            }
            let (mut resets, mut epoch, mut told) = (0, String::new(), false);
            let mut finals: BTreeMap<(String, String), u32> = BTreeMap::new();
            let read = async {
                while let Some(signal) = stream.next().await.unwrap() {
                    let Signal::Event(event) = signal else { continue };
                    if let Some((here, _)) = event.id.split_once('.') {
                        here.clone_into(&mut epoch);
                    }
                    if event.name == "RESET" {
                        resets += 1;
                        check_states(&event.data, &tasks);
                        continue;
                    }
                    let said: TaskEvent = serde_json::from_str(&event.data).unwrap();
                    if said.final_event {
                        assert_eq!(said.status.as_str(), "COMPLETED", "{said:?}");
                        *finals.entry((said.correlation_id.to_string(), epoch.clone())).or_default() += 1;
                        if !std::mem::replace(&mut told, true) {
                            seen.send(()).await.unwrap();
                        }
                    }
                }
            };
            timeout(DEADLINE * 2, read).await.expect("the stream ends once every task has");
            assert!(resets >= 1, "{connection} was not told that its history ended");
            assert!(
                finals.values().all(|count| *count == 1),
                "only across a RESET may a final come again: {finals:?}"
            );
            let ended: BTreeSet<_> = finals.into_keys().map(|(task, _)| task).collect();
            assert_eq!(ended, tasks.into_iter().collect());
        });
    }
    for _ in 0..10 {
        timeout(DEADLINE, some_ended.recv()).await.expect("a first final in time").unwrap();
    }
    redis.kill();
    redis.launch().await;
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
    for s in 0..10 {
        for t in 0..5 {
            let path = format!("/api/tasks/desk{s}-fund-{t}?cluster={}", CLUSTERS[s % 2]);
            assert_eq!(json(&system.get(&path, &[]).await)["status"], "COMPLETED", "{path}");
        }
    }
    system.stop().await;
}

/// What a `RESET` says of the tasks must be of these tasks.
fn check_states(data: &str, tasks: &[String]) {
    let reset: serde_json::Value = serde_json::from_str(data).unwrap();
    for state in reset["tasks"].as_array().expect("a RESET carries the states") {
        let task = state["correlationId"].as_str().unwrap();
        assert!(tasks.iter().any(|own| own == task), "{task}");
        let is_final = state["status"] == "COMPLETED";
        assert_eq!(state["finalEvent"], is_final, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_with_its_data_costs_no_task_its_end() {
    dies_in_the_middle(Keeps::Nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_and_keeps_its_data_costs_nothing_but_a_reset() {
    dies_in_the_middle(Keeps::Everything).await;
}
