//! The programs the chores need: found, installed where that is ours to do, or asked for with the fix in one line.

use crate::{cache, process, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Licences, sources and bans are read differently by different releases, so one is pinned.
const CARGO_DENY: &str = "0.20.2";

/// What it passes to the compiler and to the fuzzer changes with its release.
const CARGO_FUZZ: &str = "0.13.2";

/// Which changes there are, and how they are named, changes with its release.
const CARGO_MUTANTS: &str = "27.1.0";

/// Names the promtool that the tests of the charts run.
pub const PROMTOOL: &str = "FUNDBOND_PROMTOOL";

/// What `cargo install` may spend on a tool. A release profile of its own (cargo-deny: fat LTO, one codegen unit)
/// doubles a build that takes minutes, for a tool that runs for seconds.
const QUICK_BUILD: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];

/// What the caller set, if it holds what is pinned; else a word about why it is not used.
pub fn given(variable: &str, check: impl Fn(&Path) -> Result<()>) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).filter(|value| !value.is_empty())?);
    match check(&path) {
        Ok(()) => {
            say::line(&format!("{variable}={} (as given)", path.display()));
            Some(path)
        }
        Err(error) => {
            say::line(&format!("{variable}={} is not used: {error:#}", path.display()));
            None
        }
    }
}

/// A C compiler, which rustc links with and some crates build with.
pub fn c_compiler() -> Result<()> {
    let fix = "no C compiler (`cc`): install one, for example `apt-get install gcc libc6-dev` on Debian and Ubuntu, \
               `dnf install gcc` on Fedora, `xcode-select --install` on macOS";
    found_or_installed("cc", &["gcc", "libc6-dev"], fix)
}

/// A C++ compiler, which the fuzzer's own runtime is built with.
pub fn cxx_compiler() -> Result<()> {
    let fix = "no C++ compiler (`c++`): install one, for example `apt-get install g++` on Debian and Ubuntu, \
               `dnf install gcc-c++` on Fedora, `xcode-select --install` on macOS";
    found_or_installed("c++", &["g++"], fix)
}

/// Node and npm, for the JavaScript reader of the tests.
pub fn node() -> Result<()> {
    for program in ["node", "npm"] {
        let fix = format!(
            "no `{program}`: install Node 20 or newer with npm (nodejs.org, or your package manager)"
        );
        found_or_installed(program, &["nodejs", "npm"], &fix)?;
    }
    Ok(())
}

/// A Python that can make virtual environments, for the Python reader of the tests.
pub fn python() -> Result<()> {
    let fix = "no `python3`: install Python 3.9 or newer with its venv module (on Debian and Ubuntu \
               `apt-get install python3 python3-venv`)";
    found_or_installed("python3", &["python3", "python3-venv"], fix)?;
    // Debian cuts the venv module's other half into a package of its own.
    if process::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok() {
        return Ok(());
    }
    install_with_apt(&["python3-venv"], "`python3` cannot make virtual environments: install python3-venv")?;
    process::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).map(drop)
}

/// A Redis server, which tests start on a port of their own.
pub fn redis_server() -> Result<()> {
    if process::exists("redis-server", "--version")? {
        return Ok(());
    }
    let fix = "no `redis-server`: install Redis 6.2 or newer, for example `apt-get install redis-server` on Debian \
               and Ubuntu, `dnf install redis` on Fedora, `brew install redis` on macOS";
    found_or_installed("redis-server", &["redis-server"], fix)?;
    // The package brings a service that may have been started. Tests start their own; this one is nobody's.
    process::run(Command::new("service").args(["redis-server", "stop"]))
        .context("redis-server is installed, but the service that came with it cannot be stopped")
}

/// What checks and tries out rules of Prometheus. What we ask of it, every release of the last years can do.
pub fn promtool() -> Result<PathBuf> {
    let program = PathBuf::from("promtool");
    if process::exists("promtool", "--version")? {
        return Ok(program);
    }
    let fix = "no `promtool`: install Prometheus 2.42 or newer, for example `apt-get install prometheus` on Debian and \
               Ubuntu, `brew install prometheus` on macOS, or its release from prometheus.io/download";
    found_or_installed("promtool", &["prometheus"], fix)?;
    // As with Redis: the package brings a service that nobody asked for.
    process::run(Command::new("service").args(["prometheus", "stop"])).context(
        "Prometheus is installed for its promtool, but the service that came with it cannot be stopped",
    )?;
    Ok(program)
}

