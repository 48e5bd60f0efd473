//! The one stream of a user: who holds it, what is said on it, and how it ends.

use std::{sync::Arc, time::Duration};

use fundbond_protocol::{ConnectionId, UserId};
use fundbond_store::{MemoryStore, Message, Registry as _, memory::Restart};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    client::{Answer, TestPod, TestStream, send, settings, task_event, within},
    troubled::TroubledStore,
};

/// Pods that share a store.
pub async fn pods<const N: usize>() -> ([TestPod; N], Arc<TroubledStore>) {
    let store = Arc::new(TroubledStore::default());
    let mut pods = Vec::new();
    for _ in 0..N {
        pods.push(TestPod::with(settings(), store.clone()).await);
    }
    (pods.try_into().unwrap_or_else(|_| panic!("{N} pods")), store)
}

/// Opens a user's stream, with a last event id or without.
pub async fn open(pod: &TestPod, user: &str, last: &str) -> TestStream {
    let request = Request::get(format!("/api/sse/connect/{user}")).header("last-event-id", last);
    TestStream::open(pod.address, request.body(Full::default()).unwrap()).await
}

/// Opens a user's stream from the start, and reads what every stream begins with.
pub async fn connect(pod: &TestPod, user: &str) -> TestStream {
    let mut stream = open(pod, user, "").await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    stream
}

pub async fn say(pod: &TestPod, body: Value) -> Answer {
    pod.post("/api/sse/send", &body).await
}

