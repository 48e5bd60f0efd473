//! Orders of events that chance hardly ever brings about, each brought about on purpose: an answer or a message waits
//! until everything that must come before it has happened.

use fundbond_protocol::{ClusterId, ConnectionId, LastEventId, PodId, Status, TaskEvent, TaskId};
use fundbond_store::{
    Bus as _, Emit, Emitted, EntryKind, Message, ReadLimit, Register, Registered, Registry as _,
    memory::Restart,
};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    client::{TestPod, TestStream, offset, post, within},
    troubled::{TroubledStore, pod},
};

fn connection() -> ConnectionId {
    ConnectionId::parse("c").unwrap()
}

async fn holder(store: &TroubledStore) -> PodId {
    store.holder(&connection()).await.unwrap().unwrap().0
}

/// A task says something, final if `step` is `end`, and no pod of this test runs it.
async fn say(store: &TroubledStore, task: &str, step: &str, stream: &str) {
    let task = TaskId::parse(task).unwrap();
    let is_final = step == "end";
    let status = if is_final { Status::COMPLETED } else { Status::PROCESSING };
    let event = TaskEvent::of_task(&task, step, status, Timestamp::UNIX_EPOCH);
    let event = if is_final { event.into_final() } else { event };
    let emit = Emit::of(&event, &ConnectionId::parse(stream).unwrap());
    assert_eq!(store.inner.emit(&emit).await.unwrap(), Emitted::Logged);
}

/// Another pod registers the stream. Its id, and the generation it got.
async fn take_over(store: &TroubledStore) -> (PodId, u64) {
    let pod = PodId::parse("pod-other-1~aaaaaaaa").unwrap();
    let cluster = ClusterId::parse("cluster1").unwrap();
    store.inner.heartbeat(&pod, &cluster).await.unwrap();
    let request = Register {
        connection: connection(),
        pod: pod.clone(),
        cluster,
        last: LastEventId::Start,
        tasks: Vec::new(),
        limit: ReadLimit::default(),
        asked: Instant::now(),
    };
    match store.inner.register(&request).await.unwrap() {
        Registered::Open(opened) => (pod, opened.generation.0),
        other => panic!("{other:?}"),
    }
}

async fn next(stream: &mut TestStream) -> String {
    let event = within("what the stream says next", stream.next_said()).await;
    event.map_or_else(|| "the end".into(), |event| event.name)
}

async fn rest(stream: &mut TestStream) -> Vec<String> {
    let events = within("the end of a stream", stream.rest()).await;
    events.into_iter().map(|event| event.name).collect()
}

/// Asks for a task on the stream; what the answer says of it.
async fn start(pod: &TestPod, task: &str) -> String {
    let body = json!({"correlationId": task, "connectionId": "c", "kind": "steps", "count": 1});
    let answer = pod.post("/api/fund-api", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["stream"].as_str().unwrap().into()
}

// Tells `close_local`: for all the pod knows, every task of the stream has ended.
#[tokio::test]
async fn a_stream_does_not_end_before_a_task_that_its_pod_has_not_heard_of() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("c", &["t"]).await;
    let finish = store.hold("finish");
    let end = store.hold_messages(
        |message| matches!(message, Message::Event { entry, .. } if entry.kind == EntryKind::Final),
    );
    say(&store, "t", "end", "c").await;
    end.reached(1).await;
    let attached = store.hold_messages(|message| matches!(message, Message::Attached { .. }));
    assert_eq!(start(&pod, "u").await, "open");
    end.release();
    assert_eq!(next(&mut stream).await, "COMPLETED");
    attached.reached(1).await;
    tokio::select! {
        () = finish.reached(1) => {}
        said = next(&mut stream) => panic!("{said} before the store was asked"),
    }
    finish.release();
    attached.release();
    assert_eq!(rest(&mut stream).await, ["PROCESSING", "SUBTASK_COMPLETED", "COMPLETED"]);
    assert!(stream.ended_cleanly);
    pod.stop().await;
}

