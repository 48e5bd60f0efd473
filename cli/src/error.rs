//! What went wrong, on which object, and what to do next.

use std::{error::Error as StdError, fmt::Write as _, io, process::ExitCode};

use fundbond_bonds::FieldError;
use fundbond_protocol::{ConnectionId, IdError, TaskId};

use crate::{
    args::DEFAULT_SERVER,
    client::ClientError,
    render::printable,
    stream::{Ended, StreamError},
};

/// How a run ended, as a script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// It did not work.
    Error,
    /// The command line is wrong.
    Usage,
    /// There was nothing to do.
    Unchanged,
    /// Done, but the result is incomplete.
    Degraded,
    /// The caller's time limit came first.
    Timeout,
    /// Ctrl-C: 128 + SIGINT, as a shell reports it.
    Interrupted,
    /// The reader of standard output went away: 128 + SIGPIPE.
    BrokenPipe,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Unchanged => 3,
            Self::Degraded => 4,
            Self::Timeout => 5,
            Self::Interrupted => 130,
            Self::BrokenPipe => 141,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong in a way its grammar cannot say.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Write(#[from] io::Error),
    /// A file is not the JSON or CSV of a task.
    #[error("{file} is not a task: {why}")]
    Body {
        /// Which.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A portfolio CSV has a bad field.
    #[error("{file} is not a portfolio")]
    Portfolio {
        /// Which.
        file: String,
        /// The field.
        #[source]
        source: FieldError,
    },
    /// An id in a body is none.
    #[error("{file}: {field}")]
    Id {
        /// Which file.
        file: String,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// A call about no single task failed.
    #[error("cannot {action}")]
    Call {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: ClientError,
    },
    /// A call about a task failed.
    #[error("cannot {action} task {task}")]
    Task {
        /// What was tried.
        action: &'static str,
        /// Which task.
        task: TaskId,
        /// Why it failed.
        #[source]
        source: ClientError,
    },
    /// A stream could not be followed.
    #[error("connection {connection}")]
    Stream {
        /// Which.
        connection: ConnectionId,
        /// Why not.
        #[source]
        source: StreamError,
    },
    /// A stream ended for good before its tasks did.
    #[error("{}", .ended.text(.connection))]
    Ended {
        /// Which.
        connection: ConnectionId,
        /// How.
        ended: Ended,
        /// What is left of it.
        tasks: Vec<TaskId>,
    },
    /// Manifests cannot be worked with.
    #[cfg(feature = "manifests")]
    #[error(transparent)]
    Manifest(#[from] crate::manifest::ManifestError),
    /// The API server of a Kubernetes did not answer.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Cluster(#[from] crate::cluster::ClusterError),
    /// A report could not be written.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Report(#[from] crate::report::ArchiveError),
    /// What was asked for is not so, or not yet.
    #[cfg(feature = "kubernetes")]
    #[error("{what}")]
    NotSo {
        /// What is so instead, on which object.
        what: String,
        /// What to do next.
        next: String,
        /// What a script is told.
        exit: Exit,
    },
    /// The asynchronous runtime or the signal handler cannot be set up.
    #[error("cannot set up the {0}")]
    Setup(&'static str, #[source] io::Error),
}

impl Ended {
    fn text(self, connection: &ConnectionId) -> String {
        match self {
            Self::Finished => format!("connection {connection} has nothing left to send"),
            Self::Replaced => format!("another reader took connection {connection} over"),
            Self::Closed => format!("connection {connection} was closed"),
        }
    }
}

impl Error {
    /// A failed call about `task`.
    pub fn task(action: &'static str, task: &TaskId, source: ClientError) -> Self {
        Self::Task { action, task: task.clone(), source }
    }

    /// What a script is told.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            #[cfg(feature = "kubernetes")]
            Self::NotSo { exit, .. } => *exit,
            Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe,
            _ => Exit::Error,
        }
    }

    /// The call that failed, where it was one.
    fn client(&self) -> Option<&ClientError> {
        match self {
            Self::Call { source, .. }
            | Self::Task { source, .. }
            | Self::Stream { source: StreamError::Open(source), .. } => Some(source),
            _ => None,
        }
    }

    /// What to do next.
    fn next(&self, program: &str) -> String {
        if let Some(next) = self.client().and_then(|error| next_after_call(error, program)) {
            return next;
        }
        match self {
            Self::Usage(_) => format!("see {program} --help"),
            #[cfg(feature = "manifests")]
            Self::Manifest(error) => error.next(program),
            Self::Read { .. } => "check the path and its permissions; - is standard input".to_owned(),
            Self::Body { .. } | Self::Id { .. } | Self::Portfolio { .. } => {
                "correct it and start the task again".to_owned()
            }
            Self::Stream { connection, source: StreamError::GaveUp { .. } } => {
                format!("its tasks go on; when the server is back: {program} task watch {connection}")
            }
            Self::Stream { connection, .. } => {
                format!("{program} events tail {connection} shows it as it is")
            }
            Self::Ended { tasks, connection, .. } => match tasks.as_slice() {
                [] => format!("{program} task list --connection {connection}"),
                tasks => format!("{program} task watch{}", flags(tasks)),
            },
            Self::Task { .. } => format!("{program} task list shows the tasks that are known"),
            Self::Call { .. } => {
                "try again with -o json to see the data as it is, or ask the server's logs".to_owned()
            }
            #[cfg(feature = "kubernetes")]
            Self::Cluster(error) => error.next(),
            #[cfg(feature = "kubernetes")]
            Self::Report(_) => "name another file with --file, in a folder that you may write to".to_owned(),
            #[cfg(feature = "kubernetes")]
            Self::NotSo { next, .. } => next.clone(),
            Self::Write(_) | Self::Setup(..) => {
                "check the limits of this machine (disk, open files)".to_owned()
            }
        }
    }
}

/// ` --task a --task b`.
pub(crate) fn flags(tasks: &[TaskId]) -> String {
    tasks.iter().fold(String::new(), |text, task| format!("{text} --task {task}"))
}

fn next_after_call(error: &ClientError, program: &str) -> Option<String> {
    let next = match error {
        ClientError::Unreachable { server, .. } => format!(
            "is it running? `cargo xtask up` starts one on {DEFAULT_SERVER}; \
             --server or FUND_SERVER names another than {server}"
        ),
        ClientError::Problem { problem, .. } => match problem.slug() {
            slug if slug.ends_with("-route") => "name the cluster with --cluster or FUND_CLUSTER".to_owned(),
            _ if problem.status == 422 => "correct the fields above and try again".to_owned(),
            _ if problem.status == 409 => "use another --id, or send the same body again".to_owned(),
            _ if problem.status == 404 => format!("{program} task list shows the tasks that are known"),
            _ if problem.status >= 500 => match problem.instance.as_str() {
                "" => "try again; the server's logs say more".to_owned(),
                id => format!("try again; the server's logs say more about request {id}"),
            },
            _ => return None,
        },
        ClientError::Foreign { .. } => {
            "check --server: something else than a Fundbond gateway listens there".to_owned()
        }
        ClientError::Slow { .. } | ClientError::Broken { .. } => {
            "try again; nothing runs twice for the same id and body".to_owned()
        }
        ClientError::Request { .. } => return None,
    };
    Some(next)
}

/// Says `error` on standard error and gives the exit code. Suggested commands begin with `program`.
pub fn report(error: &Error, program: &str) -> ExitCode {
    use io::Write as _;
    let exit = error.exit();
    if exit != Exit::BrokenPipe {
        // When even standard error is gone there is nobody left to tell.
        let _ = io::stderr().write_all(text(error, program).as_bytes());
    }
    exit.into()
}

/// `error` as a person reads it: what, the fields, the request, what next.
pub fn text(error: &Error, program: &str) -> String {
    let mut text = format!("error: {}", printable(&error.to_string()));
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {}", printable(&cause.to_string()));
        source = cause.source();
    }
    text.push('\n');
    if let Some(ClientError::Problem { problem, .. }) = error.client() {
        // With fields, the detail is the first of them again.
        if problem.errors.is_empty() && !problem.detail.is_empty() {
            let _ = writeln!(text, "  {}", printable(&problem.detail));
        }
        for field in &problem.errors {
            let _ = writeln!(text, "  {}: {}", printable(&field.field), printable(&field.message));
        }
        if !problem.instance.is_empty() {
            let _ = writeln!(text, "  request: {}", printable(&problem.instance));
        }
    }
    let _ = writeln!(text, "next: {}", printable(&error.next(program)));
    text
}

#[cfg(test)]
mod tests;
