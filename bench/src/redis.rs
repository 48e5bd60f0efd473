//! What an event costs the Redis: the product's own scripts beside the naive design, with more and more pods.
//!
//! Each run has a server of its own. The pods are not processes but the parts of pods that speak to Redis, for
//! nothing but the server's CPU time is measured: on one side the product's store ([`ours`]), on the other pods
//! that all hear of everything and ask ([`naive`]). Both are loaded the same way ([`designs`]), and in both
//! a task runs on another pod than its stream.

pub mod arrivals;
pub mod designs;
pub mod naive;
pub mod ours;
pub mod server;

use std::time::Duration;

use fundbond_protocol::{PodId, Status, TaskEvent, TaskId};
use jiff::Timestamp;

use crate::{
    args::RedisOptions,
    error::{BenchError, RunError},
    report::{Heading, Report, grouped},
    say,
    stats::{Measure, Pairs, Sample, Side},
};
use designs::{Pods, Shape};
use server::RedisServer;

/// Tasks of each pod that send at once: as many as a batch of the store takes.
const TASKS_A_POD: usize = 64;

/// Events sent one at a time: a second or two, most of which the store waits for company.
const ALONE: u64 = 1_000;

/// Events sent by many: half a second of the server's time with the product's scripts.
const CROWD: u64 = 20_480;

/// Events due in a second, and for how long: the load of the delivery measurement.
const PACED: Shape = Shape::Paced { rate: 5_000, time: Duration::from_secs(2) };

/// What a reader must know before quoting a figure.
const NOTES: [&str; 4] = [
    "CPU is user and system time of redis-server as it tells itself (INFO cpu), over TCP on this machine, \
     nothing on disk. Only events are in it: streams are registered and tasks accepted before.",
    "alone: the next event follows when the last one has arrived at the pod that holds its stream (naive: when \
     every pod has asked). 64 at once: so many tasks on each pod do that, and batches are full. events/s: events \
     are due one by one, spread over all pods, so that batches are as long as a real load makes them.",
    "fundbond logs each event, numbers it, refuses what comes twice or too late, keeps the task's state, and \
     tells one pod. naive publishes to one channel; each pod asks for the registration (GET) and drops what is \
     not its own: no log, no state, nothing to resume from. It asks for all that is there in one write \
     (--naive-batch 1: one by one, as such code is mostly written).",
    "Every event was checked: none lost, none repeated, in order. One that was fails the run.",
];

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Case {
    pods: usize,
    shape: Shape,
}

impl Case {
    fn title(&self) -> String {
        let pods = if self.pods == 1 { "1 pod".to_owned() } else { format!("{} pods", self.pods) };
        match self.shape {
            Shape::Alone { .. } => format!("{pods}, alone"),
            Shape::Crowd { tasks, .. } => format!("{pods}, {tasks} at once on each"),
            Shape::Paced { rate, .. } => format!("{pods}, {} events/s", grouped(rate.into())),
        }
    }
}

/// Measures and answers the report.
///
/// # Errors
/// Where there is no redis-server, or a design does not keep its word.
pub async fn measure(options: &RedisOptions) -> Result<Report, BenchError> {
    let rounds = options.rounds();
    let mut cases = Vec::new();
    let alone = Shape::Alone { events: ALONE };
    let crowd = Shape::Crowd { tasks: TASKS_A_POD, events: CROWD };
    for shape in [alone, crowd, PACED] {
        cases.extend(options.pods().map(|pods| Case { pods, shape }));
    }
    let heading = Heading {
        rounds,
        each: format!("{}, {} and 10,000 events", grouped(ALONE as f64), grouped(CROWD as f64)),
        columns: ["fundbond", "naive"],
        notes: &NOTES,
    };
    let mut report = Report::begin(heading)?;
    // Round by round over all cases, so that a slow minute of the machine is in all of them.
    let mut pairs: Vec<Pairs> = cases.iter().map(|_| Pairs::default()).collect();
    for round in 1..=rounds {
        for (case, pairs) in cases.iter().zip(&mut pairs) {
            for side in Side::BOTH {
                let sample = run(*case, side, options).await?;
                let name = report.column(side);
                say(&format!("{} · round {round}/{rounds} · {name}: {sample}", case.title()));
                pairs.add(side, sample);
            }
        }
    }
    for (case, pairs) in cases.iter().zip(&pairs) {
        report.add("redis", case.title(), case.shape.streams(case.pods), pairs);
    }
    Ok(report)
}

async fn run(case: Case, side: Side, options: &RedisOptions) -> Result<Sample, BenchError> {
    let server = RedisServer::start().await?;
    let loaded = load(case, side, &server, options).await;
    server.stop().await?;
    loaded.map_err(|source| BenchError::Load { what: case.title(), source: Box::new(source) })
}

async fn load(
    case: Case,
    side: Side,
    server: &RedisServer,
    options: &RedisOptions,
) -> Result<Sample, RunError> {
    let streams = case.shape.streams(case.pods);
    let mut pods =
        Pods::start(side, &options.store.config(server.url()), case.pods, streams, options.naive_batch())
            .await?;
    let used = pods.load(server, case.shape).await?;
    let mut sample = Sample::default();
    sample.set(Measure::RedisMicros, used.cpu.as_secs_f64() * 1e6 / used.events as f64);
    sample.set(Measure::EventsPerSecond, used.events as f64 / used.time.as_secs_f64());
    Ok(sample)
}

/// The event of a task that counts, as a pod makes it.
pub fn event(task: &TaskId, step: u64, pod: &PodId) -> TaskEvent {
    TaskEvent::of_task(task, step, Status::SUBTASK_COMPLETED, Timestamp::now())
        .with_message(format!("step {step} of 100000"))
        .with_progress(step, 100_000)
        .from_pod(pod)
}