// Tells `no_told`: the stream has ended for the store, its pod does not know yet, and nobody will read the new task
// if its client believes to be listening.
#[tokio::test]
async fn a_task_that_comes_after_the_end_of_its_stream_is_told_that_nobody_listens() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("c", &["t"]).await;
    let finish = store.hold("finish");
    say(&store, "t", "end", "c").await;
    let last = within("the end of t", stream.next_said()).await.unwrap();
    assert_eq!((last.name.as_str(), offset(&last)), ("COMPLETED", 1));
    finish.reached(1).await;
    assert_eq!(start(&pod, "u").await, "closed");
    finish.release();
    assert!(rest(&mut stream).await.is_empty());
    assert!(stream.ended_cleanly);
    let mut again = pod.open("c", &[], Some(&last.id)).await;
    assert_eq!(again.status, 200);
    assert_eq!(rest(&mut again).await, ["CONNECTED", "PROCESSING", "SUBTASK_COMPLETED", "COMPLETED"]);
    pod.stop().await;
}

// Tells `no_xseen`: the message overtakes the answer that it is about.
#[tokio::test]
async fn a_stream_that_was_taken_over_before_its_own_answer_came_says_so() {
    let (pod, store) = pod().await;
    let mut other = pod.listen("other", &[]).await;
    // Nor may a re-assertion bring it out.
    let _reassert = store.hold("reassert");
    let register = store.hold("register");
    let request = post("/api/fund-events", &json!({"connectionId": "c"}));
    let opening = tokio::spawn(TestStream::open(pod.address, request));
    register.reached(1).await;
    let (newer, generation) = take_over(&store).await;
    // Who hears this has heard of the takeover.
    say(&store, "marker", "0", "other").await;
    assert_eq!(next(&mut other).await, "PROCESSING");
    register.release();
    let mut stream = opening.await.unwrap();
    assert_eq!(next(&mut stream).await, "CONNECTED");
    let farewell = within("a farewell", stream.next_said()).await.unwrap();
    assert_eq!((farewell.name, farewell.id), ("REPLACED".into(), format!("x.{generation}")));
    assert!(rest(&mut stream).await.is_empty());
    assert_eq!(holder(&store).await, newer);
}

// Tells `no_resub_catch`: nothing more is logged, and no re-assertion answers.
#[tokio::test]
async fn what_a_broken_way_lost_is_read_once_it_is_mended() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("c", &["t"]).await;
    let _reassert = store.hold("reassert");
    store.lose_messages(|message| *message != Message::Gap);
    say(&store, "t", "0", "c").await;
    store.inner.cut(&holder(&store).await);
    assert_eq!(next(&mut stream).await, "PROCESSING");
}

// Tells `no_resub_catch` as well: the subscription itself is over, and the pod takes another.
#[tokio::test]
async fn what_came_between_two_subscriptions_is_read() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("c", &["t"]).await;
    let _reassert = store.hold("reassert");
    store.lose_messages(|message| *message != Message::Gap);
    say(&store, "t", "0", "c").await;
    // Takes over, and so ends the pod's own.
    drop(store.inner.subscribe(&holder(&store).await).await.unwrap());
    assert_eq!(next(&mut stream).await, "PROCESSING");
}

// Tells `reassert_as_register`: the pod goes on under a new id, and must not take back what it lost meanwhile.
#[tokio::test]
async fn a_pod_that_was_declared_dead_takes_no_stream_back_from_another() {
    let (pod, store) = pod().await;
    let mut stream = pod.listen("c", &[]).await;
    let old = holder(&store).await;
    let gap = store.hold_messages(|message| *message == Message::Gap);
    store.inner.restart(Restart::LoseEverything);
    gap.reached(1).await;
    assert!(store.inner.bury(&old).await.unwrap());
    let (newer, _) = take_over(&store).await;
    gap.release();
    let said = within("the end of a stream", stream.rest()).await;
    assert_eq!(said.last().unwrap().name, "REPLACED");
    assert_eq!(holder(&store).await, newer);
}
