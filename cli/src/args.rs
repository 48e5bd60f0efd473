//! The command line: flag, else environment, else default.

#[cfg(feature = "kubernetes")]
pub mod cluster;
#[cfg(feature = "kubernetes")]
pub mod manifest;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use fundbond_protocol::{ClusterId, ConnectionId, Status, TaskId, api::MAX_TASK_IDS};
use jiff::SignedDuration;

use crate::{client::ServerUrl, program};

/// Where `cargo xtask up` puts the gateway.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";

/// What the end of a run means to a script; shown under `--help`.
const EXIT_CODES: &str = "Exit codes:
    0  done
    1  error: a request failed, a task FAILED or was CANCELLED, a line was not
       priced, a server would refuse an object (lint, render, diff)
    2  usage: the command line is wrong
    3  unchanged: there was nothing to do (the task to cancel had already
       ended, a change that changes nothing)
    4  degraded: finished, but the result is incomplete (holdings without a
       price, what a mesh cannot do), or not all is well (status, doctor)
    5  timeout: --timeout passed first
  130  interrupted; a task that was started goes on";

/// Prices bonds offline, starts fund and bond tasks, and shows them live.
#[derive(Debug, Parser)]
#[command(name = "fundctl", version, after_long_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Where the requests go and what the answers look like.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Address of the gateway
    #[arg(
        long,
        global = true,
        env = "FUND_SERVER",
        default_value = DEFAULT_SERVER,
        value_name = "URL"
    )]
    pub server: ServerUrl,
    /// Cluster the requests are for; without it the gateway's default route decides
    #[arg(long, global = true, env = "FUND_CLUSTER", value_name = "NAME")]
    pub cluster: Option<ClusterId>,
    /// How data is written to standard output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

impl Global {
    /// How this program is called to reach the same server and cluster again: what every suggested command
    /// begins with.
    pub fn program(&self) -> String {
        let mut program = program::name().to_owned();
        if self.server.as_str() != DEFAULT_SERVER {
            program = format!("{program} --server {}", self.server);
        }
        if let Some(cluster) = &self.cluster {
            program = format!("{program} --cluster {cluster}");
        }
        program
    }
}

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; live on a terminal, one line an event elsewhere
    #[default]
    Table,
    /// One indented document
    Json,
    /// One YAML document
    Yaml,
    /// One compact JSON document a line, as it happens
    Ndjson,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bond mathematics on this machine, without a server
    #[command(subcommand)]
    Bonds(Bonds),
    /// Start, watch, list and cancel tasks
    #[command(subcommand)]
    Task(Task),
    /// Look at a stream as it is
    #[command(subcommand)]
    Events(Events),
    /// Find what an API server would refuse in manifests, and what a person would regret
    ///
    /// No server is asked. Exit code 0: nothing, or warnings without --strict; 1: something.
    #[cfg(feature = "kubernetes")]
    Lint(manifest::LintArgs),
    /// Write every object that a FundCluster becomes, without a cluster
    ///
    /// Before kubectl diff -f - it shows what applying would change. Exit code 4: a mesh cannot do all that is asked for;
    /// standard error says what.
    #[cfg(feature = "kubernetes")]
    Render(manifest::RenderArgs),
    /// Show what a change does before it is made: which objects, which pods, which users
    ///
    /// Where users go is asked of the code that gateways decide by. Exit code 0: something changes; 3: nothing does.
    #[cfg(feature = "kubernetes")]
    Diff(manifest::DiffArgs),
    /// Write the script that makes a shell complete commands and names
    #[cfg(feature = "kubernetes")]
    Completion(manifest::CompletionArgs),
    /// Show how FundClusters stand: who needs somebody first
    ///
    /// Exit code 0: all are ready; 4: one is not.
    #[cfg(feature = "kubernetes")]
    Status(cluster::StatusArgs),
    /// Wait until a FundCluster is ready, or as asked for
    ///
    /// Only what is said about the spec of now counts. Exit code 0: it is; 5: --timeout passed first; 1: it is in vain, for
    /// nothing gets better without somebody's help (Stalled: InvalidSpec, RouteConflict, Refused, PodsFailing), the
    /// FundCluster is paused, or it was deleted.
    #[cfg(feature = "kubernetes")]
    Wait(cluster::WaitArgs),
    /// Tell where a request would go, and why: which cluster, which pod, by what strategy
    ///
    /// Nothing is sent but questions to the admin ports of gateway and cluster proxy. Without an option that leads to
    /// Kubernetes they are asked directly, as `cargo xtask up` starts them. Exit code 0: a pod would take it; 1: it is
    /// refused; 4: nobody is ready for it, or the way could not be followed to its end.
    #[cfg(feature = "kubernetes")]
    Route(cluster::RouteArgs),
    /// Look for what is wrong, from the API server to the last pod, and say what to do
    ///
    /// Looks at FundClusters of all namespaces, or at those of --namespace. What may not be looked at is said. Exit code 0:
    /// all is well; 4: something is not, or could not be looked at; 1: there is no API server to ask.
    #[cfg(feature = "kubernetes")]
    Doctor(cluster::SightArgs),
    /// Make a zip with what somebody else needs to understand a trouble
    ///
    /// Objects, events, logs, admin pages and what `doctor` finds; no Secrets, and what looks like a password, a token or a
    /// key elsewhere is taken out. manifest.json in it says what is there, what is not, and why. Exit code 0: all was taken;
    /// 4: something could not be.
    #[cfg(feature = "kubernetes")]
    Report(cluster::ReportArgs),
}

