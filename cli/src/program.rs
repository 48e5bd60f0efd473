//! How this program was called: `fundctl`, or by kubectl as `kubectl-fund`.

use std::{env, path::Path, sync::LazyLock};

use clap::CommandFactory as _;

use crate::args::Cli;

/// The name of the file by which `kubectl` finds it.
const PLUGIN: &str = "kubectl-fund";

/// The name of the file by which `kubectl` asks it what could come next.
const PLUGINS_COMPLETION: &str = "kubectl_complete-fund";

static FILE: LazyLock<String> = LazyLock::new(|| {
    let called = env::args_os().next().unwrap_or_default();
    let stem = Path::new(&called).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| [PLUGIN, PLUGINS_COMPLETION].contains(&stem.as_str()))
        .unwrap_or_else(|| "fundctl".to_owned())
});

/// What people type to call it: `fundctl` or `kubectl fund`.
pub fn name() -> &'static str {
    if *FILE == "fundctl" { "fundctl" } else { "kubectl fund" }
}

/// The file that was called, without its folder.
pub fn file() -> &'static str {
    FILE.as_str()
}

/// Whether `kubectl` asks what could come next.
pub fn is_kubectls_completion() -> bool {
    *FILE == PLUGINS_COMPLETION
}

/// The command line, under the name by which it was called.
pub fn command() -> clap::Command {
    Cli::command().bin_name(name())
}
