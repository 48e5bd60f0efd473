//! A server as a child process: started on any port, asked for nothing but HTTP, and ended for good.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::{Path, PathBuf},
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

/// A program to run as a server, with what it is told.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    fn new(name: &'static str, path: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { name, path: path.to_owned(), arguments }
    }

    /// `pod-service` on any ports, which keeps everything in its memory.
    pub fn pod(path: &Path) -> Self {
        let ports = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--log-format", "json"];
        Self::new("pod-service", path, &ports)
    }

    /// The same with so many tasks at once.
    #[must_use]
    pub fn with_tasks(self, tasks: usize) -> Self {
        self.with(&["--task-concurrency", &tasks.to_string()])
    }

    /// The same with its data on a Redis.
    #[must_use]
    pub fn with_store(self, url: &str) -> Self {
        self.with(&["--store", url])
    }

    /// The same with its probes on this port.
    #[must_use]
    pub fn with_admin_port(mut self, port: u16) -> Self {
        if let Some(at) = self.arguments.iter().position(|argument| argument == "--admin-port") {
            self.arguments[at + 1] = port.to_string();
        }
        self
    }

    /// `cluster-proxy` on any ports, with the routes of this file.
    pub fn proxy(path: &Path, routes: &Path) -> Self {
        let ports = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--log-format", "json"];
        Self::new("cluster-proxy", path, &ports).with(&["--routes", &routes.display().to_string()])
    }

    /// This binary as a plain axum SSE server.
    pub fn plain(path: &Path) -> Self {
        Self::new("axum-sse", path, &["peer-axum-sse", "--port", "0"])
    }

    /// This binary as a pod of the naive design.
    pub fn naive(path: &Path, url: &str) -> Self {
        Self::new("naive", path, &["peer-naive", "--redis", url])
    }

    #[must_use]
    fn with(mut self, more: &[&str]) -> Self {
        self.arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        self
    }
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    process: u32,
    address: SocketAddr,
    words: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// Where the program cannot be started, or ends, or says nothing.
    pub async fn start(program: Program) -> Result<Self, BenchError> {
        let Program { name, path, arguments } = program;
        let mut command = Command::new(&path);
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // Neither side takes a setting from the shell of whoever measures.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FUND_") {
                command.env_remove(name);
            }
        }
        let failed = |source| BenchError::Start { name, program: path.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let stderr = child.stderr.take().ok_or_else(|| failed(std::io::Error::other("no stderr")))?;
        let process = child.id().ok_or_else(|| failed(std::io::Error::other("it ended at once")))?;
        let words = Arc::default();
        let mut lines = BufReader::new(stderr).lines();
        let serving = tokio::time::timeout(START_LIMIT, address_in(&mut lines, &words)).await;
        let Ok(Some(address)) = serving else {
            return Err(BenchError::NotServing { name, words: said(&words) });
        };
        // The log is read on, or the server would one day wait for a full pipe.
        let heard = words.clone();
        tokio::spawn(async move { while listen(&mut lines, &heard).await.is_some() {} });
        Ok(Self { name, child, process, address, words })
    }

    /// What it is called in reports and errors.
    pub fn name(&self) -> &'static str {
        self.name
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
        self.child.kill().await.map_err(|source| BenchError::End { name: self.name, source })
    }
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
