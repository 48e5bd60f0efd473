//! Why a run could not be made: the run's fault, never the system's.

use std::{io, path::PathBuf, process::ExitStatus};

use fundbond_protocol::IdError;
use jiff::SignedDuration;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// A name of ours is none.
    #[error("a name of the plan is no id")]
    Name(#[from] IdError),
    /// A story needs more pods.
    #[error("a story needs at least {0} pods; leave --pods out")]
    FewPods(u8),
    /// A file or folder of the run.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Cargo cannot be run.
    #[error("cannot run cargo")]
    Cargo(#[source] io::Error),
    /// The programs cannot be built.
    #[error("the programs cannot be built: cargo ended with {0}")]
    Build(ExitStatus),
    /// Cargo does not name a program that it built.
    #[error("cargo built no {0}")]
    NoProgram(&'static str),
    /// Too few ports are free.
    #[error("no {0} ports are free below those that connections are made from")]
    Ports(usize),
    /// A program cannot be started.
    #[error("cannot start {name}")]
    Start {
        /// Which.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A signal cannot be sent.
    #[error("cannot signal {name}")]
    Signal {
        /// Whom.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The system did not come up.
    #[error("the system is not ready after {seconds} s; its logs are in {logs}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// Where to look.
        logs: PathBuf,
    },
    /// A fault proxy cannot be made or changed.
    #[error("the way to Redis cannot be changed")]
    Way(#[source] io::Error),
    /// Redis cannot be asked.
    #[error("cannot ask Redis")]
    Redis(#[from] redis::RedisError),
    /// There is nothing to make a clock wrong with.
    #[error(
        "no libfaketime below /usr/lib: install it, for example with `apt-get install libfaketime` on Debian and Ubuntu \
         or `dnf install libfaketime` on Fedora"
    )]
    NoFaketime,
    /// A clock is not as wrong as it should be.
    #[error("the clock of {name} should be wrong by {hours:+} h; its log says {ahead:?}")]
    Clock {
        /// Whose.
        name: String,
        /// By how much it should be ahead.
        hours: i8,
        /// By how much it is; none where it says nothing.
        ahead: Option<SignedDuration>,
    },
    /// Nobody leads, or the wrong one.
    #[error("{0}")]
    Leader(&'static str),
    /// What should have been struck in the middle was over.
    #[error("{0}")]
    Missed(&'static str),
    /// The descriptors that streams take.
    #[error("cannot have {wanted} open files, which so many streams take; raise `ulimit -Hn`")]
    Descriptors {
        /// How many.
        wanted: u64,
    },
    /// A request of ours is none.
    #[error("a request of ours cannot be made")]
    Request(#[from] http::Error),
    /// Signals cannot be heard.
    #[error("cannot hear signals")]
    Signals(#[source] io::Error),
    /// Somebody wants it to end.
    #[error("interrupted")]
    Interrupted,
    /// A part of the run broke.
    #[error("a part of the run panicked")]
    Panicked(#[from] tokio::task::JoinError),
    /// The report cannot be written.
    #[error("cannot write the report")]
    Output(#[source] io::Error),
}
