//! What is done to a server, and what is read off it.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    client::Client,
    error::{BenchError, RunError},
    fleet::{Fleet, Handle},
    server::{Program, Server},
    stats::{Measure, Sample},
};

/// Every workload, in the order of the report.
///
/// Flat out, a task ends before the next one on its stream starts, so that no stream is ever further behind
/// than the 256 events a pod keeps of a connection: a pod never slows a task down for a reader, it lets the
/// reader resume, and a benchmark of resets would be another one. One stream gets tasks of 252 events; many
/// streams shorter ones, so that each has its turn in the time there is.
pub const WORKLOADS: [Workload; 5] = [
    Workload { name: "flat-1", streams: 1, shape: Shape::FlatOut { steps: 250 } },
    Workload { name: "flat-1000", streams: 1_000, shape: Shape::FlatOut { steps: 48 } },
    Workload { name: "flat-5000", streams: 5_000, shape: Shape::FlatOut { steps: 48 } },
    Workload { name: "paced-1000", streams: 1_000, shape: Shape::Paced { delay: PACE } },
    Workload { name: "idle-5000", streams: 5_000, shape: Shape::Idle },
];

/// Five events a second on each stream: the rate of a valuation with chunks of 200 ms.
const PACE: Duration = Duration::from_millis(200);

/// Tasks under way at once, flat out: with 50 events each far below the 16,384 that may wait between a pod's
/// store and its streams, and enough that the server never waits for this client's requests.
const WRITERS: usize = 64;

/// Load before the load that counts: caches, allocators and the kernel's socket buffers find their size.
const WARM_UP: Duration = Duration::from_millis(300);

/// Time after the last final in which a repeated event would still be seen.
const AFTERMATH: Duration = Duration::from_millis(200);

/// From the opening of quiet streams to their measurement: past a pod's first heartbeat, which comes after 2 s. The
/// next one comes 10 s later, so none falls into a short window, where it would count for more than the one
/// event in fifty that it is in the long run. The peer's first one comes after 15 s.
const PAST_HEARTBEAT: Duration = Duration::from_millis(2_500);

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// For `--only`.
    pub name: &'static str,
    /// Streams open at once.
    pub streams: usize,
    /// What happens on them.
    pub shape: Shape,
}

/// What happens on the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Tasks of so many steps, each as fast as it goes.
    FlatOut {
        /// Steps of a task; it has two events more.
        steps: u32,
    },
    /// One task a stream, a step after each delay.
    Paced {
        /// The delay.
        delay: Duration,
    },
    /// Nothing.
    Idle,
}

impl Workload {
    /// Tasks a pod must run at once for it; `None` leaves that to the pod. By default a pod runs a task a core,
    /// but paced tasks mostly wait, and each needs a runner to wait in.
    pub fn tasks_at_once(&self) -> Option<usize> {
        matches!(self.shape, Shape::Paced { .. }).then_some(self.streams)
    }

    /// For people.
    pub fn title(&self) -> String {
        let Self { streams, shape, .. } = self;
        let streams = match streams {
            1 => "1 stream".to_owned(),
            many => format!("{} streams", crate::report::grouped(*many as f64)),
        };
        match shape {
            Shape::FlatOut { .. } => format!("{streams}, flat out"),
            Shape::Paced { delay } => {
                let rate = self.streams as f64 / delay.as_secs_f64();
                format!("{streams}, {} events/s", crate::report::grouped(rate))
            }
            Shape::Idle => format!("{streams}, idle"),
        }
    }
}

/// Measures one side once, in a process of its own.
///
/// # Errors
/// Where anything goes wrong, be it a single event.
pub async fn run(program: Program, workload: &Workload, window: Duration) -> Result<Sample, BenchError> {
    let server = Server::start(program).await?;
    let client = Client::new(server.address());
    let sample = match workload.shape {
        Shape::FlatOut { steps } => flat_out(&server, &client, workload.streams, steps, window).await,
        Shape::Paced { delay } => paced(&server, &client, workload.streams, delay, window).await,
        Shape::Idle => idle(&server, &client, workload.streams).await,
    };
    let (name, words) = (server.name(), server.last_words());
    server.stop().await?;
    sample.map_err(|error| BenchError::Run { name, workload: workload.name, words, source: Box::new(error) })
}

async fn flat_out(
    server: &Server,
    client: &Client,
    streams: usize,
    steps: u32,
    window: Duration,
) -> Result<Sample, RunError> {
    let mut fleet = Fleet::open(client, streams, Some(steps)).await?;
    let handles = fleet.handles();
    let load = write_all(client, &handles, Instant::now() + WARM_UP, 0);
    fleet.during("the warm-up", load).await?;
    let before = Reading::of(server, &fleet)?;
    // Every stream has its turn, however slow the machine is.
    let load = write_all(client, &handles, before.at + window, 1);
    fleet.during("the load", load).await?;
    let after = Reading::of(server, &fleet)?;
    let sample = before.to(&after)?;
    fleet.watch_until(Instant::now() + AFTERMATH).await?;
    Ok(sample)
}

