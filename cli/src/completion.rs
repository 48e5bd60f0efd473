//! What a shell offers while a command is typed.
//!
//! The script that `completion` prints asks this program at every press of the key, so names of FundClusters and namespaces
//! are those of the moment. As `kubectl_complete-fund`, it answers `kubectl` in the words that that understands.
//!
//! Nothing is said on standard error: whoever presses a key wants no message in the middle of a line.

use std::{env, ffi::OsString, io, time::Duration};

use clap_complete::{CompleteEnv, CompletionCandidate, engine};

use crate::{
    args::cluster::ClusterArgs,
    cluster::{Cluster, Scope},
    program,
};

/// The variable by which the scripts ask.
const ASKED: &str = "COMPLETE";

/// How long somebody waits for names before the key seems broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// What `kubectl` is to do with the candidates, as its library numbers it: offer no files beside them.
const NO_FILES: u8 = 4;
/// And put no space behind what was chosen, for there is more to come.
const NO_SPACE: u8 = 2;

/// Answers a shell or `kubectl`, if one asks; the process ends then.
pub fn answer_if_asked() {
    CompleteEnv::with_factory(program::command).var(ASKED).complete();
    if program::is_kubectls_completion() {
        // Nobody reads an error here, and no answer is one.
        let _ = answer_kubectl(&mut io::stdout().lock());
        std::process::exit(0);
    }
}

/// One candidate a line, then what to do with them.
fn answer_kubectl(out: &mut dyn io::Write) -> io::Result<()> {
    let words: Vec<OsString> = env::args_os().collect();
    let last = words.len().saturating_sub(1);
    let found = engine::complete(&mut program::command(), words, last, env::current_dir().ok().as_deref())?;
    let mut directive = NO_FILES;
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        if value.ends_with(['/', '=']) {
            directive |= NO_SPACE;
        }
        match candidate.get_help() {
            Some(help) => {
                let help = help.to_string();
                writeln!(out, "{value}\t{}", help.lines().next().unwrap_or_default())?;
            }
            None => writeln!(out, "{value}")?,
        }
    }
    writeln!(out, ":{directive}")
}

/// The script that makes `shell` ask.
///
/// # Errors
/// It cannot be written; or there is no such shell, which the command line does not let through.
pub fn script(shell: &str, out: &mut dyn io::Write) -> io::Result<()> {
    let shells = clap_complete::env::Shells::builtins();
    let shell = shells.completer(shell).ok_or_else(|| io::Error::other(format!("no script for {shell}")))?;
    let file = program::file();
    shell.write_registration(ASKED, &file.replace('-', "_"), file, file, out)
}

/// The FundClusters of the namespace and context that the line has so far.
pub fn fund_clusters() -> Vec<CompletionCandidate> {
    let names = ask(async |cluster: &Cluster| {
        let found = cluster.fund_clusters(&cluster.here()).await.ok()?;
        Some(found.into_iter().filter_map(|object| object.metadata.name).collect())
    });
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The namespaces of the context that the line has so far.
pub fn namespaces() -> Vec<CompletionCandidate> {
    let names = ask(async |cluster: &Cluster| {
        let found = cluster.list::<k8s_openapi::api::core::v1::Namespace>(&Scope::All, "").await.ok()?;
        Some(found.into_iter().filter_map(|namespace| namespace.metadata.name).collect())
    });
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The answer of the API server that the line means; none where there is none soon.
fn ask(question: impl AsyncFnOnce(&Cluster) -> Option<Vec<String>>) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let answer = async {
        let cluster = Cluster::connect(&typed(env::args())).await.ok()?;
        question(&cluster).await
    };
    // A timer needs the runtime that it is in.
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    answer.ok().flatten().unwrap_or_default()
}

/// The options of a line that is not complete yet, so that no parser takes it.
fn typed(words: impl Iterator<Item = String>) -> ClusterArgs {
    let mut args = ClusterArgs::default();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || value.clone().or_else(|| words.peek().cloned()).filter(|value| !value.is_empty());
        match name.as_str() {
            "-n" | "--namespace" => args.namespace = value(),
            "--context" => args.context = value(),
            "--kubeconfig" => args.kubeconfig = value().map(Into::into),
            _ => {}
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_so_far_says_where_to_look() {
        let line = ["fundctl", "status", "-n", "funds", "--context=prod", "--kubeconfig", "k", ""];
        let args = typed(line.into_iter().map(str::to_owned));
        assert_eq!(args.namespace.as_deref(), Some("funds"));
        assert_eq!(args.context.as_deref(), Some("prod"));
        assert_eq!(args.kubeconfig, Some("k".into()));
        let args = typed(["fundctl", "status", "-n", ""].into_iter().map(str::to_owned));
        assert_eq!(args.namespace, None);
    }
}
