//! One process, which is started more than once under the same name, with one log.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

use crate::{
    error::ChaosError,
    fact::What,
    history::History,
    logs::{self, Log},
};

pub use rustix::process::Signal;

/// A program with its arguments, running or not. Dropping it ends the process.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, OsString)>,
    log: PathBuf,
    child: Option<Child>,
    history: Arc<History>,
}

impl Process {
    /// A process that does not run yet and writes its log into the folder `logs`.
    pub fn new(name: impl Into<String>, program: &Path, logs: &Path, history: &Arc<History>) -> Self {
        let name = name.into();
        let log = logs.join(format!("{name}.log"));
        let (arguments, environment, history) = (Vec::new(), Vec::new(), history.clone());
        Self { name, program: program.to_owned(), arguments, environment, log, child: None, history }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its log says.
    pub fn read_log(&self) -> Result<Log, ChaosError> {
        logs::read(&self.log).map_err(|source| ChaosError::File { path: self.log.clone(), source })
    }

    /// Adds arguments.
    pub fn tell(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
    }

    /// Adds a variable to its environment.
    pub fn give(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<(), ChaosError> {
        let failed = |source| ChaosError::Start { name: self.name.clone(), source };
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).kill_on_drop(true);
        // A group of its own: what a terminal sends to the run is the run's to hear, which then ends the process.
        command.process_group(0);
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        // No setting comes from the shell of whoever runs this.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FUND_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Sends a signal. A process that is not there has died by itself, and that is said.
    pub fn signal(&mut self, signal: Signal) -> Result<(), ChaosError> {
        self.look();
        let process = self.child.as_ref().and_then(Child::id);
        let Some(process) = process.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else {
            return Ok(());
        };
        let failed =
            |source: rustix::io::Errno| ChaosError::Signal { name: self.name.clone(), source: source.into() };
        kill_process(process, signal).map_err(failed)
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) -> Result<(), ChaosError> {
        self.look();
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill().await.map_err(|source| ChaosError::Signal { name: self.name.clone(), source })
    }

    /// Waits until it ends, as it was asked to; how it did is said where it was not in order.
    pub async fn ended(&mut self) -> Result<(), ChaosError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let status = child.wait().await;
        let status = status.map_err(|source| ChaosError::Signal { name: self.name.clone(), source })?;
        if !status.success() {
            self.died(&format!("asked to end, it ended with {status}"));
        }
        Ok(())
    }

    /// Whether it runs. One that ended by itself is told of, once.
    pub fn look(&mut self) -> bool {
        let Some(child) = &mut self.child else { return false };
        let gone: Option<ExitStatus> = child.try_wait().ok().flatten();
        if let Some(status) = gone {
            self.child = None;
            self.died(&format!("ended by itself with {status}"));
        }
        self.child.is_some()
    }

    fn died(&self, how: &str) {
        self.history.say(What::Died { process: self.name.clone(), how: how.to_owned() });
    }
}