/// Starts task after task, each writer on streams of its own, until `until` and at least `passes` times on each
/// stream.
async fn write_all(
    client: &Client,
    handles: &[Arc<Handle>],
    until: Instant,
    passes: usize,
) -> Result<(), RunError> {
    let mut writers = JoinSet::new();
    for mine in handles.chunks(handles.len().div_ceil(WRITERS)) {
        let (client, mine) = (client.clone(), mine.to_vec());
        writers.spawn(async move {
            for (turn, handle) in mine.iter().cycle().enumerate() {
                if turn >= passes * mine.len() && Instant::now() >= until {
                    break;
                }
                handle.start(&client, Duration::ZERO).await?;
                handle.finish().await;
            }
            Ok(())
        });
    }
    join_all(writers).await
}

async fn paced(
    server: &Server,
    client: &Client,
    streams: usize,
    delay: Duration,
    window: Duration,
) -> Result<Sample, RunError> {
    // The tasks start one by one over one delay, so that their events are spread evenly from then on.
    let lead = delay + PAST_HEARTBEAT;
    let steps = (lead + window).as_millis().div_ceil(delay.as_millis()) + 1;
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    let mut fleet = Fleet::open(client, streams, Some(steps)).await?;
    let handles = fleet.handles();
    let begun = Instant::now();
    let load = begin_evenly(client, &handles, begun, delay);
    fleet.during("starting the tasks", load).await?;
    fleet.watch_until(begun + lead).await?;
    fleet.seen().take_latencies();
    let before = Reading::of(server, &fleet)?;
    fleet.watch_until(before.at + window).await?;
    let after = Reading::of(server, &fleet)?;
    let latencies = fleet.seen().take_latencies();
    let finals = async {
        for handle in handles.iter() {
            handle.finish().await;
        }
        Ok(())
    };
    fleet.during("the finals", finals).await?;
    fleet.watch_until(Instant::now() + AFTERMATH).await?;
    let mut sample = before.to(&after)?;
    sample.set(Measure::LatencyP50, latencies.value_at_quantile(0.5) as f64 / 1e3);
    sample.set(Measure::LatencyP99, latencies.value_at_quantile(0.99) as f64 / 1e3);
    Ok(sample)
}

/// Starts a task on each stream, the last one `delay` after the first.
async fn begin_evenly(
    client: &Client,
    handles: &[Arc<Handle>],
    begun: Instant,
    delay: Duration,
) -> Result<(), RunError> {
    let mut writers = JoinSet::new();
    let share = handles.len().div_ceil(WRITERS);
    for (writer, mine) in handles.chunks(share).enumerate() {
        let (client, mine, streams) = (client.clone(), mine.to_vec(), handles.len());
        writers.spawn(async move {
            for (index, handle) in mine.iter().enumerate() {
                // Writers take turns, so that at no time one of them has all its streams to start.
                let place = (index * WRITERS + writer) as f64 / streams as f64;
                sleep_until(begun + delay.mul_f64(place.min(1.0))).await;
                handle.start(&client, delay).await?;
            }
            Ok(())
        });
    }
    join_all(writers).await
}

async fn join_all(mut writers: JoinSet<Result<(), RunError>>) -> Result<(), RunError> {
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn idle(server: &Server, client: &Client, streams: usize) -> Result<Sample, RunError> {
    // What the first stream brings to life is not the price of a stream.
    let mut first = Fleet::open(client, 1, None).await?;
    first.watch_until(Instant::now() + WARM_UP).await?;
    drop(first);
    let before = server.resident()?;
    let mut fleet = Fleet::open(client, streams, None).await?;
    fleet.watch_until(Instant::now() + PAST_HEARTBEAT).await?;
    let after = server.resident()?;
    let mut sample = Sample::default();
    sample.set(Measure::StreamKilobytes, after.saturating_sub(before) as f64 / streams as f64 / 1e3);
    Ok(sample)
}

/// What was seen and what it cost up to a moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    events: u64,
    bytes: u64,
    cpu: Duration,
}

impl Reading {
    fn of(server: &Server, fleet: &Fleet) -> Result<Self, RunError> {
        let seen = fleet.seen();
        Ok(Self { at: Instant::now(), events: seen.events(), bytes: seen.bytes(), cpu: server.cpu_time()? })
    }

    fn to(&self, later: &Self) -> Result<Sample, RunError> {
        let events = later.events - self.events;
        if events == 0 {
            return Err(RunError::NoEvents);
        }
        let each = |amount: f64| amount / events as f64;
        let mut sample = Sample::default();
        sample.set(Measure::EventsPerSecond, events as f64 / (later.at - self.at).as_secs_f64());
        sample.set(Measure::CpuMicros, each(later.cpu.saturating_sub(self.cpu).as_secs_f64() * 1e6));
        sample.set(Measure::EventBytes, each((later.bytes - self.bytes) as f64));
        Ok(sample)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