/// What makes the wall clock of a program wrong.
pub fn faketime() -> Result<()> {
    let fix = "no `faketime`: install it with its library, for example `apt-get install faketime` on Debian and Ubuntu, \
               `dnf install libfaketime` on Fedora";
    found_or_installed("faketime", &["faketime"], fix)
}

/// Docker's command line.
pub fn docker_client() -> Result<()> {
    let fix = "no `docker`: install Docker (docs.docker.com/engine/install, or `apt-get install docker.io`)";
    found_or_installed("docker", &["docker.io"], fix)
}

/// Docker's daemon, where no service manager keeps one.
pub fn docker_daemon() -> Result<()> {
    let fix = "no `dockerd`: install Docker's engine (docs.docker.com/engine/install, or `apt-get install docker.io`)";
    found_or_installed("dockerd", &["docker.io"], fix)?;
    // Name resolution inside container networks is set up with it.
    let fix = "no `iptables`: install it, for example with `apt-get install iptables`";
    found_or_installed("iptables", &["iptables"], fix)
}

/// What makes the root file system of a node.
pub fn debootstrap() -> Result<()> {
    let fix = "no `debootstrap`: install it, for example with `apt-get install debootstrap`";
    found_or_installed("debootstrap", &["debootstrap"], fix)
}

/// What edits JSON in shell scripts.
pub fn jq() -> Result<()> {
    found_or_installed("jq", &["jq"], "no `jq`: install it, for example with `apt-get install jq`")
}

/// nginx, whose image is made from it.
pub fn nginx() -> Result<()> {
    if process::exists("nginx", "-v")? {
        return Ok(());
    }
    let fix = "no `nginx`: install it, for example with `apt-get install nginx`";
    install_with_apt(&["nginx"], fix)?;
    if process::exists("nginx", "-v")? { Ok(()) } else { bail!("{fix}") }
}

/// rustfmt and clippy, which a minimal toolchain lacks.
pub fn rust_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if process::output(process::cargo([subcommand, "--version"]).env("CARGO_TERM_QUIET", "true")).is_ok()
        {
            continue;
        }
        if !process::exists("rustup", "--version")? {
            bail!("`cargo {subcommand}` does not run: install {component} of the same toolchain");
        }
        say::line(&format!("`cargo {subcommand}` does not run yet: adding {component} to this toolchain"));
        process::run(Command::new("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}

/// cargo-deny of the pinned release: the one on the path, else our own in the cache.
pub fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

/// cargo-fuzz of the pinned release, found in the same way.
pub fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", CARGO_FUZZ)
}

/// cargo-mutants of the pinned release, found in the same way.
pub fn cargo_mutants() -> Result<PathBuf> {
    cargo_tool("cargo-mutants", CARGO_MUTANTS)
}

fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    if process::exists(name, "--version")? {
        let found = process::output(Command::new(name).arg("--version"))?;
        if found.split_whitespace().last() == Some(version) {
            return Ok(name.into());
        }
    }
    let directory = cache::entry(&cache::root()?, &format!("tools/{name}-{version}"), |directory| {
        say::line(&format!("installing {name} {version} into {}: once, some minutes", directory.display()));
        let mut install = process::cargo(["install", name, "--locked", "--version", version, "--root"]);
        // In a target directory of its own: sharing ours would hold its lock all the while.
        install.arg(directory).env_remove("CARGO_TARGET_DIR").envs(QUICK_BUILD);
        process::run(&mut install)
    })?;
    Ok(directory.join("bin").join(name))
}

fn found_or_installed(program: &str, debian_packages: &[&str], fix: &str) -> Result<()> {
    if process::exists(program, "--version")? {
        return Ok(());
    }
    install_with_apt(debian_packages, fix)?;
    if process::exists(program, "--version")? { Ok(()) } else { bail!("{fix}") }
}

/// Installs Debian packages where we may (root, apt-get there); everywhere else the fix is the error.
fn install_with_apt(packages: &[&str], fix: &str) -> Result<()> {
    let root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    if !root || !process::exists("apt-get", "--version")? {
        bail!("{fix}");
    }
    say::line(&format!("installing {} with apt-get", packages.join(", ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        // In run level 1 packages start no services.
        command
            .envs([("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")])
            .stdin(std::process::Stdio::null());
        command
    };
    process::run(apt().args(["update", "-qq"])).with_context(|| fix.to_owned())?;
    process::run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
        .with_context(|| fix.to_owned())
}
