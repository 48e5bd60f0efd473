//! One function a command; this file wires them to the process: runtime, signals, time limits.

mod bonds;
#[cfg(feature = "kubernetes")]
mod completion;
#[cfg(feature = "kubernetes")]
mod diff;
#[cfg(feature = "kubernetes")]
mod doctor;
mod events;
#[cfg(feature = "kubernetes")]
mod lint;
#[cfg(feature = "kubernetes")]
mod render;
#[cfg(feature = "kubernetes")]
mod report;
#[cfg(feature = "kubernetes")]
mod route;
#[cfg(feature = "kubernetes")]
mod status;
mod task;
#[cfg(feature = "kubernetes")]
mod wait;

use std::{io, time::Duration};

use crate::{
    args::{self, Cli, Command},
    client::Client,
    error::{Error, Exit},
};

/// Runs the command to its end.
pub fn run(cli: Cli) -> Result<Exit, Error> {
    let Cli { global, command } = cli;
    match command {
        // Pure computation: no runtime, no threads.
        Command::Bonds(args::Bonds::Price { file }) => bonds::price(&file),
        Command::Task(args) => online(task::run(global, args)),
        Command::Events(args::Events::Tail(args)) => online(events::tail(global, args)),
        // Files are read, and nobody is spoken to.
        #[cfg(feature = "kubernetes")]
        Command::Lint(args) => lint::run(&global, &args),
        #[cfg(feature = "kubernetes")]
        Command::Render(args) => render::run(&global, &args),
        #[cfg(feature = "kubernetes")]
        Command::Diff(args) => diff::run(&global, &args),
        #[cfg(feature = "kubernetes")]
        Command::Completion(args) => completion::run(&args),
        #[cfg(feature = "kubernetes")]
        Command::Status(args) => online(status::run(global, args)),
        #[cfg(feature = "kubernetes")]
        Command::Wait(args) => online(wait::run(global, args)),
        #[cfg(feature = "kubernetes")]
        Command::Route(args) => online(route::run(global, args)),
        #[cfg(feature = "kubernetes")]
        Command::Doctor(args) => online(doctor::run(global, args)),
        #[cfg(feature = "kubernetes")]
        Command::Report(args) => online(report::run(global, args)),
    }
}

fn online<T>(command: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // One thread: a command waits for a server and for nothing else.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Setup("runtime", source))?;
    runtime.block_on(command)
}

fn client(global: &args::Global) -> Client {
    Client::new(global.server.clone(), global.cluster.clone())
}

/// A message beside the data.
fn say(message: &str) {
    use io::Write as _;
    // A lost message is no reason to fail a command whose data was written.
    let _ = writeln!(io::stderr(), "{message}");
}

/// Why a command stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Interrupted,
    Timeout,
}

/// Completes with the first reason to stop; never where there is none.
async fn stop(limit: Option<Duration>) -> Result<Stop, io::Error> {
    let limit = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Stop::Interrupted),
        () = limit => Ok(Stop::Timeout),
    }
}
