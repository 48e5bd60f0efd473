//! A pod beside a plain axum SSE server: each workload round by round, pod and peer in turn, each in a fresh
//! process.

use crate::{
    args::Measure,
    build,
    error::BenchError,
    machine,
    report::{Heading, Report},
    say,
    server::Program,
    stats::{Pairs, Side},
    workload,
};

/// What a reader must know before quoting a figure.
const NOTES: [&str; 5] = [
    "Quote ratios. Absolute figures wobble by tens of percent from machine to machine and run to run: client \
     and server share the cores, so flat-out rates are those of both together.",
    "CPU is user and system time of the server process, from the kernel; requests and everything else it does \
     in that time are in it. The client is another process. Paced streams are measured between two heartbeats, \
     which would add one event in fifty.",
    "Every event was checked: contiguous offsets, steps in order, one final a task. A lost or repeated event \
     fails the run.",
    "Latency is from an event's timestamp, which has whole milliseconds, to its reading: a single one is right \
     to half a millisecond, and what is below one is no more than that.",
    "The peer keeps nothing: no log, no resume, no idempotency, no takeover. The ratio is the price of these.",
];

/// Measures and answers the report.
///
/// # Errors
/// Where anything goes wrong, be it a single event.
pub async fn measure(options: &Measure) -> Result<Report, BenchError> {
    machine::raise_descriptor_limit()?;
    let pod = match &options.pod_binary {
        Some(path) => path.clone(),
        None => build::pod_service().await?,
    };
    let peer = std::env::current_exe().map_err(BenchError::OwnPath)?;
    let plan = options.plan();
    let mut report = Report::begin(Heading {
        rounds: plan.rounds,
        each: format!("{:.1} s", plan.window.as_secs_f64()),
        columns: ["pod-service", "axum-sse"],
        notes: &NOTES,
    })?;
    for workload in &plan.workloads {
        let mut pairs = Pairs::default();
        for round in 1..=plan.rounds {
            for side in Side::BOTH {
                let program = match (side, workload.tasks_at_once()) {
                    (Side::Pod, None) => Program::pod(&pod),
                    (Side::Pod, Some(tasks)) => Program::pod(&pod).with_tasks(tasks),
                    (Side::Peer, _) => Program::plain(&peer),
                };
                let sample = workload::run(program, workload, plan.window).await?;
                let name = report.column(side);
                say(&format!("{} · round {round}/{} · {name}: {sample}", workload.title(), plan.rounds));
                pairs.add(side, sample);
            }
        }
        report.add(workload.name, workload.title(), workload.streams, &pairs);
    }
    Ok(report)
}
