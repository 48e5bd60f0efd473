//! Runs the binary.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// Longer than anything a test waits for, shorter than a person's patience.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The command with `arguments`, in an environment that says nothing.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fundctl"));
    command
        .args(arguments)
        .env_remove("FUND_SERVER")
        .env_remove("FUND_CLUSTER")
        .env_remove("KUBECONFIG")
        .kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `fundctl` with `arguments` to its end.
pub(crate) async fn fundctl(arguments: &[&str]) -> Run {
    fundctl_with(arguments, "").await
}

/// The same with `input` on standard input.
pub(crate) async fn fundctl_with(arguments: &[&str], input: &str) -> Run {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feed = tokio::spawn(async move {
        // A command that does not read its input closes it early; its own output tells the rest.
        let _ = stdin.write_all(input.as_bytes()).await;
    });
    let output = timeout(DEADLINE, child.wait_with_output()).await.expect("fundctl ends in time").unwrap();
    feed.await.unwrap();
    output.into()
}
