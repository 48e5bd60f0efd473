//! What the cluster and everything on it said, in one folder, for whoever asks why something failed.

use super::{asking, kind::Kind};
use crate::docker::Docker;
use crate::{kubernetes, process, say};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// What is asked of Kubernetes: the file, and the words after `kubectl`.
const QUESTIONS: [(&str, &[&str]); 5] = [
    ("pods.txt", &["get", "pods", "--all-namespaces", "--output", "wide"]),
    ("events.txt", &["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]),
    ("nodes.yaml", &["get", "nodes", "--output", "yaml"]),
    ("fundclusters.yaml", &["get", "fundclusters,gatewayroutes", "--all-namespaces", "--output", "yaml"]),
    (
        "workloads.yaml",
        &[
            "get",
            "deployments,replicasets,pods,services,endpointslices,leases,hpa,pdb",
            "--all-namespaces",
            "--output",
            "yaml",
        ],
    ),
];

/// Gathers all of it. What cannot be had is said in its place: this runs where something is broken.
pub(super) fn gather(kind: &Kind, docker: &Docker, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (kubectl, kubeconfig) = (kubernetes::kubectl()?, Kind::kubeconfig()?);
    for (file, words) in QUESTIONS {
        let answer = process::output(asking(&kubectl, &kubeconfig).arg("--request-timeout=20s").args(words));
        let text = answer.unwrap_or_else(|error| format!("{error:#}\n"));
        fs::write(folder.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    if let Err(error) = kind.export_logs(&folder.join("nodes")) {
        say::line(&format!("some logs of the nodes cannot be had: {error:#}"));
    }
    for node in Kind::nodes(docker)? {
        let (_, text) = process::outcome(docker.command().args(["logs", &node]))?;
        fs::write(folder.join(format!("{node}.txt")), text)
            .with_context(|| format!("cannot write the log of {node}"))?;
    }
    say::line(&format!("logs: {}", folder.display()));
    Ok(())
}
