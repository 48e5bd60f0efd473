//! Programs that people use: kubectl, helm, fundctl, docker.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// What a program wrote and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

/// Runs it to its end.
///
/// # Errors
/// It cannot be started.
pub async fn said(command: &mut Command) -> Result<Said> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// What it writes to standard output.
///
/// # Errors
/// It cannot be started, or fails.
pub async fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let said = said(command).await?;
    if !said.success {
        bail!("`{shown}` failed: {}\n{}", said.err.trim(), said.out.trim());
    }
    Ok(said.out)
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
