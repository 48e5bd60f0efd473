//! `cargo xtask bench`: the calculation benches and the side-by-side measurements.

use crate::{process, say, tools};
use anyhow::Result;
use std::ffi::OsString;

/// `bonds [FILTER]` is the calculation alone, other arguments are those of `fundbond-bench`, none is both.
pub fn run(arguments: &[OsString]) -> Result<()> {
    tools::c_compiler()?;
    match arguments.split_first() {
        None => {
            calculation(&[])?;
            side_by_side(&[])
        }
        Some((first, filter)) if first == "bonds" => calculation(filter),
        Some(_) => side_by_side(arguments),
    }
}

fn calculation(filter: &[OsString]) -> Result<()> {
    say::section("bench: bond and fund calculation");
    process::run(
        process::cargo(["bench", "--package", "fundbond-bonds"])
            .args(process::lock_flag())
            .arg("--")
            .args(filter),
    )
}

fn side_by_side(arguments: &[OsString]) -> Result<()> {
    say::section("bench: side by side");
    let mut command = process::cargo(["run", "--release", "--package", "fundbond-bench"]);
    process::run(command.args(process::lock_flag()).arg("--").args(arguments))
}
