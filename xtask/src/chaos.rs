//! `cargo xtask chaos`: builds and runs `fundbond-chaos`, which breaks a running system and checks every promise.

use crate::{process, say, tools};
use anyhow::Result;
use std::ffi::{OsStr, OsString};

/// The plan that `cargo xtask test` plays. One seed for all: who changes the system has to see whether the change broke
/// a promise, and a new plan each time would say that of the plan as well. `cargo xtask chaos` draws a new one. This one
/// kills a pod, asks one to end and stops one, cuts, silences, narrows and holds back ways to Redis, kills the gateway and a
/// proxy, starts Redis twice with its data, and makes it forget them. Of what is accepted after that, everything can be
/// asked; and whoever dies does so early enough to be believed dead within the two minutes.
const SEED_OF_TESTS: &str = "1324";

/// Runs it with these arguments.
pub fn run(arguments: &[OsString]) -> Result<()> {
    say::section("chaos");
    if is_about_clocks(arguments) {
        tools::faketime()?;
    }
    with(arguments)
}

/// Whether a story is asked for in which wall clocks are wrong.
fn is_about_clocks(arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| {
        let word = word.to_string_lossy();
        word.strip_prefix("--scenario=").unwrap_or(&word).starts_with("clock")
    })
}

/// The two minutes of it that are a part of all tests.
pub fn test() -> Result<()> {
    say::section("test: two minutes of chaos");
    with(&["--seed", SEED_OF_TESTS, "--minutes", "2"])
}

fn with(arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    tools::c_compiler()?;
    tools::redis_server()?;
    let mut command = process::cargo(["run", "--quiet", "--package", "fundbond-chaos"]);
    process::run(command.args(process::lock_flag()).arg("--").args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_clocks_wrong_is_looked_for_where_a_story_needs_it() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert!(is_about_clocks(&words("--release --scenario clock-ahead")));
        assert!(is_about_clocks(&words("--scenario=clock")));
        assert!(!is_about_clocks(&words("--scenario kill --seed 7")));
        assert!(!is_about_clocks(&[]));
    }
}
