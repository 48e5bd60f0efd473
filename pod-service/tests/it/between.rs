//! What happens between a question to the store and its answer.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use fundbond_pod_service::Settings;
use fundbond_protocol::{ClusterId, ConnectionId, LastEventId, PodId, TaskId};
use fundbond_store::{
    Bus as _, Message, ReadLimit, Register, Registered, Registry as _, Tasks as _, memory::Restart,
};
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    client::{TestPod, TestStream, post, send, settings, within},
    troubled::{TroubledStore, pod},
};

/// A pod that runs one task at a time.
async fn pod_of_one_task() -> (TestPod, Arc<TroubledStore>) {
    let settings = Settings { task_concurrency: NonZeroUsize::new(1), ..settings() };
    let store = Arc::new(TroubledStore::default());
    (TestPod::with(settings, store.clone()).await, store)
}

/// The registration of a new stream without tasks.
fn register(connection: &str, (pod, cluster): &(PodId, ClusterId), asked: Instant) -> Register {
    Register {
        connection: ConnectionId::parse(connection).unwrap(),
        pod: pod.clone(),
        cluster: cluster.clone(),
        last: LastEventId::Start,
        tasks: Vec::new(),
        limit: ReadLimit::default(),
        asked,
    }
}

fn steps(task: &str) -> Request<Full<bytes::Bytes>> {
    post("/api/fund-api", &json!({"correlationId": task, "kind": "steps", "count": 1}))
}

