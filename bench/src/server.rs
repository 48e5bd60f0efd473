//! A server as a child process: started on any port, asked for nothing but HTTP, and ended for good.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::{
    error::BenchError,
    machine::{self, KernelError},
};

/// How long a server may take to serve: it is up within milliseconds, and later only where the machine is
/// overwhelmed.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Lines of a server's log kept for an error: enough for a panic and what led to it.
const LAST_WORDS: usize = 10;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `pod-service`.
    Pod,
    /// This binary as an axum SSE server.
    Peer,
}

impl Side {
    /// Both, in the order they take turns.
    pub const BOTH: [Self; 2] = [Self::Pod, Self::Peer];
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "pod-service",
            Self::Peer => "axum-sse",
        })
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `pod-service`.
    pub pod: PathBuf,
    /// This binary.
    pub peer: PathBuf,
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub struct Server {
    side: Side,
    child: Child,
    process: u32,
    address: SocketAddr,
    words: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts one and waits until it serves. `tasks` is how many it must run at once; `None` leaves that to it.
    ///
    /// # Errors
    /// Where the program cannot be started, or ends, or says nothing.
    pub async fn start(programs: &Programs, side: Side, tasks: Option<usize>) -> Result<Self, BenchError> {
        let (program, mut command) = match side {
            Side::Pod => (programs.pod.clone(), pod_command(programs, tasks)),
            Side::Peer => {
                let mut command = Command::new(&programs.peer);
                command.args(["peer-axum-sse", "--port", "0"]);
                (programs.peer.clone(), command)
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // Neither side takes a setting from the shell of whoever measures.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FUND_") {
                command.env_remove(name);
            }
        }
        let failed = |source| BenchError::Start { side, program: program.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let stderr = child.stderr.take().ok_or_else(|| failed(std::io::Error::other("no stderr")))?;
        let process = child.id().ok_or_else(|| failed(std::io::Error::other("it ended at once")))?;
        let words = Arc::default();
        let mut lines = BufReader::new(stderr).lines();
        let serving = tokio::time::timeout(START_LIMIT, address_in(&mut lines, &words)).await;
        let Ok(Some(address)) = serving else {
            return Err(BenchError::NotServing { side, words: said(&words) });
        };
        // The log is read on, or the server would one day wait for a full pipe.
        let heard = words.clone();
        tokio::spawn(async move { while listen(&mut lines, &heard).await.is_some() {} });
        Ok(Self { side, child, process, address, words })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time it has used.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn cpu_time(&self) -> Result<Duration, KernelError> {
        machine::cpu_time(self.process)
    }

    /// Memory it holds, in bytes.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn resident(&self) -> Result<u64, KernelError> {
        machine::resident(self.process)
    }

    /// The end of its log, for errors.
    pub fn last_words(&self) -> String {
        said(&self.words)
    }

    /// Ends it at once: it keeps nothing that could be lost, and a drain would be measured by nobody.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub async fn stop(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(|source| BenchError::End { side: self.side, source })
    }
}

fn pod_command(programs: &Programs, tasks: Option<usize>) -> Command {
    let mut command = Command::new(&programs.pod);
    command.args(["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--log-format", "json"]);
    if let Some(tasks) = tasks {
        command.arg("--task-concurrency").arg(tasks.to_string());
    }
    command
}

/// Reads the log until a line names an address.
async fn address_in(
    lines: &mut Lines<BufReader<ChildStderr>>,
    words: &Mutex<VecDeque<String>>,
) -> Option<SocketAddr> {
    #[derive(Deserialize)]
    struct Serving {
        address: SocketAddr,
    }
    loop {
        let line = listen(lines, words).await?;
        if let Ok(Serving { address }) = serde_json::from_str(&line) {
            return Some(address);
        }
    }
}

async fn listen(
    lines: &mut Lines<BufReader<ChildStderr>>,
    words: &Mutex<VecDeque<String>>,
) -> Option<String> {
    let line = lines.next_line().await.ok().flatten()?;
    let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
    if words.len() == LAST_WORDS {
        words.pop_front();
    }
    words.push_back(line.clone());
    Some(line)
}

fn said(words: &Mutex<VecDeque<String>>) -> String {
    let words = words.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<_> = words.iter().map(String::as_str).collect();
    if lines.is_empty() { "none".to_owned() } else { lines.join(" | ") }
}
