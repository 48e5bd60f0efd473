//! A Redis that is away for a while: what requests, streams and probes get meanwhile, what it costs, and that nothing
//! is missing afterwards.
//!
//! `FUNDBOND_OUTAGE_SECONDS=30 cargo test -p fundbond --test it outage -- --nocapture` shows the figures of a long one.

use std::{collections::BTreeMap, fs, time::Duration};

use fundbond::SystemConfig;
use fundbond_cli::{
    client::{Answer, Client},
    stream::{EventStream, HttpTransport, Signal},
};
use fundbond_fault_proxy::{Blow, Door, FaultProxy, Weather, Which};
use fundbond_pod_service::Settings;
use fundbond_protocol::{TaskEvent, headers, keys, sse};
use http::{Method, header};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    harness::{DEADLINE, Fundbond, json},
    promises::{CLUSTERS, resumed},
    redis::{Keeps, Redis},
};

const STREAMS: usize = 8;
const TASKS_EACH: usize = 3;
/// So many steps each task of a stream has: the first ends about when the outage begins, the others well after it.
const STEPS: [u32; TASKS_EACH] = [10, 40, 60];
/// Between two steps of a task. A stream has 30 events a second, so the 256 that its log keeps at least reach over the
/// time that a bus may be silent before that is found out.
const STEP_MILLIS: u32 = 100;
/// Events each stream has before the outage.
const BEFORE: usize = 10;
/// Connections of one pod: for steps, and for what the bus says.
const CONNECTIONS: u64 = 4 * 2;

/// How Redis goes.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// Connections are reset, now and whenever they are made. Each attempt can be counted.
    Reset,
    /// Connections are closed and nobody listens.
    Gone,
    /// Nothing arrives any more in either direction, and nobody is told.
    Silent,
    /// Nothing arrives for now. Afterwards all of it does: steps that were given up long ago and made again since.
    Late,
}

impl Goes {
    async fn away(self, proxy: &FaultProxy) {
        match self {
            Self::Reset => {
                proxy.door(Door::Resetting).await.unwrap();
                proxy.strike(Which::All, Blow::Reset);
            }
            Self::Gone => {
                proxy.door(Door::Closed).await.unwrap();
                proxy.strike(Which::All, Blow::Close);
            }
            Self::Silent => proxy.weather(Which::All, Weather::swallowing()),
            Self::Late => proxy.weather(Which::All, Weather::holding()),
        }
    }

    /// Connections that fell silent stay so: they must be given up by whoever holds them.
    async fn back(self, proxy: &FaultProxy) {
        proxy.door(Door::Open).await.unwrap();
        proxy.weather(Which::All, Weather::default());
    }
}

fn outage() -> Duration {
    let seconds = std::env::var("FUNDBOND_OUTAGE_SECONDS").ok();
    // Longer than any timeout of a step, so that every path sees the store away.
    Duration::from_secs(seconds.map_or(6, |text| text.parse().expect("FUNDBOND_OUTAGE_SECONDS is a number")))
}

/// Threads of their own for the system, so that its time can be told from that of clients and other tests.
fn threads(name: &'static str) -> Runtime {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().unwrap()
}

/// Processor time of all threads of that name. The kernel counts it in hundredths of a second.
fn processor_time(name: &str) -> Duration {
    let mut ticks = 0;
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end while it is looked at.
        let Ok(stat) = fs::read_to_string(thread.unwrap().path().join("stat")) else { continue };
        let (before, after) = stat.rsplit_once(')').unwrap();
        if before.split_once('(').unwrap().1 == name {
            let times = after.split_whitespace().skip(11).take(2);
            ticks += times.map(|field| field.parse::<u64>().unwrap()).sum::<u64>();
        }
    }
    Duration::from_millis(ticks * 10)
}

