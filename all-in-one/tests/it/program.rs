//! The program itself, as a person starts it.

use std::process::{ExitStatus, Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use crate::harness::DEADLINE;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fundbond"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FUND_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs `fundbond` with `arguments` to its end.
pub(crate) async fn fundbond(arguments: &[&str]) -> Run {
    let run = command(arguments).output();
    let output = timeout(DEADLINE, run).await.expect("fundbond ends in time").unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run that stays up.
pub(crate) struct Started {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: ChildStderr,
}

impl Started {
    /// Starts `fundbond` with `arguments`.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = child.stderr.take().unwrap();
        Self { child, out, err }
    }

    /// Lines of standard output up to the one that begins with `last`.
    pub(crate) async fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = timeout(DEADLINE, self.out.next_line()).await.expect("a line in time").unwrap();
            let line = line.unwrap_or_else(|| panic!("ended before {last:?}; said {lines:#?}"));
            lines.push(line);
            if lines.last().is_some_and(|line| line.starts_with(last)) {
                return lines;
            }
        }
    }

    /// Sends a signal (`INT`, `TERM`).
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await.unwrap();
        assert!(status.success(), "kill -s {name} {pid}: {status}");
    }

    /// Standard error up to and including `last`.
    pub(crate) async fn error_until(&mut self, last: &str) -> String {
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains(last) {
            let byte = timeout(DEADLINE, self.err.read_u8()).await.expect("a byte in time");
            text.push(byte.unwrap_or_else(|_| panic!("{last:?} after {:?}", String::from_utf8_lossy(&text))));
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = timeout(DEADLINE, self.child.wait()).await.expect("fundbond ends in time").unwrap();
        let mut err = String::new();
        self.err.read_to_string(&mut err).await.unwrap();
        (status, err)
    }
}
