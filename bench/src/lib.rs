//! Side-by-side measurements: real processes of the product against what a good engineer builds without its
//! promises.
//!
//! Flow: [`args`] -> [`build`] what is measured -> round by round, ours and theirs in turn: fresh [`server`]
//! processes -> a [`fleet`] of streams -> load, and [`verify`] every event -> read what the kernel says it cost
//! -> [`stats`] -> [`report`]. What is measured: a pod beside a plain axum SSE server ([`side_by_side`],
//! [`workload`], [`peer`]); an event's cost for the Redis beside a naive design ([`redis`]); an event's way to
//! its client over four pods ([`delivery`], [`peer_naive`]); an idle stream's cost for a proxy ([`hop`]).
//!
//! All sides speak the same HTTP, so one client drives them, and it lives in this process: its CPU time is in
//! nobody's figure. Peers are this binary again, in processes of their own.
//!
//! Never: a verdict on a time (machines differ; the reader compares ratios), or a figure of a run that lost,
//! repeated or reordered an event (that is an error and exit code 1).

pub mod args;
pub mod build;
pub mod client;
pub mod delivery;
pub mod error;
pub mod fleet;
pub mod hop;
pub mod machine;
pub mod pace;
pub mod peer;
pub mod peer_naive;
pub mod redis;
pub mod report;
pub mod schedule;
pub mod server;
pub mod side_by_side;
pub mod stats;
pub mod verify;
pub mod workload;

pub use args::Options;
pub use error::BenchError;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use fundbond_service_runtime::exit::chain;
use tokio::signal::unix::{SignalKind, signal};

use args::Command;

/// Runs what was asked for and turns its end into an exit code.
pub async fn main(options: Options) -> ExitCode {
    let result = tokio::select! {
        result = measure(&options) => result,
        // Dropping the measurement ends the servers it started.
        error = interrupted() => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("fundbond-bench: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<(), BenchError> {
    let served = match &options.command {
        Some(Command::PeerAxumSse { port }) => Some(peer::run(*port).await),
        Some(Command::PeerNaive { redis }) => Some(peer_naive::run(redis).await),
        _ => None,
    };
    if let Some(served) = served {
        return served.map_err(BenchError::Peer);
    }
    if cfg!(debug_assertions) {
        return Err(BenchError::DebugBuild);
    }
    let (report, json) = match &options.command {
        Some(Command::Delivery(options)) => (delivery::measure(options).await?, options.print.json),
        Some(Command::Hop(options)) => (hop::measure(options).await?, options.print.json),
        Some(Command::Redis(options)) => (redis::measure(options).await?, options.print.json),
        _ => (side_by_side::measure(&options.measure).await?, options.measure.print.json),
    };
    let text = if json { report.json() } else { report.table() };
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
