//! How long an event takes from its task to its client, over several pods and a Redis, at a steady rate.
//!
//! Flow: a [`RedisServer`] -> four pods as processes, which hold the streams -> this process is the pods that
//! run the tasks: [`sender`] calls emit when an event is due, through stores of its own -> this process is the
//! clients too, on real sockets. So every event is made on another pod than its stream's, and one clock
//! tells when it was due and when it was read.

pub mod sender;

use std::{path::PathBuf, sync::Arc, time::Duration};

use fundbond_protocol::{ClusterId, ConnectionId, TaskId};
use tokio::time::Instant;

use crate::{
    args::{DeliveryOptions, StoreOptions},
    build,
    client::Client,
    error::{BenchError, RunError},
    fleet::Fleet,
    machine::{self, Shares},
    redis::server::RedisServer,
    report::{Heading, Report, grouped},
    say,
    schedule::Schedule,
    server::{Program, Server},
    stats::{Measure, Pairs, Sample, Side},
};
use sender::Sender;

/// Pods that hold streams, and as many that run tasks.
const PODS: usize = 4;

/// Streams in all, each with a task: at 5,000 events a second one has five, a valuation with chunks of 200 ms.
const STREAMS: usize = 1_000;

/// From the opening of the streams to the load: past a pod's first heartbeat, which comes after 2 s; the next
/// one comes 10 s later.
const PAST_HEARTBEAT: Duration = Duration::from_millis(2_500);

/// Load before the load that counts: each stream has had several events.
const WARM_UP: Duration = Duration::from_secs(1);

/// After the load, for events under way.
const AFTERMATH: Duration = Duration::from_millis(500);

/// What a reader must know before quoting a figure.
const NOTES: [&str; 5] = [
    "Latency is from when an event was due, by a schedule that waits for nobody, to when a client has read its \
     frame from a TCP socket: both taken from one monotonic clock in the measuring process. What the sender, the \
     store's batching, the Redis, the pod, the kernel or the client is late is all in it.",
    "fundbond: the measuring process emits through four stores, each as a pod has one; four pod-service \
     processes hold the streams, with the whole of the log, resume, idempotency and task state.",
    "naive: the same stream of events to one channel; four axum-sse processes hear every one and ask for each \
     whose it is. No log, no resume, no state: the ratio is the price of these.",
    "emit p99 is how late the sender called emit: what the machine adds before the product has seen the event. \
     CPU idle is of the whole machine during the load; CPU niced is used by what else runs here at low priority, \
     and CPU stolen by other machines of the same host, whose turns last milliseconds.",
    "Every event was checked: contiguous offsets, steps in order. A lost or repeated event fails the run.",
];

/// Measures and answers the report.
///
/// # Errors
/// Where anything goes wrong, be it a single event.
pub async fn measure(options: &DeliveryOptions) -> Result<Report, BenchError> {
    machine::raise_descriptor_limit()?;
    let pod = match &options.pod_binary {
        Some(path) => path.clone(),
        None => build::pod_service().await?,
    };
    let peer = std::env::current_exe().map_err(BenchError::OwnPath)?;
    let (rounds, window) = (options.rounds(), options.window());
    let mut report = Report::begin(Heading {
        rounds,
        each: format!("{:.1} s", window.as_secs_f64()),
        columns: ["fundbond", "naive"],
        notes: &NOTES,
    })?;
    for rate in &options.rates {
        let title =
            format!("{PODS} pods, {} streams, {} events/s", grouped(STREAMS as f64), grouped((*rate).into()));
        let mut pairs = Pairs::default();
        for round in 1..=rounds {
            for side in Side::BOTH {
                let run = Run {
                    side,
                    rate: *rate,
                    window,
                    pod: pod.clone(),
                    peer: peer.clone(),
                    store: options.store,
                };
                let sample = run.sample(&title).await?;
                say(&format!("{title} · round {round}/{rounds} · {}: {sample}", report.column(side)));
                pairs.add(side, sample);
            }
        }
        report.add("delivery", title, STREAMS, &pairs);
    }
    Ok(report)
}

/// One run of one side, with servers of its own.
struct Run {
    side: Side,
    rate: u32,
    window: Duration,
    pod: PathBuf,
    peer: PathBuf,
    store: StoreOptions,
}

