//! The repository's own rules, as pure functions over file texts and dependency facts.
//!
//! [`Repository::load`] is the only part that touches the disk; every rule is a function from texts or facts to
//! [`Violation`]s with a test that shows it failing on a bad input, because a check that cannot fail is worth
//! nothing. `cargo xtask lint` and this crate's tests run the same list.

pub mod adr;
pub mod arrows;
pub mod clocks;
pub mod containers;
pub mod dockerfiles;
pub mod facts;
pub mod leaks;
pub mod logs;
pub mod manifests;
pub mod queues;
pub mod shape;
pub mod sleeps;
pub mod spelling;
pub mod tokens;

use crate::{process, say};
use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use facts::Member;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokens::Source;

/// One file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl TextFile {
    /// A file of the given path and text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What follows the last dot of the name.
    pub fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a path, with a line if there is one, or the names of two crates.
    pub place: String,
    /// What is wrong and what to do instead.
    pub text: String,
}

impl Violation {
    /// A violation of a whole file, or of something that is no file.
    pub fn at(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }

    /// A violation on one line (counted from 1) of a file.
    pub fn on_line(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self::at(format!("{path}:{line}"), text)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

/// Everything the rules look at.
#[derive(Debug)]
pub struct Repository {
    /// The checkout.
    pub root: PathBuf,
    /// Every file that is tracked or about to be.
    pub files: Vec<TextFile>,
    /// The crates of the workspace.
    pub members: Vec<Member>,
}

impl Repository {
    /// Reads the checkout the current directory is in.
    pub fn load() -> Result<Self> {
        let mut command = MetadataCommand::new();
        command.other_options(process::lock_flag().map(str::to_owned).into_iter().collect::<Vec<_>>());
        let metadata = command.exec().context("cannot read the workspace with `cargo metadata`")?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        Ok(Self { files: read_files(&root)?, members: facts::members(&metadata)?, root })
    }

    /// Every broken rule, sorted by place.
    pub fn violations(&self) -> Vec<Violation> {
        let (sources, unreadable) = tokens::read(&self.files);
        let mut violations = unreadable;
        violations.extend(arrows::check(&self.members));
        violations.extend(arrows::check_libraries(&self.members));
        violations.extend(manifests::check(&self.members, &self.files));
        violations.extend(shape::check(&self.files));
        violations.extend(leaks::check(&self.files, &self.root.to_string_lossy()));
        violations.extend(adr::check(&self.files));
        violations.extend(logs::check(&sources, &self.files));
        violations.extend(sleeps::check_scripts(&self.files));
        violations.extend(dockerfiles::check(&self.members, &self.files));
        violations.extend(containers::check(&self.files));
        let source_rules: [fn(&Source) -> Vec<Violation>; 4] =
            [clocks::check, spelling::check, queues::check, sleeps::check];
        for source in &sources {
            violations.extend(source_rules.iter().flat_map(|rule| rule(source)));
        }
        violations.sort_by(|left, right| (&left.place, &left.text).cmp(&(&right.place, &right.text)));
        violations
    }
}

/// Checks every rule and fails with all that is wrong.
pub fn run() -> Result<()> {
    let repository = Repository::load()?;
    let violations = repository.violations();
    for violation in &violations {
        say::line(&violation.to_string());
    }
    if !violations.is_empty() {
        bail!("{} broken repository rules, listed above", violations.len());
    }
    say::line(&format!("{} files keep every repository rule", repository.files.len()));
    Ok(())
}

/// Tracked files, and new ones that no ignore file excludes, so that a rule speaks up before the commit.
fn read_files(root: &Path) -> Result<Vec<TextFile>> {
    // A checkout may belong to somebody else (a CI volume); listing names is safe there.
    let arguments =
        ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = process::output(Command::new("git").args(arguments).current_dir(root))
        .context("the rules read the list of files from Git")?;
    let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    // A file deleted but not yet committed is still listed.
    let present = paths.into_iter().filter(|path| root.join(path).is_file());
    present
        .map(|path| {
            let bytes = fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
            Ok(TextFile::new(path, String::from_utf8_lossy(&bytes)))
        })
        .collect()
}
