//! Ends what a test binary started, however the binary ends: returning, panicking, or killed.
//!
//! A value in a static is never dropped, and a killed process drops nothing. A pipe, however, is closed by the kernel: the
//! keeper is a shell that reads from one until it is closed, kills every process whose id is written into the directory,
//! and removes the directory. It has a process group of its own, so that Ctrl-C reaches the binary and not the keeper.
//!
//! Whoever is started writes its own id before it becomes the program ([`enter`]), so none runs that is not written down.
//! The keeper moves the directory first: who comes later finds no place to write to, and does not run.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// `$1` is the directory. A killed process may still make a file while the directory is emptied.
const KEEPER: &str = r#"
trap '' HUP INT TERM
read -r _
mv "$1" "$1.gone" || exit
for file in "$1.gone"/*.pid; do
  read -r id < "$file" && kill -KILL "$id"
done
for attempt in 1 2 3 4 5 6 7 8 9; do
  rm -rf "$1.gone" && exit
  sleep 0.1
done
"#;

/// `$0` is the file for the id, the rest the program. A file that is there is whole.
const ENTER: &str = r#"echo $$ > "$0.new" && mv "$0.new" "$0" && exec "$@""#;

/// The keeper of one directory.
pub(crate) struct Keeper(Child);

impl Keeper {
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(directory).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("cannot start `sh`")?))
    }

    /// Ends everything now, and waits until it is gone.
    pub(crate) fn end(&mut self) {
        drop(self.0.stdin.take());
        // It cannot fail but for a child that is not ours, which it is.
        let _ = self.0.wait();
    }
}

/// A command that becomes `program` once its id is in `file`.
pub(crate) fn enter(file: &Path, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", ENTER]).arg(file).arg(program).process_group(0).stdin(Stdio::null());
    command
}
