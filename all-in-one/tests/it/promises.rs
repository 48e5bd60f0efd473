//! The promise of the whole system, through both proxies and over all pods.

use std::collections::{BTreeMap, BTreeSet};

use fundbond_cli::{
    client::Client,
    stream::{EventStream, HttpTransport, Signal},
};
use fundbond_protocol::{PodId, TaskEvent, sse::Event};
use http::Method;
use tokio::{task::JoinSet, time::timeout};

use crate::harness::{DEADLINE, Fundbond, open, patience, with};

pub(crate) const CLUSTERS: [&str; 2] = ["cluster1", "cluster2"];

pub(crate) fn resumed(
    client: &Client,
    connection: &str,
    tasks: &[String],
    last: &str,
) -> EventStream<HttpTransport> {
    EventStream::new(HttpTransport::new(client.clone(), open(connection, tasks)), patience(), last)
}

/// The next event that is not a heartbeat; `None` once the stream is over.
pub(crate) async fn next(stream: &mut EventStream<HttpTransport>) -> Option<Event> {
    loop {
        match timeout(DEADLINE, stream.next()).await.expect("an event in time").unwrap()? {
            Signal::Event(event) if event.name != "HEARTBEAT" => return Some(event),
            _ => {}
        }
    }
}

async fn rest(stream: &mut EventStream<HttpTransport>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = next(stream).await {
        events.push(event);
    }
    events
}

fn offset(event: &Event) -> u64 {
    event.id.split_once('.').unwrap().1.parse().unwrap()
}

pub(crate) async fn start(client: &Client, connection: &str, task: &str, count: u32) {
    let body = serde_json::json!({
        "correlationId": task, "connectionId": connection, "kind": "steps", "count": count, "delayMs": 1,
    });
    client.submit(&body).await.unwrap();
}

/// Many streams of some tasks each at once, over two clusters of two pods: a task runs on whichever pod its turn
/// falls on, and its events still reach the one stream they belong to, in order, once, and nowhere else. Returns
/// the pods that ran some.
pub(crate) async fn run_and_check(system: &Fundbond, streams: usize, tasks_each: usize) -> BTreeSet<PodId> {
    const STEPS: u32 = 5;
    let mut readers = JoinSet::new();
    for s in 0..streams {
        let cluster = CLUSTERS[s % 2];
        let client = system.client(Some(cluster));
        readers.spawn(async move {
            let connection = format!("desk{s}");
            let tasks: Vec<String> = (0..tasks_each).map(|t| format!("{connection}-fund-{t}")).collect();
            let mut stream = resumed(&client, &connection, &tasks, "");
            assert_eq!(next(&mut stream).await.unwrap().name, "CONNECTED");
            for task in &tasks {
                start(&client, &connection, task, STEPS).await;
            }
            let events = rest(&mut stream).await;
            let mut finals = BTreeMap::new();
            let mut runners = BTreeSet::new();
            for (index, event) in events.iter().enumerate() {
                assert_eq!(offset(event), index as u64 + 1, "offsets rise by one");
                let said: TaskEvent = serde_json::from_str(&event.data).unwrap();
                let task = said.correlation_id.to_string();
                assert!(tasks.contains(&task), "{task} is not of {connection}");
                assert!(!finals.contains_key(&task), "{task} spoke after its final event");
                runners.insert(said.pod_id.unwrap());
                if said.final_event {
                    finals.insert(task, said.status);
                }
            }
            assert_eq!(events.len(), tasks.len() * (STEPS as usize + 2));
            assert_eq!(finals.len(), tasks.len());
            assert!(finals.values().all(|status| status.as_str() == "COMPLETED"));
            let path = format!("/api/fund-events/{connection}?taskIds={}", tasks.join(","));
            let again = client.request(Method::GET, &path).unwrap();
            let again = with(again, &[("last-event-id", &events.last().unwrap().id)], "");
            assert_eq!(client.send(again).await.unwrap().status.as_u16(), 204, "a finished stream is over");
            runners
        });
    }
    let mut runners = BTreeSet::new();
    while let Some(done) = readers.join_next().await {
        runners.append(&mut done.unwrap());
    }
    runners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_of_ten_tasks_get_exactly_their_own_events() {
    let system = Fundbond::start().await;
    let runners = run_and_check(&system, 100, 10).await;
    assert_eq!(runners.len(), 4, "every pod of both clusters ran some");
    system.stop().await;
}

/// Cut after every event and resumed through the proxies, so each piece may come from another pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_of_a_stream_cut_at_every_event_are_the_uncut_stream() {
    let system = Fundbond::start().await;
    for round in 0..20_usize {
        let (client, connection) = (system.client(Some(CLUSTERS[round % 2])), format!("cut{round}"));
        let tasks: Vec<String> = (0..=round % 3).map(|t| format!("{connection}-fund-{t}")).collect();
        let mut pieces = Vec::new();
        let mut last = String::new();
        for piece in 0.. {
            let mut stream = resumed(&client, &connection, &tasks, &last);
            let Some(connected) = next(&mut stream).await else { break };
            assert_eq!(connected.name, "CONNECTED", "round {round}, piece {piece}");
            if piece == 0 {
                for task in &tasks {
                    start(&client, &connection, task, 3).await;
                }
            }
            let Some(event) = next(&mut stream).await else { break };
            last.clone_from(&event.id);
            pieces.push(event);
        }
        let mut whole = resumed(&client, &connection, &tasks, "");
        assert_eq!(next(&mut whole).await.unwrap().name, "CONNECTED");
        // Read by count: a client that waits for the end asks once more, after a second, to be told 204.
        for (index, piece) in pieces.iter().enumerate() {
            assert_eq!(next(&mut whole).await.as_ref(), Some(piece), "round {round}, event {index}");
        }
        assert_eq!(pieces.len(), tasks.len() * 5);
    }
    system.stop().await;
}
