//! `cargo xtask e2e`: the end-to-end tests on a real Kubernetes, and a report of them.
//!
//! Flow: [`crate::cluster`] up -> programs that people use in one folder -> `cargo test` of the crate `e2e`, each test of
//! which adds a line to its results -> the [`report`] -> the cluster goes, if it came for this.

mod report;

use crate::cluster::{self, Cluster};
use crate::{kubernetes, process, say};
use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use clap::Args;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `helm upgrade` of the tests goes to: the same images under another tag.
const NEXT: &str = "next";

/// How many tests at once. They wait for Kubernetes more than they work, and those that must be alone, four of them, for
/// the others.
const THREADS: &str = "--test-threads=8";

/// How it is run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Outages last as long as they do in the field, instead of just long enough.
    #[arg(long)]
    full: bool,
    /// Leave the cluster up.
    #[arg(long)]
    keep: bool,
    /// Arguments of the tests, for example a part of a name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    tests: Vec<OsString>,
}

/// Brings up what is missing, runs the tests and writes the report.
pub fn run(arguments: &Arguments) -> Result<()> {
    let _alone = cluster::alone()?;
    let start = Instant::now();
    let target = MetadataCommand::new().no_deps().exec()?.target_directory.into_std_path_buf();
    let results = target.join("e2e");
    if results.exists() {
        fs::remove_dir_all(&results).with_context(|| format!("cannot empty {}", results.display()))?;
    }
    fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;

    let ours = cluster::of_tests()?;
    if ours.exists() {
        say::line("earlier tests were interrupted: their cluster goes first");
        cluster::down()?;
    }
    if !cluster::is_up()? {
        fs::write(&ours, "").with_context(|| format!("cannot note {}", ours.display()))?;
    }
    let tested = on_cluster(arguments, &target, &results, start);
    if arguments.keep && ours.exists() {
        fs::remove_file(&ours).with_context(|| format!("cannot remove {}", ours.display()))?;
    }
    let left = if ours.exists() {
        cluster::down()
    } else {
        say::line("the cluster stays up: `cargo xtask cluster down` removes it");
        Ok(())
    };
    if let (Err(_), Err(error)) = (&tested, &left) {
        say::line(&format!("the cluster cannot be taken down: {error:#}"));
    }
    tested.and(left)
}

/// Everything between a cluster that comes and one that may go.
fn on_cluster(arguments: &Arguments, target: &Path, results: &Path, start: Instant) -> Result<()> {
    let cluster = cluster::up()?;
    cluster.load_as(NEXT)?;
    let programs = programs(&cluster, results)?;
    let prepared = start.elapsed();

    say::section("e2e");
    let passed = tests(arguments, &cluster, &programs, results);
    if passed.is_err()
        && let Err(error) = cluster.gather_logs(&results.join("cluster"))
    {
        say::line(&format!("what the cluster said cannot be gathered: {error:#}"));
    }
    let written = write_report(arguments, target, results, prepared, start);
    passed.and(written)
}

fn write_report(
    arguments: &Arguments,
    target: &Path,
    results: &Path,
    prepared: Duration,
    start: Instant,
) -> Result<()> {
    let lines = results.join("results.jsonl");
    let text =
        fs::read_to_string(&lines).with_context(|| format!("no test left a line in {}", lines.display()))?;
    let report = report::of(&text, prepared, start.elapsed(), arguments.full)?;
    let path = target.join("e2e-report.md");
    fs::write(&path, &report).with_context(|| format!("cannot write {}", path.display()))?;
    say::line(&report);
    say::line(&format!("report: {}", path.display()));
    Ok(())
}

fn tests(arguments: &Arguments, cluster: &Cluster, programs: &Path, results: &Path) -> Result<()> {
    let mut command = process::cargo(["test", "--workspace", "--test", "e2e"]);
    command.args(process::lock_flag()).args(["--", THREADS]).args(&arguments.tests);
    command.env("FUNDBOND_E2E_KUBECONFIG", &cluster.kubeconfig);
    command.env("FUNDBOND_E2E_PROGRAMS", programs).env("FUNDBOND_E2E_RESULTS", results);
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        // Errors of these tests say where they are; where they passed through helps nobody. A panic keeps its backtrace.
        command.env("RUST_LIB_BACKTRACE", "0");
    }
    command.env("FUNDBOND_E2E_FULL", arguments.full.to_string());
    process::run(&mut command)
}

/// A folder with what people use.
fn programs(cluster: &Cluster, results: &Path) -> Result<PathBuf> {
    let folder = results.join("bin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let all = [
        ("kubectl", cluster.kubectl.clone()),
        ("helm", kubernetes::helm()?),
        ("kubectl-fund", cluster.programs.join("fundctl")),
    ];
    for (name, program) in all {
        let program = process::find(&program)?;
        symlink(&program, folder.join(name)).with_context(|| format!("cannot link {}", program.display()))?;
    }
    Ok(folder)
}
