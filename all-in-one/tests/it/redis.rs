//! A Redis of a test's own: a process on a socket in a folder of its own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fundbond::SystemConfig;
use fundbond_fault_proxy::{FaultProxy, Upstream};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::harness::DEADLINE;

/// What survives the death of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Every write (an append-only file, synchronised with each).
    Everything,
    /// Nothing.
    Nothing,
}

/// A running server. It dies with this.
pub(crate) struct Redis {
    folder: TempDir,
    keeps: Keeps,
    process: Option<Child>,
}

impl Redis {
    pub(crate) async fn start(keeps: Keeps) -> Self {
        let mut redis = Self { folder: TempDir::new().unwrap(), keeps, process: None };
        redis.launch().await;
        redis
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A proxy in front of it that can do what networks do; connections that listen to the bus are marked.
    pub(crate) fn proxied(&self) -> FaultProxy {
        // As the protocol frames the word: no script that is loaded or event that is said has it.
        FaultProxy::marking(Upstream::Unix(self.path("redis.sock")), b"\r\nSUBSCRIBE\r\n").unwrap()
    }

    /// A system on any free ports whose pods meet here.
    pub(crate) fn system(&self) -> SystemConfig {
        let url = format!("redis+unix://{}", self.path("redis.sock").display());
        SystemConfig { store: url.parse().unwrap(), ..SystemConfig::ephemeral() }
    }

    /// Starts the process again, and waits until it answers.
    pub(crate) async fn launch(&mut self) {
        let append_only = if self.keeps == Keeps::Everything { "yes" } else { "no" };
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--daemonize", "no", "--appendfsync", "always"])
            .args(["--appendonly", append_only])
            .arg("--unixsocket")
            .arg(self.path("redis.sock"))
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(self.path("redis.log")).unwrap())
            .spawn()
            .expect("redis-server runs: `cargo xtask test` installs it");
        self.process = Some(child);
        let answering = async {
            while self.ask(&["PING"]) != "PONG" {
                // sleep-ok: another process has to come up.
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, answering).await.expect("redis-server answers in time");
    }

    /// Kills the process on the spot.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What `redis-cli` says to a command.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let socket = self.path("redis.sock");
        let output = Command::new("redis-cli").arg("-s").arg(socket).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
