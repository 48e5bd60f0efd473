//! Running other programs: what is run is shown, and a failure says which command failed.

use crate::say;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Runs a command with our own input and output and insists on success.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    say::line(&format!("$ {shown}"));
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    expect_success(&shown, status)
}

/// Like [`run`], but its stderr is read line by line on the way.
pub fn run_reading(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    let shown = shown(command);
    say::line(&format!("$ {shown}"));
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if let Some(stderr) = child.stderr.take() {
        // A program that fuzzes prints bytes of any kind.
        for bytes in BufReader::new(stderr).split(b'\n') {
            let bytes = bytes.with_context(|| format!("cannot read the output of `{shown}`"))?;
            line(&String::from_utf8_lossy(&bytes));
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    expect_success(&shown, status)
}

/// Runs a command quietly and returns its standard output; a failure carries what it wrote to stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed with {}: {}", output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` wrote something that is not UTF-8"))
}

/// Runs a command quietly; says whether it succeeded, and what it wrote to standard output. What it complains of on the
/// way goes where our own complaints go.
pub fn outcome(command: &mut Command) -> Result<(bool, String)> {
    let shown = shown(command);
    say::line(&format!("$ {shown}"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let output = child.and_then(std::process::Child::wait_with_output);
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success(), said))
}

/// Like [`output`], but gives up (and ends the command) after a while: for what may wait on a silent network.
pub fn output_within(command: &mut Command, limit: Duration) -> Result<String> {
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let readers = [read_all(child.stdout.take()), read_all(child.stderr.take())];
    let mut texts = Vec::new();
    for reader in readers {
        // Both pipes close when the command ends, so waiting for them is waiting for the command.
        if let Ok(text) = reader.recv_timeout(limit) {
            texts.push(text.with_context(|| format!("cannot read the output of `{shown}`"))?);
        } else {
            child.kill().with_context(|| format!("cannot end `{shown}`"))?;
            child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
            bail!("`{shown}` did not finish within {} s", limit.as_secs());
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed with {status}: {}", texts[1].trim());
    }
    Ok(texts.swap_remove(0))
}

fn read_all(pipe: Option<impl std::io::Read + Send + 'static>) -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes));
        // Nobody listens any more once the time limit has passed.
        sender.send(result.map(|_| String::from_utf8_lossy(&bytes).into_owned())).ok();
    });
    receiver
}

/// Whether a program can be started at all.
pub fn exists(program: &str, probe: &str) -> Result<bool> {
    match Command::new(program).arg(probe).stdin(Stdio::null()).output() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot start `{program} {probe}`")),
    }
}

/// Where a program is: a bare name is looked for on the path.
pub fn find(program: &Path) -> Result<PathBuf> {
    if program.components().count() > 1 {
        return std::path::absolute(program).with_context(|| format!("cannot find {}", program.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("no {} on the path", program.display()))
}

/// The root of the repository.
pub fn workspace() -> Result<PathBuf> {
    Ok(cargo_metadata::MetadataCommand::new().no_deps().exec()?.workspace_root.into_std_path_buf())
}

/// The cargo that runs this chore, with the arguments of one sub-command.
///
/// In CI the lock file is law. The variables cargo set for this crate are taken out: build scripts of other crates
/// watch some of them and would run again each time a chore, rather than a person, calls cargo.
pub fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// A program that calls cargo, without the variables cargo set for this crate.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name_text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// `--locked` where nobody is there to look at a changed lock file.
pub fn lock_flag() -> Option<&'static str> {
    std::env::var_os("CI").filter(|value| !value.is_empty() && value != "false").map(|_| "--locked")
}

fn expect_success(shown: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("`{shown}` failed with {status}") }
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    // Cargo and the tools in the cache are called by their whole path; their name says enough.
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_what_it_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo because >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains('3') && text.contains("because"), "{text}");
    }

    #[test]
    fn what_a_command_writes_is_read_before_its_failure_is_told() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let result = run_reading(command.args(["-c", "echo one >&2; printf two >&2; exit 3"]), |line| {
            lines.push(line.to_owned());
        });
        assert!(result.unwrap_err().to_string().contains('3'));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_command_that_never_ends_is_ended() {
        // A pipe that nobody closes: `tail -f` waits for ever.
        let error = output_within(Command::new("tail").args(["-f", "/dev/null"]), Duration::from_millis(50))
            .unwrap_err();
        assert!(format!("{error:#}").contains("did not finish"), "{error:#}");
    }

    #[test]
    fn a_quick_command_within_a_limit_returns_its_output() {
        assert_eq!(
            output_within(Command::new("echo").arg("done"), Duration::from_secs(30)).unwrap(),
            "done\n"
        );
    }

    #[test]
    fn a_program_is_found_where_a_shell_finds_it() {
        assert!(find(Path::new("sh")).unwrap().is_absolute());
        assert!(find(Path::new("no-such-program-anywhere")).is_err());
        assert!(find(Path::new("./here")).unwrap().ends_with("here"));
    }

    #[test]
    fn a_missing_program_is_told_from_one_that_is_there() {
        assert!(exists("sh", "-c").unwrap());
        assert!(!exists("no-such-program-anywhere", "--version").unwrap());
    }
}
