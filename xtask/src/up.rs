//! `cargo xtask up`: the whole system on this machine, built and started.

use crate::{process, say, tools};
use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds `fundbond` and becomes it, so that Ctrl-C reaches it and its exit code is ours.
pub fn run(arguments: &[OsString]) -> Result<()> {
    tools::c_compiler()?;
    let program = build_release("fundbond", "fundbond")?;
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}

/// Builds one binary in release, with cargo's own progress on stderr, and returns where cargo put it.
fn build_release(package: &str, binary: &str) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--package", package, "--bin", binary];
    let mut command = process::cargo(arguments);
    command.args(process::lock_flag()).arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    say::line(&format!("$ cargo {}", arguments.join(" ")));
    let mut child = command.spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo was started without a pipe")?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message.context("cannot read cargo's messages")?
            && artifact.target.name == binary
            && let Some(executable) = artifact.executable
        {
            program = Some(executable.into_std_path_buf());
        }
    }
    if !child.wait().context("cannot wait for cargo")?.success() {
        bail!("`cargo build` of {package} failed: its messages are above");
    }
    program.with_context(|| format!("cargo built {package} but named no executable `{binary}`"))
}