/// Bond mathematics.
#[derive(Debug, Subcommand)]
pub enum Bonds {
    /// Price instruments: one {"instrument", "quote"} a line in, one result a line out, in the same order
    ///
    /// A line that cannot be priced gives {"id", "error": {"field", "message"}} in its place and exit code 1
    /// at the end; the lines after it are priced all the same.
    Price {
        /// The lines, or - for standard input
        #[arg(default_value = "-", value_name = "FILE")]
        file: PathBuf,
    },
}

/// Tasks.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Start a task from a JSON body, or a portfolio valuation from a CSV of Treasury prices
    Start(StartArgs),
    /// Follow a connection's tasks to their end
    ///
    /// A connection has one reader: watching it takes it over from whoever reads it now. With --task alone
    /// nothing is taken over; the tasks' latest states are asked for instead.
    Watch(WatchArgs),
    /// List tasks, newest first
    List(ListArgs),
    /// End a task with the final event CANCELLED
    Cancel {
        /// The task
        #[arg(value_name = "ID")]
        task: TaskId,
    },
}

/// Arguments of `task start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// A JSON body or a .csv, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The task's id [default: the body's correlationId, else a new one]
    #[arg(long, value_name = "ID")]
    pub id: Option<TaskId>,
    /// The connection its events go to [default: the body's connectionId, else derived from the id]
    #[arg(long, value_name = "ID")]
    pub connection: Option<ConnectionId>,
    /// What kind of work it is [default: the body's kind, else portfolio-valuation]
    #[arg(long)]
    pub kind: Option<String>,
    /// Follow it to its end; takes its connection over from whoever reads it now
    #[arg(short, long)]
    pub watch: bool,
    /// Stop watching after this long; the task goes on (30s, 5m, 1h 30m)
    #[arg(long, requires = "watch", value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Arguments of `task watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The connection to open
    #[arg(value_name = "CONNECTION", required_unless_present = "tasks")]
    pub connection: Option<ConnectionId>,
    /// A task to wait for; may be repeated [default: every task of the connection]
    #[arg(long = "task", value_name = "ID")]
    pub tasks: Vec<TaskId>,
    /// Stop watching after this long; the tasks go on (30s, 5m, 1h 30m)
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

/// Arguments of `task list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only tasks of this connection
    #[arg(long, value_name = "ID")]
    pub connection: Option<ConnectionId>,
    /// Only tasks whose latest event has this status
    #[arg(long, value_parser = parse_status)]
    pub status: Option<Status>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Streams.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Print every event of a connection as it comes, heartbeats included
    ///
    /// A connection has one reader: this takes it over from whoever reads it now.
    Tail(TailArgs),
}

/// Arguments of `events tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// The connection to open
    #[arg(value_name = "CONNECTION")]
    pub connection: ConnectionId,
    /// A task to attach; may be repeated. The stream ends once all of them have
    #[arg(long = "task", value_name = "ID")]
    pub tasks: Vec<TaskId>,
    /// Continue after this event id [default: from the start of the kept log]
    #[arg(long, value_name = "ID")]
    pub last_event_id: Option<String>,
}

impl WatchArgs {
    /// What clap cannot say: how many tasks one stream takes.
    pub fn check(&self) -> Result<(), String> {
        check_task_count(&self.tasks)
    }
}

impl TailArgs {
    /// What clap cannot say: how many tasks one stream takes.
    pub fn check(&self) -> Result<(), String> {
        check_task_count(&self.tasks)
    }
}

fn check_task_count(tasks: &[TaskId]) -> Result<(), String> {
    if tasks.len() <= MAX_TASK_IDS {
        return Ok(());
    }
    Err(format!("--task was given {} times; one stream takes at most {MAX_TASK_IDS} tasks", tasks.len()))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = "expected a time such as 30s, 5m or 1h 30m";
    let duration: SignedDuration = text.parse().map_err(|_| wrong.to_owned())?;
    Duration::try_from(duration).ok().filter(|d| !d.is_zero()).ok_or_else(|| format!("{wrong}, above zero"))
}

fn parse_status(text: &str) -> Result<Status, String> {
    Status::parse(text.to_ascii_uppercase()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_watch_names_a_connection_or_tasks() {
        assert!(Cli::try_parse_from(["fundctl", "task", "watch"]).is_err());
        assert!(Cli::try_parse_from(["fundctl", "task", "watch", "desk7"]).is_ok());
        assert!(Cli::try_parse_from(["fundctl", "task", "watch", "--task", "t1", "--task", "t2"]).is_ok());
        assert!(Cli::try_parse_from(["fundctl", "task", "watch", "a:b"]).is_err());
    }

    #[test]
    fn a_duration_is_a_time_above_zero() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_mins(90)));
        for bad in ["", "30", "-3s", "0s", "soon"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }
}
