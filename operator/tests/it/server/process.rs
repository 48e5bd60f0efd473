//! Operators as processes, which can be stopped, continued and killed.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::sleep;

use super::harness::ask;

/// One that ends with this.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Looks after `namespace` in the server of `kubeconfig`, by the name of `node`.
    /// Clusters do not answer it.
    pub(crate) fn start(kubeconfig: &Path, namespace: &str, node: &str) -> Self {
        // Nobody listens there.
        Self::with(kubeconfig, namespace, node, "http://127.0.0.1:1")
    }

    /// Clusters answer at that URL.
    pub(crate) fn with(kubeconfig: &Path, namespace: &str, node: &str, clusters: &str) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("operator-{namespace}-{node}.log"));
        let said = File::create(&log).unwrap();
        // Figures are those of a release build: `FUNDBOND_OPERATOR=target/release/operator`.
        let program =
            std::env::var_os("FUNDBOND_OPERATOR").unwrap_or_else(|| env!("CARGO_BIN_EXE_operator").into());
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--admin-port", "0", "--node-name", node])
            .args(["--watch-namespaces", namespace, "--namespace", namespace])
            .args(["--log-format", "json", "--proxy-address", clusters])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as Kubernetes would.
    pub(crate) async fn end(&mut self) {
        self.signal(Signal::TERM);
        while self.child.try_wait().unwrap().is_none() {
            // sleep-ok: it has its own deadlines; a test that hangs is killed by who runs it.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Memory that it has, in kB.
    pub(crate) fn resident_kilobytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The value of the sample that begins so; 0 where it is not there yet.
    pub(crate) async fn metric(&self, sample: &str) -> usize {
        let Some(admin) = self.admin() else { return 0 };
        let Some(answer) = ask(admin, "/metrics").await else { return 0 };
        let value = answer.lines().find_map(|line| line.strip_prefix(sample));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Where it says in its log that its metrics are.
    fn admin(&self) -> Option<SocketAddr> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find_map(|line| Some(line["admin"].as_str()?.parse().unwrap()))
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
