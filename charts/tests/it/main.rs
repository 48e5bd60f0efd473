//! The charts, as text and as a server takes them: what they make, what they refuse, and that they are of one mind with the
//! programs they install.
//!
//! Helm and promtool are run as they are: `cargo xtask test` gets them. Without them there is no test; nothing is skipped.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod alerts;
mod dashboard;
mod definitions;
mod golden;
mod helm;
mod install;
mod metrics;
mod programs;
mod rendered;
mod rights;
mod runbooks;
mod server;
mod values;
mod words;

use std::{env, fs, path::PathBuf};

/// The folder of the charts.
fn charts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file of this folder to what it should be, or writes it under `UPDATE=1`.
#[track_caller]
fn hold(file: &str, wanted: &str) {
    let path = charts().join(file);
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count()));
    assert!(
        found == wanted,
        "charts/{file} is not what it should be, from line {} on:\n  is     {:?}\n  wanted {:?}\nLook at why; then \
         `UPDATE=1 cargo xtask test -p fundbond-charts` writes it anew",
        line + 1,
        found.lines().nth(line),
        wanted.lines().nth(line),
    );
}
