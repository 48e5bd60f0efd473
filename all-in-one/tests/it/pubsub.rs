//! The connection over which Redis says what happened, cut in silence: open at both ends, and nothing comes through.

use std::time::{Duration, SystemTime};

use fundbond::SystemConfig;
use fundbond_cli::stream::{EventStream, HttpTransport, Signal};
use fundbond_fault_proxy::{Blow, FaultProxy, Weather, Which};
use fundbond_protocol::{TaskEvent, keys};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    harness::{DEADLINE, Fundbond},
    promises::{CLUSTERS, next, resumed},
    redis::{Keeps, Redis},
};

/// Every pod has one.
const BUSES: u64 = 4;
const STREAMS: usize = 4;
/// Between two steps: ten events a second, so the 256 a log keeps at least reach over any silence here.
const STEP: Duration = Duration::from_millis(100);
/// A probe goes out every ten seconds and may take three; connecting takes nothing here, and the machine is busy.
const REPAIRED_WITHIN: Duration = Duration::from_secs(13 + 7);
/// The most that an event which is said takes to a client on a machine that builds and tests. What a stream only learns
/// by a heartbeat, every ten seconds, takes five on average.
const LIVE: Duration = Duration::from_secs(3);

struct Scene {
    redis: Redis,
    proxy: FaultProxy,
    system: Fundbond,
}

impl Scene {
    async fn new() -> Self {
        let redis = Redis::start(Keeps::Nothing).await;
        let proxy = redis.proxied();
        let store = format!("redis://{}", proxy.address()).parse().unwrap();
        let system = Fundbond::start_with(SystemConfig { store, ..SystemConfig::ephemeral() }).await;
        assert_eq!(proxy.counts().marked, BUSES);
        Self { redis, proxy, system }
    }

    /// Opens streams, and starts a task of so many steps for each.
    async fn streams(&self, steps: u32) -> Vec<Watched> {
        let mut watched = Vec::new();
        for number in 0..STREAMS {
            let client = self.system.client(Some(CLUSTERS[number % 2]));
            let connection = format!("desk{number}");
            let task = format!("{connection}-fund-1");
            let mut stream = resumed(&client, &connection, std::slice::from_ref(&task), "");
            assert_eq!(next(&mut stream).await.unwrap().name, "CONNECTED");
            let body = serde_json::json!({
                "correlationId": task, "kind": "steps", "count": steps, "delayMs": STEP.as_millis(),
            });
            client.submit(&body).await.unwrap();
            watched.push(Watched { stream, steps, seen: 0, delays: Vec::new() });
        }
        watched
    }

    async fn stop(self) {
        assert_eq!(self.redis.ask(&["KEYS", &format!("{}*", keys::CONNECTIONS_PREFIX)]), "");
        self.system.stop().await;
    }
}

/// A stream with one task, whose events must come each once and in order.
struct Watched {
    stream: EventStream<HttpTransport>,
    steps: u32,
    seen: u32,
    /// When each event was said, and how long it took to come.
    delays: Vec<(SystemTime, Duration)>,
}

impl Watched {
    /// Reads the next event. The stream is never lost before the last one.
    async fn read(&mut self) {
        let event = loop {
            match timeout(DEADLINE * 2, self.stream.next()).await.expect("an event in time").unwrap().unwrap()
            {
                Signal::Event(event) if event.name == "HEARTBEAT" => {}
                Signal::Event(event) => break event,
                other => panic!("{other:?} after {} events", self.seen),
            }
        };
        let offset: u32 = event.id.split_once('.').unwrap().1.parse().unwrap();
        self.seen += 1;
        assert_eq!(offset, self.seen, "{event:?}");
        let said: TaskEvent = serde_json::from_str(&event.data).unwrap();
        assert_eq!(said.final_event, self.seen == self.all(), "{said:?}");
        let at = SystemTime::from(said.timestamp);
        self.delays.push((at, at.elapsed().unwrap_or_default()));
    }

