//! Operators as processes, which can be stopped, continued and killed.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use fundbond_test_api_server::User;
use rustix::process::{Pid, Signal, kill_process};

/// One that ends with this.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Looks after `namespace` as `user`, by the name of `node`.
    pub(crate) fn start(user: &User, namespace: &str, node: &str) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("operator-{namespace}-{node}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["--host", "127.0.0.1", "--admin-port", "0", "--node-name", node])
            .args(["--watch-namespaces", namespace, "--namespace", namespace])
            .env("KUBECONFIG", user.kubeconfig())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
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
