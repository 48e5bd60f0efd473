//! `cargo xtask lint`: every check that needs no running program, with the seconds each one took.
//!
//! A failed step does not hide the next one: all of them run, then the table says which failed.

use crate::{process, say, tidy, tools};
use anyhow::{Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};

/// The advisory database is a Git repository of a few MB: what takes longer than this is no network.
const FETCH_LIMIT: Duration = Duration::from_secs(90);

enum Outcome {
    Passed,
    Failed(anyhow::Error),
    /// Said out loud with its reason, never passed over.
    NotRun(String),
}

struct Step {
    name: &'static str,
    seconds: f64,
    outcome: Outcome,
}

/// Runs every check and fails if any of them failed.
pub fn run() -> Result<()> {
    let mut steps = vec![
        step("format", || {
            must(|| {
                tools::rust_components()?;
                process::run(&mut process::cargo(["fmt", "--all", "--check"]))
            })
        }),
        step("clippy", || must(clippy)),
        step("repository rules", || must(tidy::run)),
    ];
    steps.extend(dependencies());
    summary(&steps)
}

fn clippy() -> Result<()> {
    tools::c_compiler()?;
    // The end-to-end tests are no part of "all targets": whoever tests everything has no cluster.
    for what in [["--all-targets"].as_slice(), &["--test", "e2e"]] {
        let mut command = process::cargo(["clippy"]);
        process::run(
            command.arg("--workspace").args(what).args(process::lock_flag()).args(["--", "-D", "warnings"]),
        )?;
    }
    Ok(())
}

/// cargo-deny, in two steps: what the checkout alone decides, and advisories, which need a database from elsewhere.
fn dependencies() -> Vec<Step> {
    let mut program = None;
    let mut steps = vec![step("cargo-deny itself", || {
        must(|| {
            program = Some(tools::cargo_deny()?);
            Ok(())
        })
    })];
    let Some(program) = program else { return steps };
    let deny = || {
        let mut command = Command::new(&program);
        command.args(process::lock_flag());
        command
    };
    steps.push(step("bans, licences, sources", || {
        must(|| process::run(deny().args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])))
    }));
    steps.push(step("advisories", || {
        match process::output_within(deny().args(["fetch", "db"]), FETCH_LIMIT) {
            Ok(_) => must(|| process::run(deny().args(["check", "--disable-fetch", "advisories"]))),
            Err(error) => {
                Outcome::NotRun(format!("the advisory database cannot be fetched: {}", last_line(&error)))
            }
        }
    }));
    steps
}

fn step(name: &'static str, check: impl FnOnce() -> Outcome) -> Step {
    say::section(&format!("lint: {name}"));
    let start = Instant::now();
    let outcome = check();
    if let Outcome::Failed(error) = &outcome {
        say::error(error);
    }
    Step { name, seconds: start.elapsed().as_secs_f64(), outcome }
}

fn must(check: impl FnOnce() -> Result<()>) -> Outcome {
    check().map_or_else(Outcome::Failed, |()| Outcome::Passed)
}

/// Programs tell a long story and name the cause at its end.
fn last_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn summary(steps: &[Step]) -> Result<()> {
    say::section("lint: summary");
    for step in steps {
        say::line(&row(step));
    }
    let failed: Vec<_> = steps
        .iter()
        .filter(|step| matches!(step.outcome, Outcome::Failed(_)))
        .map(|step| step.name)
        .collect();
    if failed.is_empty() { Ok(()) } else { bail!("lint: failed: {}", failed.join("; ")) }
}

fn row(step: &Step) -> String {
    let outcome = match &step.outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(_) => "FAILED".to_owned(),
        Outcome::NotRun(reason) => format!("NOT RUN: {reason}"),
    };
    format!("{:<24} {:>6.1} s  {outcome}", step.name, step.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn steps(outcome: Outcome) -> Vec<Step> {
        vec![
            Step { name: "format", seconds: 0.5, outcome: Outcome::Passed },
            Step { name: "advisories", seconds: 12.34, outcome },
        ]
    }

    #[test]
    fn one_failed_step_fails_the_whole_lint_and_is_named() {
        let error = summary(&steps(Outcome::Failed(anyhow!("no")))).unwrap_err();
        assert_eq!(error.to_string(), "lint: failed: advisories");
    }

    #[test]
    fn a_step_that_could_not_run_is_said_but_fails_nothing() {
        let steps = steps(Outcome::NotRun("no network".into()));
        assert_eq!(row(&steps[1]), "advisories                 12.3 s  NOT RUN: no network");
        summary(&steps).unwrap();
    }

    #[test]
    fn the_cause_is_the_last_line_of_a_long_story() {
        assert_eq!(last_line(&anyhow!("first\nsecond\n  third\n\n")), "third");
    }
}
