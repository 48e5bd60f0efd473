//! What shells and kubectl are told, and how this program calls itself.

use std::{os::unix::fs::symlink, path::Path};

use tokio::process::Command;

use crate::fundctl::{Run, fundctl};

/// Runs the program under another name.
async fn called(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    symlink(Path::new(env!("CARGO_BIN_EXE_fundctl")), &path).unwrap();
    let mut command = Command::new(&path);
    command.args(arguments).env("KUBECONFIG", folder.path().join("none")).env_remove("FUND_SERVER");
    command.envs(variables.iter().copied()).output().await.unwrap().into()
}

#[tokio::test]
async fn every_shell_has_a_script_that_asks_this_program() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = fundctl(&["completion", shell]).await;
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
        assert!(run.out.contains("COMPLETE") && run.out.contains("fundctl"), "{shell}: {run:?}");
    }
    assert_eq!(fundctl(&["completion", "tcsh"]).await.code, Some(2));
}

#[tokio::test]
async fn a_shell_is_answered() {
    // As the script for fish asks.
    let run = called("fundctl", &["--", "fundctl", "re"], &[("COMPLETE", "fish")]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.lines().any(|line| line.starts_with("render\t")), "{run:?}");
}

#[tokio::test]
async fn kubectl_is_answered_in_its_own_words() {
    let run = called("kubectl_complete-fund", &["li"], &[]).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].starts_with("lint\tFind what an API server would refuse"), "{run:?}");
    assert_eq!(lines, [lines[0], ":4"]);
    let run = called("kubectl_complete-fund", &["render", "x.yaml", "--target", ""], &[]).await;
    let values: Vec<_> = run.out.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(values, ["kubernetes", "istio", "kong", ":4"], "{run:?}");
}

#[tokio::test]
async fn names_that_nobody_can_be_asked_for_are_none_and_no_noise() {
    let run = called("kubectl_complete-fund", &["status", ""], &[]).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    assert!(run.out.ends_with(":4\n"), "{run:?}");
}

#[tokio::test]
async fn called_by_kubectl_it_says_kubectl() {
    let run = called("kubectl-fund", &["lint", "--help"], &[]).await;
    assert!(run.out.contains("Usage: kubectl fund lint "), "{run:?}");
    let run = called("kubectl-fund", &["lint", "bad"], &[]).await;
    assert!(!run.err.contains("fundctl"), "{run:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/bad.yaml");
    let run = called("kubectl-fund", &["lint", folder.to_str().unwrap()], &[]).await;
    assert!(run.err.ends_with("then kubectl fund lint again\n"), "{run:?}");
    assert!(called("fundctl", &["lint", "--help"], &[]).await.out.contains("Usage: fundctl lint "));
}