impl Run {
    async fn sample(&self, title: &str) -> Result<Sample, BenchError> {
        let redis = RedisServer::start().await?;
        let mut pods = Vec::with_capacity(PODS);
        for _ in 0..PODS {
            let program = match self.side {
                Side::Pod => Program::pod(&self.pod).with_store(redis.url()),
                Side::Peer => Program::naive(&self.peer, redis.url()),
            };
            pods.push(Server::start(program).await?);
        }
        let sample = self.load(&redis, &pods).await;
        let words: Vec<_> = pods.iter().map(Server::last_words).collect();
        for pod in pods {
            pod.stop().await?;
        }
        redis.stop().await?;
        sample.map_err(|source| {
            let what = format!("{title} (last words of the pods: {})", words.join(" | "));
            BenchError::Load { what, source: Box::new(source) }
        })
    }

    async fn load(&self, redis: &RedisServer, pods: &[Server]) -> Result<Sample, RunError> {
        let clients: Vec<_> = pods.iter().map(|pod| Client::new(pod.address())).collect();
        let schedule = Arc::new(Schedule::new(self.rate, STREAMS));
        let mut fleet = Fleet::open_scheduled(&clients, STREAMS, schedule.clone()).await?;
        let mut sender = Sender::connect(self.side, &self.store.config(redis.url()), PODS, STREAMS).await?;
        fleet.during("the first events", sender.first()).await?;
        fleet.watch_until(Instant::now() + PAST_HEARTBEAT).await?;

        sender.follow(&schedule, WARM_UP + self.window);
        watch(&mut fleet, &mut sender, Instant::now() + WARM_UP).await?;
        fleet.seen().take_latencies();
        sender.take_late();
        let before = Reading::of(redis, pods, &fleet).await?;
        watch(&mut fleet, &mut sender, before.at + self.window).await?;
        let after = Reading::of(redis, pods, &fleet).await?;
        let (latencies, late) = (fleet.seen().take_latencies(), sender.take_late());
        fleet.during("the last events", sender.end()).await?;
        fleet.watch_until(Instant::now() + AFTERMATH).await?;
        let sent = sender.sent();
        if fleet.seen().events() != sent {
            return Err(RunError::Missing { due: sent, came: fleet.seen().events() });
        }

        let mut sample = before.to(&after)?;
        let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        sample.set(Measure::DeliveryP50, millis(0.5));
        sample.set(Measure::DeliveryP99, millis(0.99));
        sample.set(Measure::DeliveryP999, millis(0.999));
        sample.set(Measure::EmitP99, late.value_at_quantile(0.99) as f64 / 1e3);
        Ok(sample)
    }
}

/// Lets time pass, unless a stream or the sender fails first.
async fn watch(fleet: &mut Fleet, sender: &mut Sender, until: Instant) -> Result<(), RunError> {
    tokio::select! {
        watched = fleet.watch_until(until) => watched,
        failed = sender.failed() => Err(failed),
    }
}

/// The task of stream `index`.
fn names(index: usize) -> Result<(ConnectionId, TaskId), RunError> {
    let connection = ConnectionId::parse(format!("bench-{index}"))?;
    let task = TaskId::parse(format!("{connection}.0"))?;
    Ok((connection, task))
}

fn cluster() -> Result<ClusterId, RunError> {
    // Not that of the pods which hold the streams: they would run the tasks themselves.
    Ok(ClusterId::parse("senders")?)
}

/// What was used up to a moment.
struct Reading {
    at: Instant,
    events: u64,
    redis: Duration,
    pods: Duration,
    shares: Shares,
}

impl Reading {
    async fn of(redis: &RedisServer, pods: &[Server], fleet: &Fleet) -> Result<Self, RunError> {
        let redis = redis.cpu_time().await?;
        let used: Result<Vec<_>, _> = pods.iter().map(Server::cpu_time).collect();
        let events = fleet.seen().events();
        Ok(Self { at: Instant::now(), events, redis, pods: used?.iter().sum(), shares: Shares::look()? })
    }

    fn to(&self, later: &Self) -> Result<Sample, RunError> {
        let events = later.events - self.events;
        if events == 0 {
            return Err(RunError::NoEvents);
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / events as f64;
        let mut sample = Sample::default();
        sample.set(Measure::EventsPerSecond, events as f64 / (later.at - self.at).as_secs_f64());
        sample.set(Measure::CpuMicros, each(later.pods.saturating_sub(self.pods)));
        sample.set(Measure::RedisMicros, each(later.redis.saturating_sub(self.redis)));
        let percent = self.shares.until(&later.shares);
        sample.set(Measure::IdlePercent, percent.idle);
        sample.set(Measure::NicedPercent, percent.niced);
        sample.set(Measure::StolenPercent, percent.stolen);
        Ok(sample)
    }
}
