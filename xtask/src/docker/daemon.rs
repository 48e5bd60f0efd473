//! A Docker daemon of our own, for machines that have none running: started when a chore needs it, ended by the chore
//! that ends what runs in it.
//!
//! It changes nothing on the machine that outlives it: no firewall rules, no forwarding, no default bridge. Compose
//! makes networks of its own, published ports are passed on by Docker's proxy process, and containers reach nothing
//! outside. Its images stay in the cache.

mod runtime;

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon answers within a second, on a loaded machine within ten.
const START_LIMIT: Duration = Duration::from_mins(1);
/// It ends its containers first, each within its own grace, and containerd after them: more than a minute on a machine
/// that builds something else at the same time.
const STOP_LIMIT: Duration = Duration::from_mins(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts a daemon unless one answers.
pub fn start() -> Result<()> {
    let Some(silence) = silence()? else { return Ok(()) };
    ours_to_start(&silence)?;
    let folder = folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let log = folder.join("log");
    say::line(&format!(
        "no Docker daemon runs: starting one, which the chore that ends what runs in it ends too; its log is {}",
        log.display()
    ));
    let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut dockerd = Command::new("dockerd");
    if let Some(runtime) = runtime::ours(&folder)? {
        dockerd.args(["--default-runtime", runtime::NAME, "--add-runtime"]);
        dockerd.arg(format!("{}={}", runtime::NAME, runtime.display()));
    }
    let mut child = dockerd
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--pidfile")
        .arg(pid_file(&folder))
        .args(["--iptables=false", "--ip-forward=false", "--bridge=none"])
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot share the log")?)
        .stderr(output)
        // Ctrl-C at a chore is not meant for it.
        .process_group(0)
        .spawn()
        .context("cannot start dockerd")?;
    wait(&mut child).with_context(|| format!("dockerd does not start; its last words: {}", last_words(&log)))
}

/// Ends the daemon that [`start`] started, if one runs and nothing runs in it.
pub fn stop() -> Result<()> {
    let Some(pid) = our_pid(&folder()?)? else { return Ok(()) };
    let running = process::output(Command::new("docker").args(["ps", "--format", "{{.Names}}"]))?;
    if !running.trim().is_empty() {
        let names: Vec<&str> = running.split_whitespace().collect();
        say::line(&format!("the Docker daemon (process {pid}) stays: {} run in it", names.join(", ")));
        return Ok(());
    }
    say::line(&format!("stopping the Docker daemon that a chore started (process {pid})"));
    process::output(Command::new("kill").args(["-TERM", &pid]))?;
    let start = Instant::now();
    while is_dockerd(&pid) {
        if start.elapsed() > STOP_LIMIT {
            bail!("the Docker daemon (process {pid}) does not end; is one of its containers stuck?");
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Whether one answers.
pub fn answers() -> Result<bool> {
    tools::docker_client()?;
    Ok(silence()?.is_none())
}

/// Why no daemon answers, or `None` where one does.
fn silence() -> Result<Option<String>> {
    let mut question = Command::new("docker");
    question.args(["version", "--format", "{{.Server.Version}}"]);
    match process::output_within(&mut question, START_LIMIT) {
        Ok(_) => Ok(None),
        Err(error) => {
            let text = format!("{error:#}");
            if text.contains("permission denied") {
                bail!(
                    "the Docker daemon runs but refuses this user: join the group `docker`, or run this as root"
                );
            }
            Ok(Some(text))
        }
    }
}

/// Whether this machine leaves the daemon to us: no service manager does it, and we may.
fn ours_to_start(silence: &str) -> Result<()> {
    if let Some(host) = std::env::var_os("DOCKER_HOST") {
        bail!("no Docker daemon answers at DOCKER_HOST={}: {silence}", host.display());
    }
    if !cfg!(target_os = "linux") {
        bail!("no Docker daemon answers: start Docker Desktop, colima or whatever runs it here");
    }
    if Path::new("/run/systemd/system").exists() {
        bail!("no Docker daemon answers: start it with `systemctl start docker`");
    }
    if process::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("no Docker daemon answers, and only root may start one: start it, or run this as root");
    }
    tools::docker_daemon()
}

fn wait(child: &mut Child) -> Result<()> {
    let start = Instant::now();
    while silence()?.is_some() {
        if let Some(status) = child.try_wait().context("cannot wait for dockerd")? {
            bail!("it ended with {status}");
        }
        if start.elapsed() > START_LIMIT {
            child.kill().context("cannot end dockerd")?;
            bail!("it runs but does not answer");
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn folder() -> Result<PathBuf> {
    Ok(cache::root()?.join("docker"))
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("dockerd.pid")
}

/// The process of our daemon. A machine that was switched off leaves a file whose number belongs to somebody else.
fn our_pid(folder: &Path) -> Result<Option<String>> {
    let file = pid_file(folder);
    if !file.exists() {
        return Ok(None);
    }
    let pid = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let pid = pid.trim().to_owned();
    Ok(is_dockerd(&pid).then_some(pid))
}

/// Whether this is a dockerd that runs. One that ended stays in the list of processes, name and all, until whoever started
/// it asks what became of it; that may be this very process, or one that never asks.
fn is_dockerd(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    runs_as(&stat, "dockerd")
}

/// Reads `/proc/<pid>/stat`: number, name in brackets, state.
fn runs_as(stat: &str, name: &str) -> bool {
    let Some((before, after)) = stat.rsplit_once(')') else { return false };
    let found = before.split_once('(').is_some_and(|(_, found)| found == name);
    found && !after.trim_start().starts_with(['Z', 'X'])
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_that_a_dead_machine_left_names_no_daemon() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(our_pid(folder.path()).unwrap(), None);
        // Somebody lives at this number, but it is no dockerd.
        fs::write(pid_file(folder.path()), std::process::id().to_string()).unwrap();
        assert_eq!(our_pid(folder.path()).unwrap(), None);
    }

    #[test]
    fn a_daemon_that_ended_and_was_not_asked_after_runs_no_more() {
        assert!(runs_as("25532 (dockerd) S 1 25532", "dockerd"));
        assert!(!runs_as("25532 (dockerd) Z 1 25532", "dockerd"));
        assert!(!runs_as("25532 (bash) S 1 25532", "dockerd"));
        assert!(!runs_as("", "dockerd"));
    }

    #[test]
    fn the_last_words_of_a_log_come_in_their_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "one\ntwo\nthree\nfour\n").unwrap();
        assert_eq!(last_words(file.path()), "two | three | four");
    }
}