async fn until_final(store: &TroubledStore, task: &str) {
    let task = TaskId::parse(task).unwrap();
    within("a final event", async {
        while !store.task(&task).await.unwrap().is_some_and(|record| record.is_final) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn until_released(store: &TroubledStore, connection: &str) {
    let connection = ConnectionId::parse(connection).unwrap();
    within("the registration to go", async {
        while store.holder(&connection).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn metric(pod: &TestPod, line: &str) -> bool {
    pod.metrics().await.lines().any(|l| l == line)
}

// The client is sent away and may come back to another pod, or never: nobody has this stream.
#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_released() {
    let (pod, store) = pod().await;
    store.lose_answers("register", 1);
    assert_eq!(pod.get("/api/fund-events/c").await.status, 200);
    until_released(&store, "c").await;
    pod.stop().await;
}

// The same where the network kept the step back for longer than the pod waited.
#[tokio::test]
async fn a_registration_that_comes_after_its_stream_was_given_up_is_released() {
    let (pod, store) = pod().await;
    let mut here = pod.open("here", &[], None).await;
    here.next().await;
    let id = |text: &str| ConnectionId::parse(text).unwrap();
    let holder = store.holder(&id("here")).await.unwrap().unwrap();
    let late = register("late", &holder, Instant::now());
    assert!(matches!(store.register(&late).await.unwrap(), Registered::Open(_)));
    until_released(&store, "late").await;
    assert_eq!(store.holder(&id("here")).await.unwrap(), Some(holder));
    drop(here);
    pod.stop().await;
}

// As after a SIGSTOP: the connection was taken and closed while nothing here ran.
#[tokio::test]
async fn a_client_that_left_before_its_request_was_read_takes_no_stream() {
    let (pod, store) = pod().await;
    let mut open = pod.open("c", &[], None).await;
    open.next().await;
    let held = store.holder(&ConnectionId::parse("c").unwrap()).await.unwrap();
    {
        use std::io::Write as _;
        // Blocking, so that the pod, which shares this thread, sees nothing until it is over.
        let mut client = std::net::TcpStream::connect(pod.address).unwrap();
        client
            .write_all(b"GET /api/fund-events/c HTTP/1.1\r\nHost: pod\r\nAccept: text/event-stream\r\n\r\n")
            .unwrap();
    }
    for _ in 0..20 {
        assert_eq!(pod.get("/api/tasks/none").await.status, 404);
    }
    assert_eq!(store.holder(&ConnectionId::parse("c").unwrap()).await.unwrap(), held);
    assert!(metric(&pod, r#"fund_stream_opens_total{outcome="start"} 1"#).await);
    drop(open);
    pod.stop().await;
}

// Two pages would take the stream from each other, or the one that is open would be told of one that is gone.
#[tokio::test]
async fn a_request_for_a_stream_that_a_newer_one_overtook_is_sent_away() {
    let (pod, store) = pod().await;
    let id = |text: &str| ConnectionId::parse(text).unwrap();
    let elsewhere = (PodId::parse("other~1").unwrap(), ClusterId::parse("elsewhere").unwrap());
    store.heartbeat(&elsewhere.0, &elsewhere.1).await.unwrap();
    let newer = register("c", &elsewhere, Instant::now() + Duration::from_mins(1));
    assert!(matches!(store.register(&newer).await.unwrap(), Registered::Open(_)));
    let answer = pod.get("/api/fund-events/c").await;
    assert_eq!(answer.status, 200, "no browser comes back after another status");
    assert!(answer.text.starts_with("retry: "), "{}", answer.text);
    assert!(answer.text.contains("a newer request has this stream"), "{}", answer.text);
    assert_eq!(store.holder(&id("c")).await.unwrap(), Some(elsewhere));
    assert!(metric(&pod, r#"fund_stream_opens_total{outcome="late"} 1"#).await);
    pod.stop().await;
}

// A failover to a replica that lagged.
#[tokio::test]
async fn a_registration_that_a_store_brings_back_for_nobody_is_released() {
    let (pod, store) = pod().await;
    let mut stays = pod.open("stays", &[], None).await;
    stays.next().await;
    let mut left = pod.open("left", &[], None).await;
    left.next().await;
    let backup = store.inner.backup();
    drop(left);
    until_released(&store, "left").await;
    store.inner.restart(Restart::RollBackTo(backup));
    assert!(store.holder(&ConnectionId::parse("left").unwrap()).await.unwrap().is_some());
    until_released(&store, "left").await;
    assert!(store.holder(&ConnectionId::parse("stays").unwrap()).await.unwrap().is_some());
    drop(stays);
    pod.stop().await;
}

#[tokio::test]
async fn a_task_whose_client_left_before_the_answer_still_runs() {
    let (pod, store) = pod().await;
    let hold = store.hold("submit");
    let client = tokio::spawn(send(pod.address, steps("t")));
    hold.reached(1).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    // Time enough for the pod to see that the connection is gone.
    for _ in 0..10 {
        assert_eq!(pod.get("/api/tasks/none").await.status, 404);
    }
    hold.release();
    until_final(&store, "t").await;
    pod.stop().await;
}

// The client is told that nobody knows; it asks again and is told that the task was accepted. So it must run.
#[tokio::test]
async fn a_task_whose_acceptance_was_written_down_unheard_runs_all_the_same() {
    let (pod, store) = pod().await;
    store.lose_answers("submit", 1);
    assert_eq!(send(pod.address, steps("t")).await.status, 503);
    until_final(&store, "t").await;
    let again = send(pod.address, steps("t")).await;
    assert_eq!(again.status, 202);
    pod.stop().await;
}

// Tells `no_ledger`.
#[tokio::test]
async fn a_store_that_forgot_learns_again_what_was_accepted_and_how_it_ended() {
    let (pod, store) = pod().await;
    let task = TaskId::parse("t").unwrap();
    assert_eq!(send(pod.address, steps("t")).await.status, 202);
    until_final(&store, "t").await;
    let before = store.task(&task).await.unwrap();
    // The bus is back before the steps are.
    store.fail("restore", 3);
    store.inner.restart(Restart::LoseEverything);
    until_final(&store, "t").await;
    assert_eq!(store.task(&task).await.unwrap(), before);
    pod.stop().await;
}

#[tokio::test]
async fn a_store_that_forgot_learns_again_how_tasks_ended_that_somebody_cancelled() {
    let (pod, store) = pod_of_one_task().await;
    pod.start_steps("runs", "c", 1_000, 1_000).await;
    within("the task to begin", async {
        while pod.get("/api/tasks/runs").await.json()["status"] != "PROCESSING" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pod.start_steps("waits", "c", 1, 0).await;
    let mut before = Vec::new();
    for task in ["runs", "waits"] {
        assert_eq!(pod.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await.status, 200);
        before.push(store.task(&TaskId::parse(task).unwrap()).await.unwrap());
    }
    // What ends after them is remembered after them.
    pod.start_steps("last", "c", 1, 0).await;
    until_final(&store, "last").await;
    store.inner.restart(Restart::LoseEverything);
    for (task, before) in ["runs", "waits"].into_iter().zip(before) {
        until_final(&store, task).await;
        assert_eq!(store.task(&TaskId::parse(task).unwrap()).await.unwrap(), before);
    }
    pod.stop().await;
}

// The end is read again until the store says it, not only when the next task ends.
#[tokio::test]
async fn an_end_that_could_not_be_read_at_once_is_remembered_all_the_same() {
    let (pod, store) = pod_of_one_task().await;
    pod.start_steps("runs", "c", 1_000, 1_000).await;
    pod.start_steps("waits", "c", 1, 0).await;
    let told = store.hold_messages(|message| matches!(message, Message::Ended { .. }));
    assert_eq!(pod.post("/api/tasks/waits/cancel", &json!({})).await.status, 200);
    told.reached(1).await;
    let read = store.fail_then_hold("task", 3);
    told.release();
    read.reached(1).await;
    read.release();
    let task = TaskId::parse("waits").unwrap();
    let before = store.inner.task(&task).await.unwrap();
    store.inner.restart(Restart::LoseEverything);
    until_final(&store, "waits").await;
    assert_eq!(store.task(&task).await.unwrap(), before);
    pod.stop().await;
}

#[tokio::test]
async fn a_store_that_forgot_while_every_connection_stayed_is_noticed() {
    let (pod, store) = pod().await;
    pod.start_steps("t", "c", 1, 0).await;
    until_final(&store, "t").await;
    store.lose_messages(|message| *message == Message::Gap);
    store.inner.restart(Restart::LoseEverything);
    // At the next heartbeat.
    until_final(&store, "t").await;
    pod.stop().await;
}

#[tokio::test]
async fn a_task_that_was_being_accepted_when_the_drain_began_still_ends() {
    let (pod, store) = pod().await;
    let hold = store.hold("submit");
    let client = tokio::spawn(send(pod.address, steps("t")));
    hold.reached(1).await;
    pod.shutdown.begin();
    within("the drain", async {
        while send(pod.address, steps("late")).await.status != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    hold.release();
    assert_eq!(client.await.unwrap().status, 202);
    until_final(&store, "t").await;
    within("the pod to stop", pod.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pod_whose_store_takes_no_subscription_stops_all_the_same() {
    let (pod, store) = pod().await;
    let connection = ConnectionId::parse("c").unwrap();
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    let (holder, _) = store.holder(&connection).await.unwrap().unwrap();
    store.fail("subscribe", usize::MAX);
    // Takes over, and so ends the pod's own.
    drop(store.inner.subscribe(&holder).await.unwrap());
    pod.stop().await;
    assert_eq!(stream.next_said().await.unwrap().name, "DRAINING");
}

#[tokio::test]
async fn a_stream_that_the_store_cannot_register_is_sent_away_and_not_refused() {
    let (pod, store) = pod().await;
    store.fail("register", 1);
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.status, 200, "an EventSource takes any other status for a final word");
    assert!(stream.rest().await.is_empty());
    assert!(stream.ended_cleanly && stream.retries[0] >= 2400, "{:?}", stream.retries);
    let mut again = pod.open("c", &[], None).await;
    assert_eq!(again.next_said().await.unwrap().name, "CONNECTED");
}

#[tokio::test]
async fn many_opens_that_find_a_grave_renew_the_pod_once() {
    let (pod, store) = pod().await;
    let connection = ConnectionId::parse("c").unwrap();
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    let (old, _) = store.holder(&connection).await.unwrap().unwrap();
    // The pod's own heartbeat finds the grave, too, but its answer comes last.
    let heartbeat = store.hold("heartbeat");
    let register = store.hold("register");
    store.inner.restart(Restart::LoseEverything);
    assert!(store.inner.bury(&old).await.unwrap());
    heartbeat.reached(1).await;
    let opens: Vec<_> = (0..5).map(|n| tokio::spawn(first_word(pod.address, format!("other{n}")))).collect();
    register.reached(5).await;
    register.release();
    heartbeat.reached(5).await;
    heartbeat.release();
    for open in opens {
        assert_eq!(open.await.unwrap(), "CONNECTED");
    }
    assert!(metric(&pod, "fund_pod_renewals_total 1").await);
}

async fn first_word(address: std::net::SocketAddr, connection: String) -> String {
    let request = post("/api/fund-events", &json!({"connectionId": connection}));
    TestStream::open(address, request).await.next_said().await.unwrap().name
}

#[tokio::test]
async fn a_client_that_leaves_while_the_store_is_away_leaves_no_registration() {
    let (pod, store) = pod().await;
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    store.fail("close", 9);
    drop(stream);
    until_released(&store, "c").await;
    pod.stop().await;
}

#[tokio::test]
async fn a_re_assertion_that_meets_the_end_of_its_stream_does_not_say_replaced() {
    let (pod, store) = pod().await;
    let mut stream = pod.open("c", &["t"], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    let (holder, _) = store.holder(&ConnectionId::parse("c").unwrap()).await.unwrap().unwrap();
    // The stream has ended for the store, and its answer is on its way.
    let finish = store.hold("finish");
    pod.start_steps("t", "c", 1, 0).await;
    finish.reached(1).await;
    let reassert = store.hold("reassert");
    store.inner.cut(&holder);
    reassert.reached(1).await;
    reassert.release();
    // Another request and answer: the re-assertion's has arrived by then.
    for _ in 0..10 {
        assert_eq!(pod.get("/api/tasks/none").await.status, 404);
    }
    finish.release();
    let names: Vec<String> = stream.rest().await.into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["PROCESSING", "SUBTASK_COMPLETED", "COMPLETED"]);
}
