//! Events of other publishers on a real Redis, published as they would: with `redis-cli`.

use fundbond_cli::{
    client::{Client, ServerUrl},
    stream::{EventStream, HttpTransport},
};
use fundbond_protocol::{TaskEvent, keys::FOREIGN_CHANNEL};
use tokio::time::timeout;

use crate::{
    harness::{DEADLINE, Fundbond, read_to_end, statuses},
    promises::{next, resumed, start},
    redis::{Keeps, Redis},
};

/// A client of one pod, past every proxy.
fn client_of(system: &Fundbond, pod: usize) -> Client {
    Client::new(ServerUrl::of_address(system.pod_address("cluster1", pod)), None)
}

async fn connected(stream: &mut EventStream<HttpTransport>) {
    assert_eq!(next(stream).await.unwrap().name, "CONNECTED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_on_one_pod_gets_the_events_of_a_task_on_another() {
    let redis = Redis::start(Keeps::Nothing).await;
    let system = Fundbond::start_with(redis.system()).await;
    let (here, there) = (client_of(&system, 0), client_of(&system, 1));
    // A task that may be over before anybody listens, and some that start afterwards. Any pod with room runs them.
    let tasks: Vec<String> = (0..8).map(|number| format!("desk-fund-{number}")).collect();
    start(&there, "desk", &tasks[0], 5).await;
    let mut stream = resumed(&here, "desk", &tasks, "");
    connected(&mut stream).await;
    for task in &tasks[1..] {
        start(&there, "desk", task, 5).await;
    }
    let events = read_to_end(stream).await;
    let mut ran_there = 0;
    for task in &tasks {
        let of_task: Vec<TaskEvent> =
            events.iter().filter(|event| event.correlation_id.as_str() == task.as_str()).cloned().collect();
        let mut expected = vec!["PROCESSING"];
        expected.extend(["SUBTASK_COMPLETED"; 5]);
        expected.push("COMPLETED");
        assert_eq!(statuses(&of_task), expected, "{task}");
        let ran_on = of_task[0].pod_id.as_ref().unwrap().display_id();
        ran_there += usize::from(ran_on == system.pods("cluster1")[1]);
    }
    assert!(ran_there > 0, "the pod that accepts a task is asked first");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_cli_publishes_reaches_the_open_stream_with_an_id() {
    let redis = Redis::start(Keeps::Nothing).await;
    let system = Fundbond::start_with(redis.system()).await;
    let mut stream = resumed(&client_of(&system, 0), "test", &[], "");
    connected(&mut stream).await;
    let heard = redis.ask(&["PUBLISH", FOREIGN_CHANNEL, r#"{"correlationId":"test","status":"TEST"}"#]);
    assert_eq!(heard, "4", "every pod hears it");
    let event = next(&mut stream).await.unwrap();
    assert_eq!(event.name, "TEST");
    assert!(event.id.ends_with(".1"), "{event:?}");
    let said: TaskEvent = serde_json::from_str(&event.data).unwrap();
    assert_eq!(said.correlation_id.as_str(), "test");
    system.stop().await;
}

/// Four thousand messages that nobody can use, most of them for a stream that is open, do it no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_what_cannot_be_used_costs_a_stream_nothing() {
    let redis = Redis::start(Keeps::Nothing).await;
    let system = Fundbond::start_with(redis.system()).await;
    let mut stream = resumed(&client_of(&system, 0), "desk", &[], "");
    connected(&mut stream).await;
    let flood = "for i = 1, 1000 do
        redis.call('PUBLISH', KEYS[1], 'hello')
        redis.call('PUBLISH', KEYS[1], '{\"correlationId\":\"desk\"')
        redis.call('PUBLISH', KEYS[1], '{\"correlationId\":\"desk\",\"status\":\"RESET\"}')
        redis.call('PUBLISH', KEYS[1], '{\"correlationId\":\"desk\",\"status\":\"A\",\"finalEvent\":7}')
    end return 'done'";
    assert_eq!(redis.ask(&["EVAL", flood, "1", FOREIGN_CHANNEL]), "done");
    redis.ask(&["PUBLISH", FOREIGN_CHANNEL, r#"{"correlationId":"desk","status":"GOOD"}"#]);
    let event = timeout(DEADLINE, next(&mut stream)).await.unwrap().unwrap();
    assert_eq!((event.name.as_str(), event.id.ends_with(".1")), ("GOOD", true), "{event:?}");
    system.stop().await;
}
