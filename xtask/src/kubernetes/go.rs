//! Programs from Go modules, by the Go that is installed.
//!
//! Everything Go fetches and compiles on the way goes into a workshop of our own beside the results: gigabytes that nobody
//! asked for in the caches of a user who may not write Go at all, and too much to keep. It is thrown away when the programs
//! are there. A build that was interrupted leaves it, and the next one goes on where that one stopped.

use super::manifest::{manifest_for, pinned};
use super::{Program, Release};
use crate::{cache, process, say};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the modules ask for.
const OLDEST: (u32, u32) = (1, 26);

/// Between two words about progress: often enough that nobody thinks it hangs.
const PROGRESS: Duration = Duration::from_secs(15);

/// Whether there is a Go that can build `programs`, and what to do `instead` of installing one. Debian's is older, so there
/// is nothing for us to install.
pub(super) fn check(programs: &str, instead: &str) -> Result<()> {
    let fix = format!(
        "the tests need {programs}, which {} built from Go modules: install Go {}.{} or newer (go.dev/doc/install; \
         packages of distributions are mostly older), {instead}",
        if programs.contains(" and ") { "are" } else { "is" },
        OLDEST.0,
        OLDEST.1,
    );
    if !process::exists("go", "version")? {
        bail!("no `go`: {fix}");
    }
    let found = process::output(Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
    match version(&found) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => bail!("`go` is {}: {fix}", found.trim()),
    }
}

/// Major and minor of what `go env GOVERSION` says.
fn version(text: &str) -> Option<(u32, u32)> {
    let digits =
        |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|part| part.parse().ok());
    let (major, minor) = text.trim().strip_prefix("go")?.split_once('.')?;
    Some((digits(major)?, digits(minor)?))
}

/// Where Go works: one build at a time.
pub(super) struct Workshop {
    directory: PathBuf,
    _lock: File,
}

impl Workshop {
    /// None while another run works in it.
    pub(super) fn open(root: &Path) -> Result<Option<Self>> {
        let Some(lock) = cache::try_lock(root, "kubernetes/workshop")? else { return Ok(None) };
        let workshop = Self { directory: root.join("kubernetes/workshop"), _lock: lock };
        let bench = workshop.bench();
        fs::create_dir_all(&bench).with_context(|| format!("cannot create {}", bench.display()))?;
        Ok(Some(workshop))
    }

    /// What Go makes and takes away again; a Go that is killed takes nothing away.
    fn bench(&self) -> PathBuf {
        self.directory.join("bench")
    }

    /// Throws away what was only needed on the way.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }

