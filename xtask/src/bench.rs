//! `cargo xtask bench`: the calculation benches and the side-by-side measurements.

use crate::{process, say, tools};
use anyhow::Result;
use std::ffi::{OsStr, OsString};

/// The measurements of `fundbond-bench` in the order of docs/benchmarks.md: beside a plain SSE server, then its
/// subcommands.
const MEASUREMENTS: [&[&str]; 4] = [&[], &["redis"], &["delivery"], &["hop"]];

/// `bonds [FILTER]` is the calculation alone, `picks [FILTER]` the choice of an endpoint, other arguments are those of
/// `fundbond-bench`, none is everything.
pub fn run(arguments: &[OsString]) -> Result<()> {
    tools::c_compiler()?;
    tools::redis_server()?;
    match arguments.split_first() {
        None => {
            calculation(&[])?;
            picks(&[])?;
            MEASUREMENTS.iter().try_for_each(|words| side_by_side(words))
        }
        Some((first, filter)) if first == "bonds" => calculation(filter),
        Some((first, filter)) if first == "picks" => picks(filter),
        Some(_) => side_by_side(arguments),
    }
}

fn calculation(filter: &[OsString]) -> Result<()> {
    say::section("bench: bond and fund calculation");
    benches("fundbond-bonds", "analytics", filter)
}

fn picks(filter: &[OsString]) -> Result<()> {
    say::section("bench: which endpoint");
    benches("fundbond-routing", "picks", filter)
}

fn benches(package: &str, bench: &str, filter: &[OsString]) -> Result<()> {
    process::run(
        process::cargo(["bench", "--package", package, "--bench", bench])
            .args(process::lock_flag())
            .arg("--")
            .args(filter),
    )
}

fn side_by_side(arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    say::section("bench: side by side");
    let mut command = process::cargo(["run", "--release", "--package", "fundbond-bench"]);
    process::run(command.args(process::lock_flag()).arg("--").args(arguments))
}
