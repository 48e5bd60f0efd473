//! The streams of users over all pods, through both proxies, with a real Redis between the pods.

use std::time::Duration;

use bytes::Bytes;
use fundbond_cli::client::{Answer, Client};
use fundbond_protocol::{headers, keys, sse};
use http::{HeaderValue, Method, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    harness::{DEADLINE, Fundbond, with},
    promises::CLUSTERS,
    redis::{Keeps, Redis},
};

/// A stream as an `EventSource` has one, but for its reconnecting.
struct UserStream {
    body: UnsyncBoxBody<Bytes, String>,
    parser: sse::Parser,
    events: std::collections::VecDeque<sse::Event>,
}

impl UserStream {
    /// Opens `user`'s stream; `None` where there will never be one (204).
    async fn open(client: &Client, user: &str, last: &str) -> Option<Self> {
        let request = client.request(Method::GET, &format!("/api/sse/connect/{user}")).unwrap();
        let request = with(request, &[("last-event-id", last)], "");
        let response = timeout(DEADLINE, client.open(request)).await.expect("an answer in time").unwrap();
        if response.status() == 204 {
            return None;
        }
        assert_eq!(response.status(), 200);
        let parser = sse::Parser::new(1 << 20);
        let body = response.into_body().map_err(|error| error.to_string()).boxed_unsync();
        Some(Self { body, parser, events: std::collections::VecDeque::new() })
    }

    /// The next event that is not a heartbeat; `None` at the end.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if event.name != "HEARTBEAT" {
                    return Some(event);
                }
            }
            let frame = timeout(DEADLINE, self.body.frame()).await.expect("an event in time")?;
            let mut items = Vec::new();
            self.parser.feed(&frame.ok()?.into_data().unwrap(), &mut items).unwrap();
            let event = |item| if let sse::Item::Event(event) = item { Some(event) } else { None };
            self.events.extend(items.into_iter().filter_map(event));
        }
    }
}

async fn connect(client: &Client, user: &str) -> UserStream {
    let mut stream = UserStream::open(client, user, "").await.expect("a stream");
    assert_eq!(stream.next().await.unwrap().name, "CONNECTED");
    stream
}

async fn post(client: &Client, path: &str, kind: &'static str, body: String) -> Answer {
    let mut request = client.request(Method::POST, path).unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    *request.body_mut() = Full::new(body.into());
    timeout(DEADLINE * 2, client.send(request)).await.expect("an answer in time").unwrap()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

/// Sends a number to `maria`, and says where it went.
async fn number(client: &Client, number: u64) -> String {
    let message = json!({"userId": "maria", "event": "number", "data": number}).to_string();
    let answer = post(client, "/api/sse/send", headers::JSON, message).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    body(&answer)["delivery"].as_str().unwrap().to_owned()
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| json!({"userId": "maria", "event": "token", "data": n}).to_string() + "\n").collect()
}