    /// Builds programs of one release into a directory.
    pub(super) fn build(&self, release: &'static Release, programs: &[&Program], into: &Path) -> Result<()> {
        let began = Instant::now();
        let module = self.module(release)?;
        let packages: Vec<&str> = programs.iter().map(|program| program.package).collect();
        let all = process::output(self.go(&module).args(["list", "-deps"]).args(&packages))?;
        let mut compiled = Counter::new(&format!("of {} packages compiled", all.lines().count()));
        // One at a time, for the last word of a package is not always the name of its program.
        for program in programs {
            let mut build = self.go(&module);
            // Not -trimpath: it names a package by the version that was asked for, and not by the one that replaces it, so that
            // nothing would be shared with who is built of the same.
            build.args(["build", "-v", "-ldflags", &linker_flags(release), "-o"]);
            build.arg(into.join(program.name)).arg(program.package);
            process::run_reading(&mut build, |line| {
                // `-v` names each package on a line of its own; anything else is a complaint.
                if line.contains(char::is_whitespace) { say::line(line) } else { compiled.one() }
            })?;
        }
        say::line(&format!("{}: built in {:.0} s", super::label(release), began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// A module that does nothing but need that release, with everything it is built from. (`go install` refuses
    /// modules that replace others, and those of Kubernetes name each other by paths, so the replacements are read from that
    /// very release.)
    fn module(&self, release: &'static Release) -> Result<PathBuf> {
        let directory = self.directory.join(super::label(release));
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let mut manifest = manifest_for(release, &self.manifest(release, &directory)?)?;
        if release.like_kubernetes {
            let kubernetes = &super::KUBERNETES_RELEASE;
            manifest += &pinned(kubernetes, &self.manifest(kubernetes, &directory)?)?;
        }
        let main = release.main.unwrap_or_default();
        let packages = wanted(release);
        // A build that broke off leaves what it fetched; whoever comes after it may want something else.
        let whole = directory.join("whole");
        let recipe = [&manifest, main, &packages.join(" ")].join("\n");
        if fs::read_to_string(&whole).is_ok_and(|made| made == recipe) {
            return Ok(directory);
        }
        write(&directory.join("go.mod"), &manifest)?;
        if !main.is_empty() {
            write(&directory.join("main.go"), main)?;
        }
        self.fetch(&packages, &directory)?;
        write(&whole, &recipe)?;
        Ok(directory)
    }

    /// The `go.mod` that a release has itself.
    fn manifest(&self, release: &Release, directory: &Path) -> Result<String> {
        let name = format!("{}@{}", release.module, release.version);
        let answer = process::output(self.go(directory).args(["mod", "download", "-json", &name]))?;
        let answer: serde_json::Value = serde_json::from_str(&answer).context("`go mod download -json`")?;
        let path = answer["GoMod"].as_str().with_context(|| format!("{name} has no go.mod"))?;
        fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
    }

    /// Fetches everything that these packages are built from.
    fn fetch(&self, packages: &[String], directory: &Path) -> Result<()> {
        let mut fetched = Counter::new("modules fetched");
        process::run_reading(self.go(directory).arg("get").args(packages), |line| match line {
            _ if line.starts_with("go: downloading ") => fetched.one(),
            _ if line.starts_with("go: added ") || line.starts_with("go: upgraded ") => {}
            _ if line.starts_with("go: finding module ") || line.starts_with("go: found ") => {}
            _ => say::line(line),
        })
    }

    fn go(&self, directory: &Path) -> Command {
        let mut go = Command::new("go");
        go.current_dir(directory)
            .env("GOMODCACHE", self.directory.join("modules"))
            .env("GOCACHE", self.directory.join("objects"))
            .env("GOTMPDIR", self.bench())
            // Modules are write-protected otherwise, and cannot be thrown away. It also takes the place of flags that are
            // meant for somebody's own code.
            .env("GOFLAGS", "-modcacherw")
            // The Go that is installed, and not one that is fetched on the way.
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            // Without C, and for the machine that runs this.
            .env("CGO_ENABLED", "0")
            .env_remove("GOOS")
            .env_remove("GOARCH");
        go
    }
}

/// The packages of all programs of a release, as `go get` is asked for them: which version of a library is taken depends on all
/// who want one, and must not change from program to program.
fn wanted(release: &'static Release) -> Vec<String> {
    let wanted = super::programs_of(release).map(|program| match release.main {
        // What it imports, in the release that go.mod names.
        Some(_) => program.package.to_owned(),
        None => format!("{}@{}", program.package, release.version),
    });
    wanted.collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn linker_flags(release: &Release) -> String {
    let mut numbers = release.version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let values = [
        ("gitVersion", release.version),
        ("gitMajor", major),
        ("gitMinor", minor),
        ("gitTreeState", "clean"),
        ("gitCommit", release.version),
        // A date that is none: the same sources give the same program.
        ("buildDate", "1970-01-01T00:00:00Z"),
    ];
    // Neither symbols nor debug information: half the size, and nobody debugs them here.
    let mut flags = vec!["-s -w".to_owned()];
    for package in release.version_packages {
        flags.extend(values.map(|(variable, value)| format!("-X {package}.{variable}={value}")));
    }
    flags.extend(release.version_variable.map(|variable| format!("-X {variable}={}", release.version)));
    flags.join(" ")
}

/// Says now and then how far something is.
struct Counter {
    of: String,
    count: usize,
    began: Instant,
    told: Instant,
}

impl Counter {
    fn new(of: &str) -> Self {
        let now = Instant::now();
        Self { of: of.to_owned(), count: 0, began: now, told: now }
    }

    fn one(&mut self) {
        self.count += 1;
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            say::line(&format!("  {} {}, {:.0} s", self.count, self.of, self.began.elapsed().as_secs_f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_by_their_numbers() {
        assert_eq!(version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(version("go1.27rc1"), Some((1, 27)));
        assert!(version("go1.9") < Some(OLDEST) && version("go2.0") > Some(OLDEST));
        assert_eq!(version("devel +abc"), None);
    }

    #[test]
    fn a_program_of_kubernetes_is_told_its_version() {
        let flags = linker_flags(&super::super::KUBERNETES_RELEASE);
        assert!(flags.contains("-X k8s.io/component-base/version.gitMinor=36 "), "{flags}");
        assert_eq!(linker_flags(&super::super::ETCD_RELEASE), "-s -w");
        let helm = &super::super::HELM_RELEASE;
        assert!(linker_flags(helm).ends_with(&format!("/version.version={}", helm.version)));
    }
}
