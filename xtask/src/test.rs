//! `cargo xtask test`: everything the tests need, then all of them, then two minutes of [`chaos`].

use crate::{chaos, kubernetes, process, readers, say, tools};
use anyhow::Result;
use cargo_metadata::{Metadata, MetadataCommand};
use std::ffi::OsString;
use std::thread::available_parallelism;
use std::time::Instant;

/// The package whose tests run Helm and promtool.
const CHARTS: &str = "fundbond-charts";

/// How the tests' own harness is told how many run at once.
const THREADS: &str = "RUST_TEST_THREADS";
const FEWEST_THREADS: usize = 4;

/// Runs the whole workspace, or what the arguments of `cargo test` choose.
pub fn run(arguments: &[OsString]) -> Result<()> {
    let start = Instant::now();
    say::section("test: what the tests need");
    tools::c_compiler()?;
    tools::redis_server()?;
    let workspace = MetadataCommand::new().no_deps().exec()?;
    let mut variables = Vec::from(readers::prepare(workspace.workspace_root.as_std_path())?);
    // They may take minutes to build: who tests a crate that has no use for them does not wait.
    let on_a_server = may_reach(arguments, &users_of(kubernetes::FIXTURE, &workspace));
    let of_charts = may_reach(arguments, &users_of(CHARTS, &workspace));
    if on_a_server && of_charts {
        kubernetes::for_tests()?;
    }
    if on_a_server {
        variables.push((kubernetes::ASSETS, kubernetes::api_server()?));
    }
    if of_charts {
        variables.push((tools::PROMTOOL, tools::promtool()?));
        variables.push((kubernetes::HELM_VARIABLE, kubernetes::helm()?));
    }

    say::section("test: cargo test");
    let mut command = process::cargo(["test"]);
    command.args(process::lock_flag()).args(selection(arguments)).args(arguments).envs(variables);
    if std::env::var_os(THREADS).is_none() {
        command.env(THREADS, threads().to_string());
    }
    process::run(&mut command)?;
    if is_everything(arguments) {
        chaos::test()?;
    }
    say::line(&format!("test: passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// How many tests of a program at once: on few processors more than these, for tests wait as much as they work.
fn threads() -> usize {
    available_parallelism().map_or(FEWEST_THREADS, |processors| processors.get().max(FEWEST_THREADS))
}

/// Whether nobody asked for less than all tests: who looks at one of them does not wait for a running system.
fn is_everything(arguments: &[OsString]) -> bool {
    arguments.is_empty()
}

/// The whole workspace, unless the arguments choose packages themselves.
fn selection(arguments: &[OsString]) -> &'static [&'static str] {
    match packages(arguments) {
        Packages::NotChosen => &["--workspace", "--no-fail-fast"],
        Packages::Named(_) | Packages::InAnotherWay => &["--no-fail-fast"],
    }
}

/// What the arguments of `cargo test` say of packages.
#[derive(Debug, PartialEq)]
enum Packages {
    NotChosen,
    Named(Vec<String>),
    InAnotherWay,
}

fn packages(arguments: &[OsString]) -> Packages {
    let mut named = Vec::new();
    let mut words = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        if word == "--workspace" || word.starts_with("--manifest-path") {
            return Packages::InAnotherWay;
        } else if word == "-p" || word == "--package" {
            named.extend(words.next().map(String::from));
        } else if let Some(name) = word.strip_prefix("--package=").or_else(|| word.strip_prefix("-p")) {
            named.push(name.trim_start_matches('=').to_owned());
        }
    }
    if named.is_empty() { Packages::NotChosen } else { Packages::Named(named) }
}

/// Every package of the workspace, and whether it is `library` or uses it.
fn users_of(library: &str, workspace: &Metadata) -> Vec<(String, bool)> {
    let packages = workspace.packages.iter();
    packages
        .map(|package| {
            let uses = package.name == library
                || package.dependencies.iter().any(|dependency| dependency.name == library);
            (package.name.to_string(), uses)
        })
        .collect()
}

/// Whether one of `users` may be tested: where everything is, and where cargo finds packages by more than their names.
fn may_reach(arguments: &[OsString], users: &[(String, bool)]) -> bool {
    let Packages::Named(named) = packages(arguments) else { return true };
    named.iter().any(|name| users.iter().find(|(user, _)| user == name).is_none_or(|(_, uses)| *uses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_system_is_broken_only_where_everything_is_tested() {
        assert!(is_everything(&[]));
        assert!(!is_everything(&["-p".into(), "xtask".into()]));
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_named() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert!(selection(&words("")).contains(&"--workspace"));
        assert!(selection(&words("a_name -- --package")).contains(&"--workspace"));
        assert!(!selection(&words("-p xtask")).contains(&"--workspace"));
        assert!(!selection(&words("--package=xtask a_name")).contains(&"--workspace"));
    }
    #[test]
    fn programs_are_built_for_whoever_needs_them_and_for_whom_nobody_knows() {
        let users = [("crds".to_owned(), true), ("bonds".to_owned(), false)];
        let needs = |text: &str| {
            let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            may_reach(&words, &users)
        };
        for text in
            ["", "-- -p bonds", "a_name", "-p crds", "-pcrds", "--package=crds -p bonds", "-p path#crds"]
        {
            assert!(needs(text), "{text}");
        }
        for text in ["-p bonds", "--package bonds a_name", "-p=bonds -- crds"] {
            assert!(!needs(text), "{text}");
        }
        assert!(needs("--workspace -p bonds") && needs("--manifest-path elsewhere/Cargo.toml"));
    }

    #[test]
    fn users_are_found_by_what_their_manifests_say() {
        let workspace = MetadataCommand::new().no_deps().exec().unwrap();
        let users = users_of("tempfile", &workspace);
        assert!(users.contains(&("xtask".to_owned(), true)), "{users:?}");
        assert!(users.contains(&("fundbond-protocol".to_owned(), false)), "{users:?}");
    }
}
