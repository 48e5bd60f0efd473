//! `cargo xtask test`: everything the tests need, then all of them, then two minutes of [`chaos`].

use crate::{chaos, process, readers, say, tools};
use anyhow::Result;
use cargo_metadata::MetadataCommand;
use std::ffi::OsString;
use std::time::Instant;

/// Runs the whole workspace, or what the arguments of `cargo test` choose.
pub fn run(arguments: &[OsString]) -> Result<()> {
    let start = Instant::now();
    say::section("test: what the tests need");
    tools::c_compiler()?;
    tools::redis_server()?;
    let workspace = MetadataCommand::new().no_deps().exec()?.workspace_root;
    let variables = readers::prepare(workspace.as_std_path())?;

    say::section("test: cargo test");
    let mut command = process::cargo(["test"]);
    command.args(process::lock_flag()).args(selection(arguments)).args(arguments).envs(variables);
    process::run(&mut command)?;
    if is_everything(arguments) {
        chaos::test()?;
    }
    say::line(&format!("test: passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// Whether nobody asked for less than all tests: who looks at one of them does not wait for a running system.
fn is_everything(arguments: &[OsString]) -> bool {
    arguments.is_empty()
}

/// The whole workspace, unless the arguments choose packages themselves.
fn selection(arguments: &[OsString]) -> &'static [&'static str] {
    let of_cargo = arguments.iter().take_while(|word| *word != "--");
    let chosen = of_cargo.map(|word| word.to_string_lossy()).any(|word| {
        word.starts_with("-p")
            || word.starts_with("--package")
            || word == "--workspace"
            || word.starts_with("--manifest-path")
    });
    if chosen { &["--no-fail-fast"] } else { &["--workspace", "--no-fail-fast"] }
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
}
