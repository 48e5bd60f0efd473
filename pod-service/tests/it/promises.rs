//! What a stream promises while nothing goes wrong.

use std::{collections::BTreeMap, sync::Arc};

use crate::client::{TestPod, offset, task_event};

/// 100 streams with 10 tasks each, at once: each stream reads its own events, in order and without a gap,
/// one final event a task with nothing after it, and then ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_of_ten_tasks_each_read_exactly_their_own() {
    const STREAMS: usize = 100;
    const TASKS: usize = 10;
    const STEPS: u32 = 5;
    let pod = Arc::new(TestPod::start().await);
    let mut readers = tokio::task::JoinSet::new();
    for s in 0..STREAMS {
        let pod = pod.clone();
        readers.spawn(async move {
            let connection = format!("desk{s}");
            let tasks: Vec<String> = (0..TASKS).map(|t| format!("{connection}-fund-{t}")).collect();
            let names: Vec<&str> = tasks.iter().map(String::as_str).collect();
            let mut stream = pod.open(&connection, &names, None).await;
            assert_eq!(stream.status, 200);
            for task in &names {
                pod.start_steps(task, &connection, STEPS, 1).await;
            }
            let events = stream.rest().await;
            assert!(stream.ended_cleanly);
            assert_eq!(events[0].name, "CONNECTED");
            let mut steps: BTreeMap<String, u32> = BTreeMap::new();
            let mut finals: BTreeMap<String, u32> = BTreeMap::new();
            for (index, event) in events.iter().enumerate().skip(1) {
                assert_eq!(offset(event), index as u64, "offsets rise by one");
                let said = task_event(event);
                let task = said.correlation_id.to_string();
                assert!(tasks.contains(&task), "{task} is not of {connection}");
                assert!(!finals.contains_key(&task), "{task} spoke after its final event");
                match event.name.as_str() {
                    "SUBTASK_COMPLETED" => {
                        let step = steps.entry(task).or_default();
                        *step += 1;
                        assert_eq!(said.progress.unwrap().done, u64::from(*step), "steps come in order");
                    }
                    "COMPLETED" => *finals.entry(task).or_default() += 1,
                    other => assert_eq!(other, "PROCESSING"),
                }
            }
            assert_eq!(finals.len(), TASKS);
            assert!(finals.values().all(|n| *n == 1));
            assert!(steps.values().all(|n| *n == STEPS));
            let last = events.last().unwrap().id.clone();
            for tasks in [&names[..], &[]] {
                assert_eq!(
                    pod.open(&connection, tasks, Some(&last)).await.status,
                    204,
                    "a finished stream is over"
                );
            }
        });
    }
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
    Arc::into_inner(pod).unwrap().stop().await;
}

#[tokio::test]
async fn a_task_that_began_before_its_stream_is_whole() {
    let pod = TestPod::start().await;
    pod.start_steps("early", "late", 3, 0).await;
    pod.until_final("early").await;
    let names: Vec<String> =
        pod.open("late", &[], None).await.rest().await.into_iter().map(|e| e.name).collect();
    assert_eq!(names[0], "CONNECTED");
    assert_eq!(
        names[1..],
        ["PROCESSING", "SUBTASK_COMPLETED", "SUBTASK_COMPLETED", "SUBTASK_COMPLETED", "COMPLETED"]
    );
}

#[tokio::test]
async fn a_second_stream_takes_over_and_the_first_is_told_to_stay_away() {
    let pod = TestPod::start().await;
    let mut first = pod.open("c", &[], None).await;
    assert_eq!(first.next_said().await.unwrap().name, "CONNECTED");
    let mut second = pod.open("c", &[], None).await;
    assert_eq!(second.next_said().await.unwrap().name, "CONNECTED");
    let farewell = first.rest().await;
    assert_eq!(farewell.len(), 1);
    assert_eq!(farewell[0].name, "REPLACED");
    assert!(farewell[0].id.starts_with("x."));
    assert_eq!(pod.open("c", &[], Some(&farewell[0].id)).await.status, 204);
    pod.start_steps("t", "c", 1, 0).await;
    assert_eq!(second.rest().await.last().unwrap().name, "COMPLETED");
}