async fn ask(client: &Client, path: &str) -> (u16, String) {
    let request = client.request(Method::GET, path).unwrap();
    let answer = timeout(DEADLINE, client.send(request)).await.expect("an answer in time").unwrap();
    (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
}

/// Every pod is ready, and says this of its store.
async fn until_pods_say(pods: &[Client], last_word: &str) {
    let all = async {
        for pod in pods {
            loop {
                let (status, text) = ask(pod, "/readyz").await;
                assert_eq!(status, 200, "a pod whose store is away still takes what it is sent: {text}");
                if text == last_word {
                    break;
                }
                // sleep-ok: another part of the system has to notice.
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    timeout(DEADLINE, all).await.unwrap_or_else(|_| panic!("not every pod says {last_word:?}"));
}

/// One stream and its tasks from the first event to the end, as a client sees them.
struct Reader {
    connection: String,
    stream: EventStream<HttpTransport>,
    tasks: Vec<String>,
    events: Vec<sse::Event>,
    heartbeats: usize,
}

impl Reader {
    async fn new(client: Client, number: usize) -> Self {
        let connection = format!("desk{number}");
        let tasks: Vec<String> = (0..TASKS_EACH).map(|t| format!("{connection}-fund-{t}")).collect();
        let stream = resumed(&client, &connection, &tasks, "");
        let mut reader = Self { connection, stream, tasks: tasks.clone(), events: Vec::new(), heartbeats: 0 };
        assert!(reader.next().await);
        for (task, steps) in tasks.iter().zip(STEPS) {
            let body = serde_json::json!({
                "correlationId": task, "kind": "steps", "count": steps, "delayMs": STEP_MILLIS,
            });
            client.submit(&body).await.unwrap();
        }
        while reader.events.len() < BEFORE {
            assert!(reader.next().await);
        }
        reader
    }

    /// Takes one signal; false at the end. Whatever happens to Redis, the stream stays open until all is said.
    async fn next(&mut self) -> bool {
        let signal = timeout(DEADLINE * 2, self.stream.next()).await.expect("a signal in time").unwrap();
        match signal.expect("a stream says when it ends") {
            Signal::Event(event) if event.name == "HEARTBEAT" => self.heartbeats += 1,
            Signal::Event(event) if event.name == "CONNECTED" => {}
            Signal::Event(event) => self.events.push(event),
            Signal::Lost { why, .. } => {
                let (connection, seen) = (&self.connection, self.events.len());
                assert_eq!(seen, expected(), "{connection} was lost after {seen} events: {why}");
            }
            Signal::Reopened => {}
            Signal::Ended(_) => return false,
        }
        true
    }

    /// Every event of every task once and in order, and one end each.
    fn check(&self) {
        let mut steps: BTreeMap<String, u64> = BTreeMap::new();
        for (index, event) in self.events.iter().enumerate() {
            let offset: usize = event.id.split_once('.').unwrap().1.parse().unwrap();
            assert_eq!(offset, index + 1, "{}: offsets rise by one", self.connection);
            let said: TaskEvent = serde_json::from_str(&event.data).unwrap();
            let task = said.correlation_id.to_string();
            let done = steps.entry(task).or_default();
            match said.status.as_str() {
                "PROCESSING" => assert_eq!(*done, 0),
                "SUBTASK_COMPLETED" => {
                    *done += 1;
                    assert_eq!(said.progress.unwrap().done, *done);
                }
                "COMPLETED" => assert!(said.final_event),
                other => panic!("{other} of {}: {said:?}", self.connection),
            }
        }
        let want: BTreeMap<_, _> = self.tasks.iter().cloned().zip(STEPS.map(u64::from)).collect();
        assert_eq!(steps, want);
        assert_eq!(self.events.len(), expected());
    }
}

/// Events of one stream: each task begins, takes its steps, and ends.
fn expected() -> usize {
    STEPS.iter().map(|steps| *steps as usize + 2).sum()
}

/// A 503 that says what is away and when to come back.
fn assert_unavailable(answer: &Answer, what: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 503, "{what}: {text}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], headers::PROBLEM_JSON);
    assert_eq!(answer.headers[header::RETRY_AFTER], "2", "{what}");
    let problem = json(answer);
    assert_eq!(problem["type"], "urn:fundbond:problem:store-unavailable", "{what}: {text}");
    assert_eq!(problem["instance"], answer.headers[headers::X_REQUEST_ID].to_str().unwrap());
}

/// What clients get that ask while Redis is away, in both clusters. `late` names what is theirs.
async fn ask_around(system: &Fundbond, late: usize) {
    for cluster in CLUSTERS {
        let route = [("x-cluster-route", cluster)];
        let body = format!(r#"{{"correlationId":"late{late}-fund-{cluster}","kind":"steps","count":3}}"#);
        let answer = system.call(Method::POST, "/api/fund-api", &route, &body).await;
        assert_unavailable(&answer, "starting a task");
        assert_unavailable(&system.get("/api/tasks/desk0-fund-0", &route).await, "the state of a task");
        assert_unavailable(&system.get("/api/tasks", &route).await, "a list of tasks");
        // An `EventSource` takes a 503 for a final word, so a stream is told to come back.
        let shed = system.get("/api/fund-events/late", &route).await;
        assert_eq!(
            (shed.status.as_u16(), shed.headers[header::CONTENT_TYPE].to_str().unwrap()),
            (200, headers::EVENT_STREAM)
        );
        let mut items = Vec::new();
        sse::Parser::new(1 << 20).feed(&shed.body, &mut items).unwrap();
        assert!(matches!(items[..], [sse::Item::Retry(2_400..=3_600)]), "{items:?}");
    }
}

/// What the repetition of a request gets that was answered 503: accepted once, whoever remembers it.
async fn ask_again(system: &Fundbond, rounds: usize) {
    for late in 0..rounds {
        for cluster in CLUSTERS {
            let route = [("x-cluster-route", cluster)];
            let task = format!("late{late}-fund-{cluster}");
            let body = format!(r#"{{"correlationId":"{task}","kind":"steps","count":3}}"#);
            let answer = system.call(Method::POST, "/api/fund-api", &route, &body).await;
            assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
            let ended = async {
                while json(&system.get(&format!("/api/tasks/{task}"), &route).await)["status"] != "COMPLETED"
                {
                    // sleep-ok: a task has to run.
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(DEADLINE, ended).await.expect("the task ends in time");
        }
    }
}

/// The whole story; returns its figures.
async fn goes_and_comes_back(goes: Goes, name: &'static str) -> String {
    let redis = Redis::start(Keeps::Nothing).await;
    let proxy = redis.proxied();
    let runtime = threads(name);
    let config = SystemConfig {
        store: format!("redis://{}", proxy.address()).parse().unwrap(),
        settings: Settings { task_concurrency: 16.try_into().ok(), ..Settings::default() },
        ..SystemConfig::ephemeral()
    };
    let system = Fundbond::start_on(runtime.handle(), config).await;
    let (gateway, pods) = system.admins();
    let (under_way, mut all_under_way) = mpsc::channel(STREAMS);
    let mut readers = JoinSet::new();
    for number in 0..STREAMS {
        let (client, under_way) = (system.client(Some(CLUSTERS[number % 2])), under_way.clone());
        readers.spawn(async move {
            let mut reader = Reader::new(client, number).await;
            under_way.send(()).await.unwrap();
            while reader.next().await {}
            reader
        });
    }
    for _ in 0..STREAMS {
        timeout(DEADLINE, all_under_way.recv()).await.expect("streams under way in time").unwrap();
    }

    let (arrived, left) = (proxy.counts().arrived, Instant::now());
    goes.away(&proxy).await;
    until_pods_say(&pods, "degraded\n").await;
    let (noticed, busy, idle) = (left.elapsed(), processor_time(name), Instant::now());
    let until = left + outage();
    let mut rounds = 0;
    // At least one round, however long it took to notice.
    while rounds == 0 || Instant::now() < until {
        ask_around(&system, rounds).await;
        rounds += 1;
        for pod in &pods {
            assert_eq!(ask(pod, "/livez").await.0, 200);
            let (status, text) = ask(pod, "/readyz?verbose").await;
            assert!(status == 200 && text.contains("[~] store: degraded: "), "{status}: {text}");
        }
        assert_eq!(ask(&gateway, "/livez").await.0, 200);
        assert_eq!(ask(&gateway, "/readyz").await.0, 200);
        // sleep-ok: the outage lasts.
        sleep_until((Instant::now() + Duration::from_secs(1)).min(until)).await;
    }
    let (lasted, quiet) = (left.elapsed(), idle.elapsed());
    let share = processor_time(name).saturating_sub(busy).as_secs_f64() / quiet.as_secs_f64();
    let attempts = proxy.counts().arrived - arrived;
    let (_, metrics) = ask(&pods[0], "/metrics").await;
    assert!(metrics.contains("fund_condition{condition=\"store\",state=\"degraded\"} 1\n"), "{metrics}");
    goes.back(&proxy).await;
    let returned = Instant::now();
    until_pods_say(&pods, "ok\n").await;
    let recovered = returned.elapsed();

    let mut heartbeats = 0;
    while let Some(reader) = readers.join_next().await {
        let reader = reader.unwrap();
        reader.check();
        heartbeats += reader.heartbeats;
    }
    let caught_up = returned.elapsed();
    let figures = format!(
        "{goes:?}: away for {lasted:.1?}, noticed by all pods after {noticed:.1?}; meanwhile {attempts} connection \
         attempts of 4 pods, {:.1} % of a core over {quiet:.1?} with {rounds} rounds of requests; ready {recovered:.1?} and \
         the last stream whole {caught_up:.1?} after the return; {heartbeats} heartbeats on {STREAMS} streams",
        share * 100.0
    );
    ask_again(&system, rounds).await;
    for reader in 0..STREAMS {
        for task in 0..TASKS_EACH {
            let route = [("x-cluster-route", CLUSTERS[reader % 2])];
            let state = json(&system.get(&format!("/api/tasks/desk{reader}-fund-{task}"), &route).await);
            assert_eq!(state["status"], "COMPLETED", "{state}");
        }
    }
    assert_eq!(redis.ask(&["KEYS", &format!("{}*", keys::CONNECTIONS_PREFIX)]), "");
    // Back-off ends at two seconds, half of it by chance: after the first few it is no more than one a second.
    let bound = CONNECTIONS * (8 + lasted.as_secs() + 1);
    assert!(attempts <= bound, "{attempts} connection attempts in {lasted:?}, more than {bound}");
    assert!(share < 0.25, "{:.0} % of a core while there was nothing to do", share * 100.0);
    system.stop().await;
    runtime.shutdown_background();
    figures
}

#[tokio::test]
async fn a_redis_that_resets_every_connection_is_waited_for() {
    println!("{}", goes_and_comes_back(Goes::Reset, "away-reset").await);
}

#[tokio::test]
async fn a_redis_that_is_gone_is_waited_for() {
    println!("{}", goes_and_comes_back(Goes::Gone, "away-gone").await);
}

#[tokio::test]
async fn a_redis_that_hears_everything_late_does_nothing_twice() {
    println!("{}", goes_and_comes_back(Goes::Late, "away-late").await);
}

#[tokio::test]
async fn a_redis_that_falls_silent_is_given_up_and_waited_for() {
    println!("{}", goes_and_comes_back(Goes::Silent, "away-silent").await);
}
