//! The programs the tests run.

use std::{
    env,
    ffi::OsString,
    process::{Command, Output},
};

/// Names a Helm; `cargo xtask test` sets it.
const HELM: &str = "FUNDBOND_HELM";
/// Names a promtool; `cargo xtask test` sets it.
const PROMTOOL: &str = "FUNDBOND_PROMTOOL";

/// Helm, without what the person at this desk has set for their own clusters.
pub(crate) fn helm() -> Command {
    let mut command = Command::new(named(HELM, "helm"));
    let theirs = |name: &OsString| name == "KUBECONFIG" || name.to_string_lossy().starts_with("HELM_");
    for name in env::vars_os().map(|(name, _)| name).filter(theirs) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn promtool() -> Command {
    Command::new(named(PROMTOOL, "promtool"))
}

fn named(variable: &str, usual: &str) -> OsString {
    env::var_os(variable).filter(|path| !path.is_empty()).unwrap_or_else(|| usual.into())
}

/// Runs a program. One that is not there is a failure that says how to get it.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!(
            "cannot start `{}` ({error}): run `cargo xtask test -p fundbond-charts`, which gets Helm and promtool, or set \
             {HELM} and {PROMTOOL}",
            command.get_program().display()
        )
    })
}
