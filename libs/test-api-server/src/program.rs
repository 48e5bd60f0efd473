//! One of the two programs: started, watched, stopped, frozen.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};

use crate::keeper;

/// So much of what a program wrote last says why it does not run.
const LAST_LINES: usize = 15;

pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    id_file: PathBuf,
    running: Option<Child>,
}

impl Program {
    /// A program that does not run yet and will write its log into `directory`.
    pub(crate) fn new(assets: &Path, name: &str, arguments: Vec<OsString>, directory: &Path) -> Self {
        Self {
            path: assets.join(name),
            arguments,
            log: directory.join(format!("{name}.log")),
            id_file: directory.join(format!("{name}.pid")),
            running: None,
        }
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("`{}` runs already", self.path.display());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = keeper::enter(&self.id_file, &self.path);
        command.args(&self.arguments).stdout(log.try_clone().context("cannot share a log")?).stderr(log);
        self.running = Some(command.spawn().context("cannot start `sh`")?);
        Ok(())
    }

    /// Fails if it ended, which it never does by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(child) = &mut self.running else { bail!("`{}` does not run", self.path.display()) };
        if let Some(status) = child.try_wait().context("cannot look after a program")? {
            bail!("`{}` ended with {status}; its last words:\n{}", self.path.display(), self.last_words());
        }
        Ok(())
    }

    pub(crate) fn last_words(&self) -> String {
        match fs::read(&self.log) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let lines: Vec<&str> = text.lines().collect();
                lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
            }
            Err(error) => format!("(cannot read {}: {error})", self.log.display()),
        }
    }

    /// Kills it and waits until it is gone. Nothing milder: an API server that is asked to end waits for requests that
    /// never do, watches among them, and for an etcd that may be gone.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.running.take() else { bail!("`{}` does not run", self.path.display()) };
        child.kill().context("cannot kill a program")?;
        child.wait().context("cannot wait for a program")?;
        // Somebody else may be given this id.
        fs::remove_file(&self.id_file).with_context(|| format!("cannot remove {}", self.id_file.display()))
    }

    /// Stops it where it is, and waits until every thread of it stands still: a signal is told to each in its turn, and
    /// one that runs meanwhile may still answer.
    pub(crate) fn freeze(&self) -> Result<()> {
        let id = self.id()?;
        kill_process(id, Signal::STOP).context("cannot freeze a program")?;
        // One that ended instead is left to whoever asks how it ended.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let state =
            retry_on_intr(|| waitid(WaitId::Pid(id), options)).context("cannot wait for a program")?;
        match state {
            Some(state) if state.stopped() => Ok(()),
            _ => bail!("`{}` ended", self.path.display()),
        }
    }

    /// Lets a frozen one go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        kill_process(self.id()?, Signal::CONT).context("cannot thaw a program")
    }

    fn id(&self) -> Result<Pid> {
        let Some(child) = &self.running else { bail!("`{}` does not run", self.path.display()) };
        Pid::from_raw(child.id().try_into().context("an id is positive")?).context("an id is not 0")
    }

    /// Waits for a program that was killed by somebody else.
    pub(crate) fn bury(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It cannot fail but for a child that is not ours, which it is.
            let _ = child.wait();
        }
    }
}