/// Sends a number to `maria`, and says where it went.
pub async fn number(pod: &TestPod, number: u64) -> String {
    let answer = say(pod, json!({"userId": "maria", "event": "number", "data": number})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["delivery"].as_str().unwrap().to_owned()
}

pub async fn status(pod: &TestPod) -> Value {
    let answer = pod.get("/api/sse/status/maria").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// The data of the next event.
pub async fn heard(stream: &mut TestStream) -> String {
    stream.next_said().await.expect("the stream goes on").data
}

#[tokio::test]
async fn what_is_sent_to_any_pod_reaches_the_one_that_holds_the_stream() {
    let ([here, there], _) = pods().await;
    assert_eq!(number(&here, 1).await, "offline");
    let mut stream = connect(&there, "maria").await;
    assert_eq!(number(&here, 2).await, "remote");
    assert_eq!(number(&there, 3).await, "local");
    for expected in ["1", "2", "3"] {
        let event = stream.next_said().await.unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str()), ("number", expected));
        assert!(event.id.ends_with(&format!(".{expected}")), "{}", event.id);
    }
    assert_eq!(say(&here, json!({"userId": "maria", "data": null})).await.status, 202);
    let event = stream.next_said().await.unwrap();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("MESSAGE", "null"));
    let metrics = here.metrics().await;
    for (delivery, events) in [("offline", 1), ("remote", 2)] {
        let line = format!("fund_user_events_total{{delivery=\"{delivery}\"}} {events}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[tokio::test]
async fn data_arrives_as_it_was_sent() {
    let ([pod], _) = pods().await;
    let mut stream = connect(&pod, "maria").await;
    let precise = "123456789012345678901234567890.10";
    let pretty = "{\"b\":1,\r\n\t\"a\":[\"\\u0000\\n\", \"\u{1f4b6}\"]}";
    for data in [precise, pretty, "\"\"", "[]", "false"] {
        let body = format!("{{\"userId\":\"maria\",\"data\":{data}}}");
        let request = Request::post("/api/sse/send").header("content-type", "application/json");
        let answer = send(pod.address, request.body(Full::from(body)).unwrap()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(heard(&mut stream).await, data.replace("\r\n", "\n"));
    }
}

#[tokio::test]
async fn an_event_with_an_id_is_sent_once() {
    let ([here, there], _) = pods().await;
    let mut stream = connect(&there, "maria").await;
    let body = |n: u64| json!({"userId": "maria", "data": n, "id": "order:7"});
    for (pod, delivery) in [(&here, "remote"), (&there, "local"), (&here, "remote")] {
        let answer = say(pod, body(1)).await;
        assert_eq!((answer.status, answer.json()["delivery"].as_str()), (202, Some(delivery)));
    }
    number(&here, 2).await;
    assert_eq!([heard(&mut stream).await, heard(&mut stream).await], ["1", "2"]);
}

#[tokio::test]
async fn a_newer_stream_on_another_pod_takes_over_and_the_older_stays_away() {
    let ([one, two], _) = pods().await;
    let mut older = connect(&one, "maria").await;
    let begun = Instant::now();
    let mut newer = connect(&two, "maria").await;
    let farewell = older.rest().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(older.ended_cleanly);
    assert_eq!(farewell.len(), 1, "{farewell:?}");
    assert_eq!(farewell[0].name, "REPLACED");
    assert!(farewell[0].id.starts_with("x."), "{}", farewell[0].id);
    for pod in [&one, &two] {
        assert_eq!(open(pod, "maria", &farewell[0].id).await.status, 204);
    }
    assert_eq!(number(&one, 1).await, "remote");
    assert_eq!(heard(&mut newer).await, "1");
}

#[tokio::test]
async fn a_resume_is_exact_after_a_cut_at_every_event() {
    let ([one, two], store) = pods().await;
    let mut stream = connect(&one, "maria").await;
    let mut ids = Vec::new();
    for n in 0..10 {
        number(&two, n).await;
        ids.push(stream.next_said().await.unwrap().id);
    }
    drop(stream);
    for (read, id) in ids.iter().enumerate() {
        let mut resumed = open(&two, "maria", id).await;
        let connected = resumed.next_said().await.unwrap();
        assert_eq!((connected.name.as_str(), &connected.id), ("CONNECTED", id));
        for n in read + 1..10 {
            assert_eq!(heard(&mut resumed).await, n.to_string());
        }
    }
    // Also of a stream that was opened, cut before its first event, and written to meanwhile.
    store.inner.restart(Restart::Keep);
    let mut reset = open(&one, "maria", &ids[9]).await;
    assert_eq!(reset.next_said().await.unwrap().name, "CONNECTED");
    let reset = reset.next_said().await.unwrap();
    assert_eq!((reset.name.as_str(), task_event(&reset).tasks), ("RESET", Some(vec![])));
    assert_eq!(task_event(&reset).correlation_id.as_str(), "maria");
}

#[tokio::test]
async fn an_open_stream_is_told_that_history_is_gone_and_goes_on() {
    let ([pod], store) = pods().await;
    let mut stream = connect(&pod, "maria").await;
    number(&pod, 1).await;
    assert_eq!(heard(&mut stream).await, "1");
    for restart in [Restart::Keep, Restart::LoseEverything] {
        store.inner.restart(restart);
        assert_eq!(stream.next_said().await.unwrap().name, "RESET");
        within("the stream to be held again", async {
            while number(&pod, 2).await != "local" {
                assert_eq!(heard(&mut stream).await, "2");
            }
        })
        .await;
        assert_eq!(heard(&mut stream).await, "2");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_offline_and_one_that_comes_back_has_missed_nothing() {
    let ([one, two], store) = pods().await;
    let mut stream = connect(&one, "maria").await;
    number(&two, 1).await;
    let last = stream.next_said().await.unwrap().id;
    drop(stream);
    let connection = ConnectionId::of_user(&UserId::parse("maria").unwrap());
    within("the registration to go", async {
        while store.holder(&connection).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(number(&one, 2).await, "offline");
    let mut back = open(&two, "maria", &last).await;
    assert_eq!(back.next_said().await.unwrap().name, "CONNECTED");
    assert_eq!(heard(&mut back).await, "2");
}

// Tells `close_forgetful`.
#[tokio::test]
async fn a_stream_is_closed_from_anywhere_and_its_client_stays_away() {
    let ([one, two], _) = pods().await;
    let mut stream = connect(&one, "maria").await;
    number(&two, 1).await;
    let last = stream.next_said().await.unwrap().id;
    let closed = two.post("/api/sse/close/maria", &json!({})).await;
    assert_eq!((closed.status, closed.json()), (200, json!({"userId": "maria", "closed": true})));
    let farewell = stream.rest().await;
    assert!(stream.ended_cleanly);
    assert_eq!(farewell.len(), 1, "{farewell:?}");
    assert_eq!(farewell[0].name, "CLOSED");
    assert_eq!(farewell[0].id, last, "it has none of its own");
    // An EventSource comes back with the last id it has read, whether or not it has read the farewell.
    for pod in [&one, &two] {
        assert_eq!(open(pod, "maria", &last).await.status, 204);
    }
    assert_eq!(status(&one).await["connected"], false);
    let again = two.post("/api/sse/close/maria", &json!({})).await;
    assert_eq!(again.json(), json!({"userId": "maria", "closed": false}));
    // What is sent meanwhile waits for whoever opens it anew.
    assert_eq!(number(&one, 2).await, "offline");
    let mut anew = connect(&one, "maria").await;
    assert_eq!([heard(&mut anew).await, heard(&mut anew).await], ["1", "2"]);
}

#[tokio::test]
async fn a_close_that_its_pod_did_not_hear_is_told_later() {
    let ([one, two], store) = pods().await;
    let mut stream = connect(&one, "maria").await;
    store.lose_messages(|message| matches!(message, Message::Closed { .. }));
    assert_eq!(two.post("/api/sse/close/maria", &json!({})).await.json()["closed"], true);
    // As its connection to the bus breaks, the pod repeats what it holds.
    store.inner.restart(Restart::Keep);
    let names: Vec<String> = stream.rest().await.into_iter().map(|event| event.name).collect();
    assert_eq!(names.last().unwrap(), "CLOSED", "{names:?}");
}

#[tokio::test]
async fn the_status_of_a_stream_is_the_same_on_every_pod() {
    let ([one, two], store) = pods().await;
    let nothing = json!({"connected": false, "podId": null, "clusterId": null, "connectedAt": null,
        "lastEventId": null, "queuedBytes": null});
    assert_eq!(status(&one).await, nothing);
    // Times are told to the millisecond.
    let before = jiff::Timestamp::now() - jiff::SignedDuration::from_millis(1);
    let mut stream = connect(&one, "maria").await;
    number(&two, 1).await;
    let id = stream.next_said().await.unwrap().id;
    let (here, there) = (status(&one).await, status(&two).await);
    assert_eq!(here, there);
    assert_eq!((&here["connected"], &here["clusterId"]), (&json!(true), &json!("cluster1")));
    assert_eq!((&here["lastEventId"], &here["queuedBytes"]), (&json!(id), &json!(0)));
    let pod = here["podId"].as_str().unwrap();
    let connection = ConnectionId::of_user(&UserId::parse("maria").unwrap());
    assert_eq!(pod, store.holder(&connection).await.unwrap().unwrap().0.as_str());
    let since: jiff::Timestamp = here["connectedAt"].as_str().unwrap().parse().unwrap();
    assert!(
        before <= since && since <= jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1),
        "{since}"
    );

    // What the holder does not say is not made up.
    store.lose_messages(|message| matches!(message, Message::Asked(_)));
    let unknown = status(&two).await;
    assert_eq!((&unknown["connected"], &unknown["podId"]), (&json!(true), &json!(pod)));
    assert_eq!((&unknown["connectedAt"], &unknown["queuedBytes"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_waits_for_a_client_shows_in_its_status() {
    let ([one, two], _) = pods().await;
    let stream = open(&one, "maria", "").await;
    let body = json!({"userId": "maria", "data": "x".repeat(200_000)});
    // The kernels of both sides take some of it.
    within("bytes that wait", async {
        while status(&two).await["queuedBytes"].as_u64().unwrap() < 200_000 {
            assert_eq!(say(&two, body.clone()).await.status, 202);
        }
    })
    .await;
    drop(stream);
}

#[tokio::test]
async fn a_broadcast_reaches_every_open_stream_of_the_cluster_once() {
    let ([one, two], _) = pods().await;
    let mut streams = Vec::new();
    for n in 0..20 {
        streams.push(connect([&one, &two][n % 2], &format!("user{n}")).await);
    }
    let mut other = one.listen("desk7", &[]).await;
    number(&one, 1).await;
    let body = json!({"event": "notice", "data": {"text": "closing"}, "id": "notice-1"});
    for pod in [&one, &two] {
        let answer = pod.post("/api/sse/broadcast", &body).await;
        assert_eq!((answer.status, answer.json()), (202, json!({"streams": 20})), "{}", answer.text);
    }
    for n in 0..20 {
        let to_one = json!({"userId": format!("user{n}"), "data": "after"});
        say(&two, to_one).await;
    }
    for stream in &mut streams {
        let event = stream.next_said().await.unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str()), ("notice", r#"{"text":"closing"}"#));
        assert_eq!(heard(stream).await, "\"after\"", "it came once");
    }
    // Neither those who are not there nor those who are no users.
    let mut offline = connect(&one, "maria").await;
    assert_eq!(heard(&mut offline).await, "1");
    number(&one, 2).await;
    assert_eq!(heard(&mut offline).await, "2");
    one.start_steps("t", "desk7", 1, 0).await;
    assert_eq!(other.next_said().await.unwrap().name, "PROCESSING");
}

#[tokio::test]
async fn a_reader_may_ask_for_some_names_and_its_resume_stays_exact() {
    let ([pod], _) = pods().await;
    let request = Request::get("/api/sse/connect/maria?events=wanted,other").body(Full::default()).unwrap();
    let mut stream = TestStream::open(pod.address, request).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    for (event, n) in [("unwanted", 1), ("wanted", 2)] {
        say(&pod, json!({"userId": "maria", "event": event, "data": n})).await;
    }
    let event = stream.next_said().await.unwrap();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("wanted", "2"));
    assert!(event.id.ends_with(".2"), "{}", event.id);
}

#[tokio::test]
async fn a_store_that_is_away_is_said_and_a_stream_is_never_refused() {
    let store = Arc::new(TroubledStore::default());
    let pod = TestPod::with(settings(), store.clone()).await;
    store.fail("send", 1);
    let answer = say(&pod, json!({"userId": "maria", "data": 1})).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    for (step, method, path) in
        [("user", "GET", "/api/sse/status/maria"), ("close_user", "POST", "/api/sse/close/maria")]
    {
        store.fail(step, 1);
        let request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
        assert_eq!(send(pod.address, request).await.status, 503, "{path}");
    }
    store.fail("connected", 1);
    assert_eq!(pod.post("/api/sse/broadcast", &json!({"data": 1})).await.status, 503);
    store.fail("register", 1);
    let mut shed = open(&pod, "maria", "").await;
    assert_eq!(shed.status, 200);
    assert!(shed.rest().await.is_empty());
    assert!(shed.retries[0] >= 2_000, "{:?}", shed.retries);
}

#[tokio::test]
async fn a_pod_that_drains_sends_its_users_to_the_others() {
    let store = Arc::new(MemoryStore::new());
    let one = TestPod::with(settings(), store.clone()).await;
    let two = TestPod::with(settings(), store).await;
    let mut stream = connect(&one, "maria").await;
    number(&one, 1).await;
    let last = stream.next_said().await.unwrap().id;
    let stopping = tokio::spawn(one.stop());
    let farewell = stream.rest().await;
    assert_eq!(farewell.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["DRAINING"]);
    number(&two, 2).await;
    let mut resumed = open(&two, "maria", &last).await;
    assert_eq!(resumed.next_said().await.unwrap().name, "CONNECTED");
    assert_eq!(heard(&mut resumed).await, "2");
    stopping.await.unwrap();
}
