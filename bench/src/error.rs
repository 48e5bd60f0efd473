//! Everything that ends a measurement.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use crate::{
    client::ClientError,
    fleet::StreamError,
    machine::{KernelError, LimitError},
    redis::designs::Broken,
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
    #[error("`{0}` built no executable")]
    NoBinary(&'static str),
    /// The machine does not say what it is.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Not enough streams can be opened.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A server did not start.
    #[error("cannot start {name} ({})", .program.display())]
    Start {
        /// Which.
        name: &'static str,
        /// From what file.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A server started but never said where it serves.
    #[error("{name} did not say where it serves; its last words: {words}")]
    NotServing {
        /// Which.
        name: &'static str,
        /// The end of its log.
        words: String,
    },
    /// A server did not end.
    #[error("cannot end {name}")]
    End {
        /// Which.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Something went wrong while a server was measured.
    #[error("{name}, {workload} (its last words: {words})")]
    Run {
        /// Which.
        name: &'static str,
        /// Doing what.
        workload: &'static str,
        /// The end of its log.
        words: String,
        /// Why.
        source: Box<RunError>,
    },
    /// The servers cannot be given what they need.
    #[error("cannot prepare a folder and a port for the servers")]
    Folder(#[source] io::Error),
    /// There is no Redis to measure with.
    #[error("cannot run redis-server (Debian: apt-get install redis-server)")]
    RedisStart(#[source] io::Error),
    /// The Redis ended at once.
    #[error("redis-server ended with {0} before it answered")]
    RedisEnded(ExitStatus),
    /// The Redis does not answer.
    #[error("redis-server does not answer")]
    Redis(#[from] redis::RedisError),
    /// Something went wrong while events were sent.
    #[error("{what}")]
    Load {
        /// What was measured.
        what: String,
        /// Why it was not.
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
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] fundbond_store::StoreError),
    /// The store's address is none.
    #[error(transparent)]
    Address(#[from] fundbond_store::redis::AddressError),
    /// The Redis cannot answer.
    #[error("redis-server did not answer")]
    Redis(#[from] redis::RedisError),
    /// What a Redis sent is not what it should be.
    #[error("a message cannot be read")]
    Message(#[from] redis::ParsingError),
    /// A name of ours is not one.
    #[error(transparent)]
    Name(#[from] fundbond_protocol::IdError),
    /// A design of events does not keep its word.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The kernel's figures cannot be read.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A task of this program panicked.
    #[error("a task of the client broke off")]
    Panicked(#[from] tokio::task::JoinError),
    /// Events were sent that nobody read.
    #[error("{due} events were sent, {came} were read")]
    Missing {
        /// How many were sent.
        due: u64,
        /// How many were read.
        came: u64,
    },
    /// Events cannot be sent as fast as they are due.
    #[error("a task is more than {events} events behind its schedule")]
    Behind {
        /// How many.
        events: usize,
    },
    /// No event came, so there is nothing to divide by.
    #[error("no event was delivered")]
    NoEvents,
}