async fn on_redis() -> (Redis, Fundbond, [Client; 2]) {
    let redis = Redis::start(Keeps::Nothing).await;
    let system = Fundbond::start_with(redis.system()).await;
    let clients = CLUSTERS.map(|cluster| system.client(Some(cluster)));
    (redis, system, clients)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tokens_from_another_cluster_arrive_in_order_through_both_proxies() {
    let (redis, system, [here, there]) = on_redis().await;
    let mut stream = connect(&here, "maria").await;
    let begun = Instant::now();
    let sending =
        tokio::spawn(async move { post(&there, "/api/sse/send", headers::NDJSON, lines(0..10_000)).await });
    for number in 0..10_000_u64 {
        let event = stream.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.data), ("token", number.to_string()), "{}", event.id);
        assert!(event.id.ends_with(&format!(".{}", number + 1)), "{}", event.id);
    }
    let took = begun.elapsed();
    assert!(took < DEADLINE, "{took:?}");
    let answer = sending.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), body(&answer)),
        (202, json!({"accepted": 10_000, "delivery": "remote"}))
    );
    drop((stream, redis));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_stream_takes_over_within_a_second_wherever_it_is_opened() {
    let (redis, system, clients) = on_redis().await;
    let mut older = connect(&clients[0], "maria").await;
    // Round robin: another pod of the same cluster, then pods of the other.
    for round in 0..6 {
        let begun = Instant::now();
        let newer = connect(&clients[round % 3 / 2], "maria").await;
        let farewell = older.next().await.unwrap();
        assert_eq!(farewell.name, "REPLACED");
        assert!(older.next().await.is_none(), "its stream ends");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        for client in &clients {
            assert!(UserStream::open(client, "maria", &farewell.id).await.is_none(), "it is to stay away");
        }
        older = newer;
    }
    assert_ne!(number(&clients[0], 1).await, "offline");
    assert_eq!(older.next().await.unwrap().data, "1");
    assert_eq!(redis.ask(&["EXISTS", &format!("{}user:maria", keys::CONNECTIONS_PREFIX)]), "1");
    drop(older);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_at_every_event_and_resumed_anywhere_is_whole() {
    let (redis, system, clients) = on_redis().await;
    assert_eq!(number(&clients[1], 0).await, "offline", "it waits for the first stream");
    let mut last = String::new();
    for expected in 0..20_u64 {
        let mut stream =
            UserStream::open(&clients[usize::from(expected % 3 == 0)], "maria", &last).await.unwrap();
        assert_eq!(stream.next().await.unwrap().name, "CONNECTED");
        let event = stream.next().await.unwrap();
        assert_eq!(event.data, expected.to_string());
        last = event.id;
        drop(stream);
        // Noticed or not: in the log it is.
        number(&clients[usize::from(expected % 2 == 0)], expected + 1).await;
    }
    drop(redis);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_found_and_closed_from_another_cluster() {
    let (_redis, system, [here, there]) = on_redis().await;
    let mut stream = connect(&here, "maria").await;
    assert_eq!(number(&there, 1).await, "remote");
    let last = stream.next().await.unwrap().id;
    let path = "/api/sse/status/maria";
    let status = body(&system.get(&format!("{path}?cluster={}", CLUSTERS[1]), &[]).await);
    assert_eq!((&status["connected"], &status["clusterId"]), (&json!(true), &json!(CLUSTERS[0])));
    assert_eq!((&status["lastEventId"], &status["queuedBytes"]), (&json!(last), &json!(0)));
    let pod = status["podId"].as_str().unwrap().split('~').next().unwrap().to_owned();
    assert!(system.pods(CLUSTERS[0]).contains(&pod), "{pod}");

    // A broadcast is for the cluster it is made in.
    let notice = json!({"event": "notice", "data": "all"}).to_string();
    for (client, streams) in [(&there, 0), (&here, 1)] {
        let answer = post(client, "/api/sse/broadcast", headers::JSON, notice.clone()).await;
        assert_eq!((answer.status.as_u16(), body(&answer)), (202, json!({"streams": streams})));
    }
    let event = stream.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("notice", "\"all\""));

    let closed = post(&there, "/api/sse/close/maria", headers::JSON, String::new()).await;
    assert_eq!(body(&closed), json!({"userId": "maria", "closed": true}));
    assert_eq!(stream.next().await.unwrap().name, "CLOSED");
    assert!(stream.next().await.is_none());
    for client in [&here, &there] {
        assert!(UserStream::open(client, "maria", &event.id).await.is_none(), "it is to stay away");
    }
    assert_eq!(number(&here, 2).await, "offline");
    system.stop().await;
}

/// The server dies with all it has while tokens stream through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_under_a_stream_of_tokens_is_told_as_reset() {
    let (mut redis, system, [here, there]) = on_redis().await;
    let mut stream = connect(&here, "maria").await;
    let sending =
        tokio::spawn(async move { post(&there, "/api/sse/send", headers::NDJSON, lines(0..20_000)).await });
    let (mut next, mut resets) = (0, 0);
    let mut last = String::new();
    while next < 20_000 {
        let Some(event) = stream.next().await else {
            // The stream may have ended, too: then it is taken up where it was.
            stream = UserStream::open(&here, "maria", &last).await.unwrap();
            continue;
        };
        if !event.id.is_empty() {
            event.id.clone_into(&mut last);
        }
        match event.name.as_str() {
            "RESET" => resets += 1,
            "token" => {
                let number: u64 = event.data.parse().unwrap();
                assert!(
                    number == next || resets > 0 && number > next,
                    "{number} after {next}, {resets} resets"
                );
                next = number + 1;
                if number == 3_000 {
                    redis.kill();
                    redis.launch().await;
                }
            }
            _ => {}
        }
    }
    assert!(resets >= 1, "what was lost is said");
    let answer = sending.await.unwrap();
    assert_eq!((answer.status.as_u16(), &body(&answer)["accepted"]), (202, &json!(20_000)), "{answer:?}");
    drop(stream);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_body_of_lines_may_be_of_any_length() {
    let system = Fundbond::start().await;
    let client = system.client(Some(CLUSTERS[0]));
    let large = "x".repeat(12 * 1024 * 1024);
    let whole = json!({"userId": "maria", "data": large}).to_string();
    let answer = post(&client, "/api/sse/send", headers::JSON, whole.clone()).await;
    assert_eq!(answer.status, 413, "{:?}", answer.problem());
    // Elsewhere its type is no way around the limit, and a line of it has a length of its own.
    let answer = post(&client, "/api/sse/broadcast", headers::NDJSON, whole.clone()).await;
    assert_eq!(answer.status, 413, "{:?}", answer.problem());
    let answer = post(&client, "/api/sse/send", headers::NDJSON, format!("{}{whole}\n", lines(0..6))).await;
    assert_eq!(answer.status, 422, "{:?}", answer.problem());
    let problem = answer.problem().unwrap();
    assert_eq!((problem.accepted, problem.errors[0].field.as_str()), (Some(6), "line[7]"));
    let body_of_lines = lines(0..260_000);
    assert!(body_of_lines.len() > 12 * 1024 * 1024);
    let answer = post(&client, "/api/sse/send", headers::NDJSON, body_of_lines).await;
    assert_eq!((answer.status.as_u16(), &body(&answer)["accepted"]), (202, &json!(260_000)), "{answer:?}");
    system.stop().await;
}
