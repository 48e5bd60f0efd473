//! kind, and the one cluster that is ours.

use crate::docker::Docker;
use crate::{cache, kubernetes, process, say};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the cluster is called, as in `e2e/kind.yaml`.
const NAME: &str = "fundbond";

/// How long kind waits for the control plane: some 20 s on two free cores.
const PATIENCE: &str = "--wait=180s";

/// kind, for our cluster.
#[derive(Debug)]
pub(super) struct Kind {
    program: PathBuf,
}

impl Kind {
    /// The one on the path, else one in the cache.
    pub(super) fn find() -> Result<Self> {
        Ok(Self { program: kubernetes::kind()? })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = process::program(&self.program);
        command.args(words).args(["--name", NAME]);
        command
    }

    /// The containers of the nodes, whether they run or not.
    pub(super) fn nodes(docker: &Docker) -> Result<Vec<String>> {
        let label = format!("label=io.x-k8s.kind.cluster={NAME}");
        let mut list = docker.command();
        list.args(["ps", "--all", "--filter", &label, "--format", "{{.Names}}"]);
        Ok(process::output(&mut list)?.lines().map(str::to_owned).collect())
    }

    /// Whether a cluster of this image was brought up to its end and all of its nodes run.
    pub(super) fn is_whole(docker: &Docker, image: &str) -> Result<bool> {
        let nodes = Self::nodes(docker)?;
        if nodes.is_empty() {
            return Ok(false);
        }
        let marked = fs::read_to_string(marker()?).unwrap_or_default();
        if marked != mark(docker, image)? {
            say::line(
                "an earlier run left a cluster unfinished, or it is of another node image: making it anew",
            );
            return Ok(false);
        }
        for node in &nodes {
            let container = docker.inspect("container", node)?;
            if container["State"]["Running"] != true {
                say::line(&format!("starting {node}, which stopped"));
                process::output(docker.command().args(["start", node]))?;
            } else if container["State"]["Paused"] == true {
                // A test that pauses it was interrupted.
                say::line(&format!("waking {node}, which is paused"));
                process::output(docker.command().args(["unpause", node]))?;
            }
        }
        Ok(true)
    }

    /// Notes that it was.
    pub(super) fn mark_whole(docker: &Docker, image: &str) -> Result<()> {
        fs::write(marker()?, mark(docker, image)?).context("cannot note that the cluster is whole")
    }

    /// Makes it from a configuration and a node image.
    pub(super) fn create(&self, configuration: &Path, image: &str) -> Result<()> {
        let mut create = self.command(&["create", "cluster", "--image", image, PATIENCE]);
        create.arg("--config").arg(configuration).arg("--kubeconfig").arg(Self::kubeconfig()?);
        process::run(&mut create).context("kind makes no cluster; `docker logs` of its nodes may say why")
    }

    /// Removes it, or what is there of it.
    pub(super) fn delete(&self) -> Result<()> {
        let marker = marker()?;
        if marker.exists() {
            fs::remove_file(&marker).with_context(|| format!("cannot remove {}", marker.display()))?;
        }
        let mut delete = self.command(&["delete", "cluster"]);
        process::run(delete.arg("--kubeconfig").arg(Self::kubeconfig()?))
    }

    /// Gives images to all nodes.
    pub(super) fn load(&self, images: &[String]) -> Result<()> {
        let mut words = vec!["load", "docker-image"];
        words.extend(images.iter().map(String::as_str));
        process::output(&mut self.command(&words)).map(drop)
    }

    /// Everything the nodes say, into a folder.
    pub(super) fn export_logs(&self, folder: &Path) -> Result<()> {
        let mut command = process::program(&self.program);
        command.args(["export", "logs", "--name", NAME]).arg(folder);
        process::output(&mut command).map(drop)
    }

    /// Where the cluster is and who may speak to it; not among the user's own.
    pub(super) fn kubeconfig() -> Result<PathBuf> {
        Ok(folder()?.join("kubeconfig"))
    }
}

fn folder() -> Result<PathBuf> {
    let folder = cache::root()?.join("cluster");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn marker() -> Result<PathBuf> {
    Ok(folder()?.join("whole"))
}

/// An image may be made anew under the same name.
fn mark(docker: &Docker, image: &str) -> Result<String> {
    let id = docker.inspect("image", image)?["Id"].as_str().context("an image has an id")?.to_owned();
    Ok(format!("{image} {id}"))
}