    /// Its beginning, its steps, and its end.
    fn all(&self) -> u32 {
        self.steps + 2
    }

    async fn read_to_end(mut self) -> Self {
        while self.seen < self.all() {
            self.read().await;
        }
        let rest = async { while self.stream.next().await.unwrap().is_some() {} };
        timeout(DEADLINE, rest).await.expect("the stream ends in time");
        self
    }

    /// The longest that an event took that was said in this time.
    fn slowest(&self, from: SystemTime, to: SystemTime) -> Duration {
        let of_then = self.delays.iter().filter(|(at, _)| (from..to).contains(at));
        of_then.map(|(_, delay)| *delay).max().unwrap_or_default()
    }
}

async fn read_all(streams: Vec<Watched>) -> Vec<Watched> {
    let mut readers: JoinSet<_> = streams.into_iter().map(Watched::read_to_end).collect();
    let mut read = Vec::new();
    while let Some(reader) = readers.join_next().await {
        read.push(reader.unwrap());
    }
    read
}

/// The probe finds it: the pod subscribes again over a new connection, and events come as they are said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_fell_silent_is_found_by_the_probe_and_no_event_is_lost() {
    let scene = Scene::new().await;
    let mut streams = scene.streams(240).await;
    for stream in &mut streams {
        while stream.seen < 5 {
            stream.read().await;
        }
    }
    let (begun, silent_since) = (Instant::now(), SystemTime::now());
    assert_eq!(scene.proxy.strike(Which::Marked, Blow::Silence), 4);
    let reading = tokio::spawn(read_all(streams));
    let repaired = scene.proxy.until(|counts| counts.marked >= 2 * BUSES);
    timeout(REPAIRED_WITHIN, repaired).await.expect("every pod subscribes again in time");
    let (took, repaired_at) = (begun.elapsed(), SystemTime::now());
    let streams = reading.await.unwrap();
    // The repaired pods caught up; from then on they hear again.
    let live_from = repaired_at + Duration::from_secs(1);
    let slowest = |from, to| streams.iter().map(|stream| stream.slowest(from, to)).max().unwrap();
    let (silent, live) = (slowest(silent_since, repaired_at), slowest(live_from, SystemTime::now()));
    println!(
        "the last of {BUSES} silent buses was repaired after {took:.1?}; the slowest event of that time took {silent:.1?}, \
         and of the time after it {live:.1?}"
    );
    let after = streams.iter().flat_map(|stream| &stream.delays).filter(|(at, _)| *at > live_from).count();
    assert!(after >= 100, "only {after} events tell whether the repair holds");
    assert!(live < LIVE, "an event took {live:?} after the repair");
    assert_eq!(scene.proxy.counts().marked, 2 * BUSES, "repaired once");
    scene.stop().await;
}

/// Not even a bus that no probe can bring back costs an event: heartbeats repeat to the store where each stream stands,
/// and its answer tells what was missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_stays_silent_costs_time_and_no_event() {
    let scene = Scene::new().await;
    let mut streams = scene.streams(40).await;
    for stream in &mut streams {
        stream.read().await;
    }
    let (begun, silent_since) = (Instant::now(), SystemTime::now());
    scene.proxy.weather(Which::Marked, Weather::swallowing());
    let streams = read_all(streams).await;
    let slowest = streams.iter().map(|stream| stream.slowest(silent_since, SystemTime::now())).max().unwrap();
    println!("whole after {:.1?} without a bus; the slowest event took {slowest:.1?}", begun.elapsed());
    assert!(scene.proxy.counts().swallowed > 0, "the bus was never silent");
    // When subscriptions get through again, so do events.
    scene.proxy.weather(Which::All, Weather::default());
    let tried = scene.proxy.counts().marked;
    let repaired = scene.proxy.until(|counts| counts.marked >= tried + BUSES);
    timeout(REPAIRED_WITHIN, repaired).await.expect("every pod subscribes again in time");
    scene.stop().await;
}
