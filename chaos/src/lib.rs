//! Breaks a running system on purpose, and checks every promise over all that its clients saw.
//!
//! Flow: [`args`] -> [`plan`] (a seed becomes faults and scripts; pure) -> [`site`] starts real processes: gateway,
//! cluster proxies, pods, a Redis, and a fault proxy on each pod's way to it -> [`desk`] and [`page`] play the clients
//! while [`strike`] plays the faults; each thing that is seen is a [`fact`] in the [`history`] -> after the calm,
//! [`run`] asks for what is left -> [`check`] judges all facts at once (pure), [`recovery`] measures (pure) -> [`report`].
//!
//! Never: a judgement while things happen (who sees something writes it down and goes on), a client that repairs what
//! it sees (it resumes as a browser does and counts what comes), or a process that outlives the run.

pub mod args;
pub mod census;
pub mod check;
pub mod desk;
pub mod error;
pub mod fact;
pub mod history;
pub mod http;
pub mod logs;
pub mod page;
pub mod plan;
pub mod post;
pub mod recovery;
pub mod report;
pub mod run;
pub mod site;
pub mod strike;

pub use args::Options;
pub use error::ChaosError;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use fundbond_service_runtime::exit::chain;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use report::Report;
use site::Programs;

/// Stories kill three pods and need one that is left.
const FEWEST_OF_STORIES: u8 = 4;

/// Open files of a process: the gateway has two for each of 2,000 streams, and everybody some more.
const DESCRIPTORS: u64 = 8_192;

/// Runs what was asked for and turns its end into an exit code.
pub async fn main(options: Options) -> ExitCode {
    let result = tokio::select! {
        result = play(&options) => result,
        // Dropping the run ends the processes that it started.
        error = interrupted() => Err(error),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("fundbond-chaos: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise was kept.
async fn play(options: &Options) -> Result<bool, ChaosError> {
    let seed = options.seed.unwrap_or_else(rand::random);
    let plan = match options.scenario {
        Some(_) if options.pods < FEWEST_OF_STORIES => return Err(ChaosError::FewPods(FEWEST_OF_STORIES)),
        Some(story) => plan::scenario::plan(story, seed, &options.size())?,
        None => plan::draw(seed, &options.size())?,
    };
    if options.print.plan {
        tell(&plan.to_string())?;
        return Ok(true);
    }
    raise_descriptor_limit()?;
    let profile = if options.release { "release" } else { "dev" };
    say(&format!("chaos: seed {seed}, programs of profile {profile}"));
    let programs = Programs::build(options.release).await?;
    let temporary = std::env::temp_dir();
    let folder = tempfile::Builder::new().prefix("fundbond-chaos-").tempdir();
    let folder = folder.map_err(|source| ChaosError::File { path: temporary, source })?;
    let seconds = plan.ends.as_secs();
    say(&format!("chaos: {} clients, {} faults, {seconds} s at most", plan.desks.len(), plan.faults.len()));
    let outcome = run::run(&plan, &programs, folder.path()).await;
    let report = match outcome {
        Ok(facts) => Report::of(&plan, &facts),
        Err(error) => {
            say(&format!("chaos: logs and facts are kept in {}", folder.keep().display()));
            return Err(error);
        }
    };
    tell(&if options.print.json { report.json() } else { report.to_string() })?;
    if options.keep || !report.is_clean() {
        say(&format!("chaos: logs and facts are kept in {}", folder.keep().display()));
    }
    Ok(report.is_clean())
}

fn raise_descriptor_limit() -> Result<(), ChaosError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit. Processes that are started inherit it.
    if current.is_none_or(|current| current >= DESCRIPTORS) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum })
        .map_err(|_| ChaosError::Descriptors { wanted: DESCRIPTORS })
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> ChaosError {
    let terminated =
        async { signal(SignalKind::terminate())?.recv().await.ok_or(io::ErrorKind::BrokenPipe.into()) };
    let told = tokio::select! {
        told = tokio::signal::ctrl_c() => told,
        told = terminated => told,
    };
    told.map_or_else(ChaosError::Signals, |()| ChaosError::Interrupted)
}

/// The report, on stdout.
fn tell(text: &str) -> Result<(), ChaosError> {
    writeln!(io::stdout(), "{text}").map_err(ChaosError::Output)
}

/// Progress, on stderr: stdout holds the report alone.
fn say(line: &str) {
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}
