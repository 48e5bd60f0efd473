//! Everything that ends a measurement.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use crate::{
    client::ClientError,
    fleet::StreamError,
    machine::{KernelError, LimitError},
    server::Side,
};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// An unoptimised peer would flatter the pod.
    #[error(
        "this is a debug build; measure with `cargo xtask bench` or `cargo run --release -p fundbond-bench`"
    )]
    DebugBuild,
    /// Somebody pressed Ctrl-C, or sent SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// Without signals an interrupted measurement would leave its servers behind.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// The program that is to be the peer cannot be found.
    #[error("cannot find out where this program is")]
    OwnPath(#[source] io::Error),
    /// The peer could not serve.
    #[error("the peer cannot serve")]
    Peer(#[source] io::Error),
    /// The pod cannot be built.
    #[error("cannot run `{command}`")]
    Cargo {
        /// What was run.
        command: &'static str,
        /// Why it did not start.
        source: io::Error,
    },
    /// The build failed.
    #[error("`{command}` failed with {status}")]
    Build {
        /// What was run.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// The build made no binary.
    #[error("`{0}` built no executable called pod-service")]
    NoBinary(&'static str),
    /// The machine does not say what it is.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Not enough streams can be opened.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A server did not start.
    #[error("cannot start {side} ({})", .program.display())]
    Start {
        /// Which.
        side: Side,
        /// From what file.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A server started but never said where it serves.
    #[error("{side} did not say where it serves; its last words: {words}")]
    NotServing {
        /// Which.
        side: Side,
        /// The end of its log.
        words: String,
    },
    /// A server did not end.
    #[error("cannot end {side}")]
    End {
        /// Which.
        side: Side,
        /// Why.
        source: io::Error,
    },
    /// Something went wrong while a server was measured.
    #[error("{side}, {workload} (its last words: {words})")]
    Run {
        /// Which.
        side: Side,
        /// Doing what.
        workload: &'static str,
        /// The end of its log.
        words: String,
        /// Why.
        source: Box<RunError>,
    },
    /// The report cannot be written.
    #[error("cannot write the report")]
    Output(#[source] io::Error),
}

/// What goes wrong under load.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A request has no usable answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A stream is not what it should be.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Nothing moves.
    #[error("{what} took more than {} s", .limit.as_secs())]
    Slow {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// The kernel's figures cannot be read.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A task of this program panicked.
    #[error("a task of the client broke off")]
    Panicked(#[from] tokio::task::JoinError),
    /// No event came, so there is nothing to divide by.
    #[error("no event was delivered")]
    NoEvents,
}
