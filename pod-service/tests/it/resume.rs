//! Cutting and resuming, and every kind of Last-Event-ID.

use std::sync::Arc;

use fundbond_protocol::sse::Event;
use fundbond_store::{MemoryStore, memory};
use proptest::prelude::*;

use crate::client::{TestPod, settings, task_event, within};

fn ids(events: &[Event]) -> Vec<(String, String, String)> {
    events.iter().map(|e| (e.id.clone(), e.name.clone(), e.data.clone())).collect()
}

/// Cuts a stream after every possible event, 100 times with another mix of tasks, and resumes: the pieces
/// are the uncut stream. The client keeps reading while the tasks run, so the cuts fall into live events,
/// pages and everything between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_every_event_and_resumed_is_the_uncut_stream() {
    let pod = TestPod::start().await;
    for round in 0..100_u32 {
        let (connection, steps) = (format!("cut{round}"), 1 + round % 4);
        let tasks: Vec<String> = (0..=round % 3).map(|t| format!("{connection}-fund-{t}")).collect();
        let names: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let mut pieces: Vec<Event> = Vec::new();
        let mut last = None;
        let mut started = false;
        loop {
            let mut stream = pod.open(&connection, &names, last.as_deref()).await;
            if stream.status == 204 {
                break;
            }
            assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
            if !std::mem::replace(&mut started, true) {
                for name in &names {
                    pod.start_steps(name, &connection, steps, 1).await;
                }
            }
            // One event, then the cut.
            if let Some(event) = stream.next_said().await {
                last = Some(event.id.clone());
                pieces.push(event);
            } else {
                break;
            }
        }
        let uncut = pod.open(&connection, &names, None).await.rest().await;
        assert_eq!(ids(&pieces), ids(&uncut[1..]), "round {round}");
        assert_eq!(uncut.len(), 1 + tasks.len() * (steps as usize + 2));
    }
    pod.stop().await;
}

async fn finished_pod() -> (TestPod, Vec<Event>) {
    let pod = TestPod::start().await;
    pod.start_steps("t", "c", 2, 0).await;
    pod.until_final("t").await;
    let whole = pod.open("c", &[], None).await.rest().await;
    assert_eq!(whole.len(), 5);
    (pod, whole)
}

#[tokio::test]
async fn an_empty_last_event_id_reads_from_the_start() {
    let (pod, whole) = finished_pod().await;
    let again = pod.open("c", &[], Some("")).await.rest().await;
    assert_eq!(ids(&again[1..]), ids(&whole[1..]));
    assert_eq!(again[0].id, whole[0].id);
}

#[tokio::test]
async fn the_query_twin_resumes_too_and_the_header_wins() {
    let (pod, whole) = finished_pod().await;
    let path = format!("/api/fund-events/c?taskIds=t&lastEventId={}", whole[3].id);
    let get = |last: Option<&str>| {
        let mut request = http::Request::get(&path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        crate::client::TestStream::open(pod.address, request.body(http_body_util::Full::default()).unwrap())
    };
    let rest = get(None).await.rest().await;
    assert_eq!(rest.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), [&*whole[3].id, &*whole[4].id]);
    assert_eq!(get(Some(&whole[2].id)).await.rest().await.len(), 3);
}

#[tokio::test]
async fn garbage_future_and_foreign_positions_are_told_reset_with_true_states() {
    let (pod, whole) = finished_pod().await;
    let epoch = whole[0].id.split_once('.').unwrap().0.to_owned();
    for last in
        ["garbage".to_owned(), "a b c".into(), "zzzz.3".into(), format!("{epoch}.99"), format!("{epoch}.-1")]
    {
        let events = pod.open("c", &[], Some(&last)).await.rest().await;
        let names: Vec<&str> = events.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["CONNECTED", "RESET"], "{last:?}");
        assert_eq!(events[0].id, "", "no id before the RESET, or a cut between the two would hide it");
        let tasks = task_event(&events[1]).tasks.unwrap();
        assert_eq!((tasks.len(), tasks[0].status.as_str(), tasks[0].final_event), (1, "COMPLETED", true));
        // The new position is a place to resume from.
        assert_eq!(pod.open("c", &[], Some(&events[1].id)).await.status, 204, "{last:?}");
    }
}

#[tokio::test]
async fn an_evicted_position_is_told_reset_and_an_evicted_start_the_kept_log_too() {
    let config = memory::Config { log_floor: 4, log_per_task: 4, ..memory::Config::default() };
    let pod = TestPod::with(settings(), Arc::new(MemoryStore::with(config))).await;
    pod.start_steps("t", "c", 20, 0).await;
    pod.until_final("t").await;
    let fresh = pod.open("c", &[], None).await.rest().await;
    let names: Vec<&str> = fresh.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(
        names,
        ["CONNECTED", "RESET", "SUBTASK_COMPLETED", "SUBTASK_COMPLETED", "SUBTASK_COMPLETED", "COMPLETED"]
    );
    let epoch = fresh[1].id.split_once('.').unwrap().0;
    let evicted = pod.open("c", &[], Some(&format!("{epoch}.2"))).await.rest().await;
    assert_eq!(evicted.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["CONNECTED", "RESET"]);
    assert!(task_event(&evicted[1]).tasks.unwrap()[0].final_event);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// No header value, however odd, gets anything but a stream or a 204.
    #[test]
    fn no_last_event_id_is_answered_by_an_error(last in "[ -~]{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (pod, _) = finished_pod().await;
            let mut stream = pod.open("c", &[], Some(&last)).await;
            assert!(stream.status == 200 || stream.status == 204, "{}", stream.status);
            within("the end", stream.rest()).await;
        });
    }
}
