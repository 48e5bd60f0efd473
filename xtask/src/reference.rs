//! `cargo xtask reference`: writes the pages of `docs/reference` anew.
//!
//! The pages are made by a test of `all-in-one`, the one crate that knows every program: what makes them is what holds
//! them to the code. This only asks it to write instead of compare.

use crate::process;
use anyhow::Result;

/// Writes every page.
pub fn run() -> Result<()> {
    let mut command = process::cargo(["test", "-p", "fundbond", "--test", "it"]);
    command.args(process::lock_flag()).args(["--", "--exact", TEST]).env("UPDATE", "1");
    process::run(&mut command)
}

/// The test that compares the pages, and writes them under `UPDATE=1`.
const TEST: &str = "reference::every_page_is_what_the_code_says";
