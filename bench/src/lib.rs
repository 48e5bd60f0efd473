//! Side-by-side measurements: a real `pod-service` process against a plain axum SSE server.
//!
//! Flow: [`args`] -> [`build`] the pod -> for each [`workload`], round by round, pod and peer in turn: start a
//! fresh [`server`] process -> open a [`fleet`] of streams -> load it and [`verify`] every event -> read what the
//! kernel says the process cost -> [`stats`] -> [`report`].
//!
//! Both servers speak the same HTTP, so one client drives both, and it lives in this process: its CPU time is
//! in nobody's figure. The [`peer`] is this binary again, in a process of its own.
//!
//! Never: a verdict on a time (machines differ; the reader compares ratios), or a figure of a run that lost,
//! repeated or reordered an event (that is an error and exit code 1).

pub mod args;
pub mod build;
pub mod client;
pub mod error;
pub mod fleet;
pub mod machine;
pub mod peer;
pub mod report;
pub mod server;
pub mod stats;
pub mod verify;
pub mod workload;

pub use args::Options;
pub use error::BenchError;

use std::{
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use tokio::signal::unix::{SignalKind, signal};

use args::{Command, Measure};
use machine::Machine;
use report::Report;
use server::{Programs, Side};
use stats::Pairs;

/// Exit code of a process whose configuration is wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// Runs what was asked for and turns its end into an exit code.
pub async fn main(options: Options) -> ExitCode {
    let result = match options.command {
        Some(Command::PeerAxumSse { port }) => peer::run(port).await.map_err(BenchError::Peer),
        None => tokio::select! {
            result = measure(&options.measure) => result,
            // Dropping the measurement ends the servers it started.
            error = interrupted() => Err(error),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("fundbond-bench: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Measure) -> Result<(), BenchError> {
    if cfg!(debug_assertions) {
        return Err(BenchError::DebugBuild);
    }
    machine::raise_descriptor_limit()?;
    let pod = match &options.pod_binary {
        Some(path) => path.clone(),
        None => build::pod_service().await?,
    };
    let peer = std::env::current_exe().map_err(BenchError::OwnPath)?;
    let programs = Programs { pod, peer };
    let machine = Machine::look()?;
    let plan = options.plan();
    say(&format!("{machine}; {} round(s), pod and peer in turn", plan.rounds));

    let mut report = Report::new(machine, &plan);
    for workload in &plan.workloads {
        let mut pairs = Pairs::default();
        for round in 1..=plan.rounds {
            for side in Side::BOTH {
                let sample = workload::run(&programs, side, workload, plan.window).await?;
                say(&format!("{} · round {round}/{} · {side}: {sample}", workload.title(), plan.rounds));
                pairs.add(side, sample);
            }
        }
        report.add(workload, &pairs);
    }
    let text = if options.json { report.json() } else { report.table() };
    writeln!(std::io::stdout(), "{text}").map_err(BenchError::Output)
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> BenchError {
    let terminated =
        async { signal(SignalKind::terminate())?.recv().await.ok_or(io::ErrorKind::BrokenPipe.into()) };
    let told = tokio::select! {
        told = tokio::signal::ctrl_c() => told,
        told = terminated => told,
    };
    told.map_or_else(BenchError::Signals, |()| BenchError::Interrupted)
}

/// Progress, on stderr: stdout holds the report alone.
fn say(line: &str) {
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