#[tokio::test]
async fn a_fresh_stream_takes_a_task_from_an_older_one() {
    let pod = TestPod::start().await;
    let mut older = pod.open("older", &["t"], None).await;
    assert_eq!(older.next_said().await.unwrap().name, "CONNECTED");
    let mut newer = pod.open("newer", &["t"], None).await;
    assert_eq!(newer.next_said().await.unwrap().name, "CONNECTED");
    let told = older.rest().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].name.as_str(), task_event(&told[0]).correlation_id.as_str()), ("REPLACED", "t"));
    pod.start_steps("t", "newer", 1, 0).await;
    assert_eq!(newer.rest().await.last().unwrap().name, "COMPLETED");
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_and_its_registration_deleted() {
    use fundbond_protocol::ConnectionId;
    use fundbond_store::{MemoryStore, Registry as _};

    let store = Arc::new(MemoryStore::new());
    let pod = TestPod::with(crate::client::settings(), store.clone()).await;
    let connection = ConnectionId::parse("leaver").unwrap();
    let mut stream = pod.open("leaver", &[], None).await;
    stream.next_said().await;
    assert!(store.holder(&connection).await.unwrap().is_some());
    drop(stream);
    // The contract says 15 s; the closed socket tells within milliseconds.
    crate::client::within("the registration to go", async {
        while store.holder(&connection).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A client whose machine is gone says nothing at all; only a socket that asks finds out.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_is_silent_is_asked_whether_it_is_there() {
    let pod = TestPod::start().await;
    let mut stream = pod.open("silent", &[], None).await;
    stream.next_said().await;
    let port = format!(":{:04X}", pod.address.port());
    crate::client::within("a keepalive timer on the pod's side", async {
        loop {
            // Columns: number, local, remote, state (01: established), queues, timer (02: keepalive) ...
            let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
            let asked = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|row| {
                row.len() > 5 && row[1].ends_with(&port) && row[3] == "01" && row[5].starts_with("02:")
            });
            if asked {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_says_heartbeat_two_seconds_after_it_opened() {
    let pod = TestPod::start().await;
    let mut stream = pod.open("quiet", &[], None).await;
    assert_eq!(stream.next().await.unwrap().name, "CONNECTED");
    let opened = tokio::time::Instant::now();
    let beat = stream.next().await.unwrap();
    assert_eq!(beat.name, "HEARTBEAT");
    assert!(opened.elapsed().as_millis() > 1500, "{:?}", opened.elapsed());
    assert!(task_event(&beat).correlation_id.as_str() == "quiet");
    assert!((800..=1200).contains(&stream.retries[0]));
}

#[tokio::test]
async fn an_old_stream_is_sent_away_and_resumes() {
    let settings = fundbond_pod_service::Settings {
        live: fundbond_pod_service::LiveSettings {
            max_stream_age: std::time::Duration::from_millis(300),
            ..crate::client::settings().live
        },
        ..crate::client::settings()
    };
    let pod = TestPod::with(settings, Arc::new(fundbond_store::MemoryStore::new())).await;
    let mut stream = pod.open("old", &["t"], None).await;
    let events = stream.rest().await;
    assert_eq!(events.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["CONNECTED", "DRAINING"]);
    assert!(stream.ended_cleanly);
    assert_eq!(stream.retries.len(), 2);
    pod.start_steps("t", "old", 1, 0).await;
    pod.until_final("t").await;
    let resumed = pod.open("old", &["t"], Some(&events[0].id)).await.rest().await;
    assert_eq!(resumed.last().unwrap().name, "COMPLETED");
}

#[tokio::test]
async fn a_pod_that_is_full_sends_streams_away_with_a_delay_and_never_a_503() {
    let usual = crate::client::settings();
    let live = fundbond_pod_service::LiveSettings { max_streams: 1, ..usual.live };
    let settings = fundbond_pod_service::Settings { live, ..usual };
    let pod = TestPod::with(settings, Arc::new(fundbond_store::MemoryStore::new())).await;
    let mut first = pod.open("first", &[], None).await;
    first.next_said().await;
    let mut second = pod.open("second", &[], None).await;
    assert_eq!(second.status, 200);
    assert!(second.rest().await.is_empty());
    assert!(second.ended_cleanly);
    assert!(second.retries[0] >= 2400, "{:?}", second.retries);
}
