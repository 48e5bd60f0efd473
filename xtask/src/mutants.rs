//! `cargo xtask mutants`: changes one expression of the product at a time, and insists that a test notices.
//!
//! It goes over decisions, not over everything: what is listed in [`SUBJECTS`] has its tests beside it, so that a change is
//! judged in seconds. What cannot be noticed, because it changes nothing, is excluded in `.cargo/mutants.toml`, each with
//! its reason. Everything is built in the cache, from a copy: the tree is never touched.

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The longest time the tests of one change may take, in seconds: three times what the slowest take. A
/// change that makes a test run for ever counts as noticed.
const TIMEOUT: u32 = 60;

/// Files whose changes the same tests judge.
struct Subject {
    package: &'static str,
    files: &'static [&'static str],
    /// Which parts of the package those tests need.
    features: &'static [&'static str],
    /// Arguments of `cargo test`.
    tests: &'static [&'static str],
}

const SUBJECTS: [Subject; 9] = [
    Subject {
        package: "fundbond-lease",
        files: &["libs/lease/src/view.rs", "libs/lease/src/elector.rs", "libs/lease/src/memory.rs"],
        features: &["--no-default-features"],
        // The model would notice nearly all of it, half a minute later.
        tests: &["--lib", "--", "--skip", "model::"],
    },
    Subject {
        package: "fundbond-lease",
        files: &[
            "libs/lease/src/kubernetes.rs",
            "libs/lease/src/kubernetes/error.rs",
            "libs/lease/src/kubernetes/object.rs",
            "libs/lease/src/names.rs",
        ],
        features: &[],
        // The model knows nothing of Kubernetes, the storms say what the other tests say, only later, and so does a real
        // server, which would be started for each change.
        tests: &[
            "--lib",
            "--test",
            "it",
            "--",
            "--skip",
            "model::",
            "--skip",
            "whatever_goes_wrong",
            "--skip",
            "real_server::",
        ],
    },
    Subject {
        package: "fundbond-pod-service",
        files: &[
            "pod-service/src/housekeeping/doubt.rs",
            "pod-service/src/housekeeping/plan.rs",
            "pod-service/src/housekeeping/strays.rs",
            "pod-service/src/housekeeping/sweeper.rs",
            "pod-service/src/housekeeping/watched.rs",
        ],
        features: &["--no-default-features"],
        tests: &["--lib", "housekeeping::"],
    },
    Subject {
        package: "fundbond-pod-service",
        files: &["pod-service/src/stream/session.rs"],
        features: &["--no-default-features"],
        tests: &["--lib", "stream::"],
    },
    Subject {
        package: "fundbond-pod-service",
        files: &["pod-service/src/backoff.rs"],
        features: &["--no-default-features"],
        tests: &["--lib", "backoff::"],
    },
    Subject {
        package: "fundbond-store",
        files: &["libs/store/src/wait.rs"],
        features: &[],
        tests: &["--lib"],
    },
    Subject {
        package: "fundbond-gateway",
        files: &["gateway/src/endpoint.rs", "gateway/src/limits.rs"],
        features: &[],
        tests: &["--lib"],
    },
    Subject {
        package: "fundbond-gateway",
        files: &["gateway/src/attempt.rs"],
        features: &[],
        // An attempt is nothing without a client and an endpoint, so they are there.
        tests: &[
            "--lib",
            "--test",
            "it",
            "--",
            "attempt::",
            "failures",
            "framing",
            "timeouts",
            "breaker",
            "balance",
            "used_again",
        ],
    },
    Subject {
        package: "fundbond-routing",
        files: &["libs/routing/src/breaker.rs", "libs/routing/src/retry_budget.rs"],
        features: &[],
        tests: &["--lib"],
    },
];

/// Arguments of the chore.
#[derive(Args, Debug)]
pub struct Arguments {
    /// One of the files, instead of all of them.
    #[arg(long)]
    file: Option<String>,
}

/// What became of the changes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    mutants: u64,
    caught: u64,
    /// Changes that do not compile.
    unviable: u64,
    /// Tests that ran for ever, which is to notice as well.
    timeouts: u64,
    /// What nobody noticed, as cargo-mutants names it.
    missed: Vec<String>,
}

/// Tries every change of the chosen files.
pub fn run(arguments: &Arguments) -> Result<()> {
    let chosen = chosen(arguments.file.as_deref())?;
    let program = tools::cargo_mutants()?;
    let root = cache::root()?;
    let mut survivors = Vec::new();
    for (subject, files) in chosen {
        say::section(&format!("mutants: {}", files.join(", ")));
        let began = Instant::now();
        let output = root.join("mutants-output");
        let mut command = process::program(&program);
        command.args(["mutants", "--output"]).arg(&output).args(subject.arguments(&files));
        // One target directory for all copies of the tree, so that dependencies are built once.
        command.env("CARGO_TARGET_DIR", root.join("mutants"));
        judge(&mut command, &output)?;
        let figures = read(&output.join("mutants.out/outcomes.json"))?;
        say::line(&format!("{figures}, {:.0} s", began.elapsed().as_secs_f64()));
        survivors.extend(figures.missed);
    }
    if survivors.is_empty() {
        return Ok(());
    }
    bail!("nobody noticed:\n{}", survivors.join("\n"))
}

/// Runs it. Changes that were missed are no failure of the run, tests that fail without any change are.
fn judge(command: &mut Command, output: &Path) -> Result<()> {
    // Of another run: it would be read in the place of one that does not begin.
    if output.exists() {
        fs::remove_dir_all(output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    let (_, said) = process::outcome(command)?;
    let outcomes = output.join("mutants.out/outcomes.json");
    let began = fs::read_to_string(&outcomes).with_context(|| format!("it did not run:\n{said}"))?;
    let all: Value = serde_json::from_str(&began)?;
    let baseline = all["outcomes"].as_array().into_iter().flatten().find(|one| one["scenario"] == "Baseline");
    match baseline.and_then(|baseline| baseline["summary"].as_str()) {
        Some("Success") => Ok(()),
        other => bail!("the tests do not pass as they are ({other:?}):\n{said}"),
    }
}

/// The subjects, each with those of its files that are asked for.
fn chosen(wanted: Option<&str>) -> Result<Vec<(&'static Subject, Vec<&'static str>)>> {
    let of = |subject: &'static Subject| {
        let files = subject.files.iter().copied().filter(|file| wanted.is_none_or(|wanted| wanted == *file));
        (subject, files.collect::<Vec<_>>())
    };
    let chosen: Vec<_> = SUBJECTS.iter().map(of).filter(|(_, files)| !files.is_empty()).collect();
    if chosen.is_empty() {
        let all: Vec<_> = SUBJECTS.iter().flat_map(|subject| subject.files).copied().collect();
        bail!("no such file is gone over; there are: {}", all.join(", "));
    }
    Ok(chosen)
}

impl Subject {
    fn arguments(&self, files: &[&str]) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["--package", self.package, "--jobs", "1", "--colors", "never", "--no-times"]
                .map(String::from)
                .into();
        arguments.extend(["--timeout".to_owned(), TIMEOUT.to_string()]);
        arguments.extend(self.features.iter().map(ToString::to_string));
        for file in files {
            arguments.extend(["--file".to_owned(), (*file).to_owned()]);
        }
        arguments.push("--".to_owned());
        arguments.extend(self.tests.iter().map(ToString::to_string));
        arguments
    }
}

fn read(outcomes: &Path) -> Result<Figures> {
    let text = fs::read_to_string(outcomes).with_context(|| format!("cannot read {}", outcomes.display()))?;
    figures(&serde_json::from_str(&text)?)
}

fn figures(all: &Value) -> Result<Figures> {
    let count = |name: &str| all[name].as_u64().with_context(|| format!("no number of {name}"));
    let outcomes = all["outcomes"].as_array().context("no outcomes")?;
    let missed = outcomes.iter().filter(|outcome| outcome["summary"] == "MissedMutant");
    let name = |outcome: &Value| {
        let name = outcome["scenario"]["Mutant"]["name"].as_str().unwrap_or("a change without a name");
        name.to_owned()
    };
    Ok(Figures {
        mutants: count("total_mutants")?,
        caught: count("caught")?,
        unviable: count("unviable")?,
        timeouts: count("timeout")?,
        missed: missed.map(name).collect(),
    })
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mutants, caught, unviable, timeouts, missed } = self;
        let missed = missed.len();
        write!(f, "{mutants} mutants: {caught} noticed, {timeouts} by running for ever, ")?;
        write!(f, "{unviable} that do not compile, {missed} that nobody noticed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_file_is_judged_by_its_own_tests() {
        let [(subject, files)] = &chosen(Some("pod-service/src/housekeeping/plan.rs")).unwrap()[..] else {
            panic!("one subject has it")
        };
        assert_eq!(files, &["pod-service/src/housekeeping/plan.rs"]);
        let arguments = subject.arguments(files).join(" ");
        assert!(
            arguments.contains("--file pod-service/src/housekeeping/plan.rs -- --lib housekeeping::"),
            "{arguments}"
        );
        assert_eq!(chosen(None).unwrap().len(), SUBJECTS.len());
        assert!(chosen(Some("main.rs")).err().unwrap().to_string().contains("libs/lease/src/view.rs"));
    }

    #[test]
    fn what_nobody_noticed_is_named() {
        let all = json!({
            "total_mutants": 4, "caught": 1, "timeout": 1, "unviable": 1, "missed": 1, "success": 0,
            "outcomes": [
                {"scenario": "Baseline", "summary": "Success"},
                {"scenario": {"Mutant": {"name": "a.rs:1: replace < with >"}}, "summary": "MissedMutant"},
                {"scenario": {"Mutant": {"name": "b"}}, "summary": "CaughtMutant"},
            ],
        });
        let figures = figures(&all).unwrap();
        assert_eq!(figures.missed, ["a.rs:1: replace < with >"]);
        let text =
            "4 mutants: 1 noticed, 1 by running for ever, 1 that do not compile, 1 that nobody noticed";
        assert_eq!(figures.to_string(), text);
    }

    #[test]
    fn every_file_that_is_listed_is_there() {
        let root = crate::process::workspace().unwrap();
        for file in SUBJECTS.iter().flat_map(|subject| subject.files) {
            assert!(root.join(file).exists(), "{file}");
        }
    }
}
