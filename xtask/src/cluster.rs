//! `cargo xtask cluster`: a real Kubernetes in Docker, made by kind, with the images of this checkout in it.
//!
//! Flow: programs and node image (the machine's own, else made here once: [`node_image`]) -> images ([`crate::images`]) ->
//! `kind create` with `e2e/kind.yaml` -> images into the nodes -> the metrics server. Each step looks at what is there
//! already, so `up` goes on wherever one before was interrupted.
//!
//! What kind leaves behind on the host is put back by `down` ([`sysctls`]).

mod kind;
mod logs;
mod node_image;
mod sysctls;

use crate::docker::{Docker, daemon};
use crate::images::{self, Images, Others};
use crate::{cache, kubernetes, process, say};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use kind::Kind;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum Chore {
    /// Bring up one control plane and two workers, with this checkout's images loaded. Goes on where one before stopped.
    Up,
    /// Remove it, put back what it changed on this machine, and end the Docker daemon if a chore started it.
    Down,
    /// Find or build every program that it and the tests need, those of this checkout's images among them: all in one go is
    /// quicker than each when it is wanted.
    Programs,
    /// Install the charts on it, or upgrade them, with the values of the end-to-end tests.
    Install,
    /// Build the images again and give them to the nodes that run.
    Load,
    /// Show nodes, pods and images.
    Status,
    /// Gather what the nodes and everything on them said.
    Logs {
        /// The folder for it.
        #[arg(default_value = "target/cluster-logs")]
        folder: PathBuf,
    },
}

/// Runs one of them.
pub fn run(chore: &Chore) -> Result<()> {
    let _alone = match chore {
        Chore::Up | Chore::Down | Chore::Install | Chore::Load => Some(alone()?),
        Chore::Programs | Chore::Status | Chore::Logs { .. } => None,
    };
    match chore {
        Chore::Up => up().map(drop),
        Chore::Down => down(),
        Chore::Programs => {
            kubernetes::everything()?;
            images::compile()
        }
        Chore::Install => install(),
        Chore::Load => {
            let docker = Docker::ready()?;
            let kind = running(&docker)?;
            give(&kind, images::build(&docker, Others::OfCluster)?.sizes).map(drop)
        }
        Chore::Status => status(),
        Chore::Logs { folder } => {
            let docker = Docker::ready()?;
            logs::gather(&running(&docker)?, &docker, folder)
        }
    }
}

/// A cluster that runs, and how it is spoken to.
#[derive(Debug)]
pub struct Cluster {
    /// The file that says where it is and who may speak to it.
    pub kubeconfig: PathBuf,
    /// The client.
    pub kubectl: PathBuf,
    /// A folder with this checkout's programs, as they are in the images.
    pub programs: PathBuf,
    docker: Docker,
    kind: Kind,
    images: Vec<String>,
}

impl Cluster {
    /// `kubectl` of this cluster.
    pub fn kubectl(&self) -> Command {
        asking(&self.kubectl, &self.kubeconfig)
    }

    /// Gives its images to the nodes under another tag, too.
    pub fn load_as(&self, tag: &str) -> Result<()> {
        let mut names = Vec::new();
        for image in &self.images {
            let (name, _) = image.rsplit_once(':').with_context(|| format!("{image} has no tag"))?;
            names.push(format!("{name}:{tag}"));
            process::output(self.docker.command().args(["tag", image]).args(names.last()))?;
        }
        self.kind.load(&names)
    }

    /// Gathers what the nodes and everything on them said.
    pub fn gather_logs(&self, folder: &Path) -> Result<()> {
        logs::gather(&self.kind, &self.docker, folder)
    }
}

/// Keeps others from changing it until the file is closed, or waits for them: there is one for all checkouts of a user.
pub fn alone() -> Result<File> {
    let (root, name) = (cache::root()?, "cluster/use");
    if let Some(lock) = cache::try_lock(&root, name)? {
        return Ok(lock);
    }
    say::line("the cluster is in use: waiting for whoever brings it up, tests on it or takes it down");
    cache::lock(&root, name)
}

/// The file that is there where the cluster came for tests: where they are interrupted, the next ones take it away.
pub fn of_tests() -> Result<PathBuf> {
    Ok(cache::root()?.join("cluster").join("of-tests"))
}

/// Whether there is one, whole or not.
pub fn is_up() -> Result<bool> {
    Ok(daemon::answers()? && found(&Docker::ready()?)?.is_some())
}

/// Brings it up, or what is missing of it.
pub fn up() -> Result<Cluster> {
    let start = Instant::now();
    let manifests = process::workspace()?.join("e2e");
    say::section("cluster: programs");
    let docker = Docker::ready()?;
    kubernetes::for_clusters()?;
    let kubectl = kubernetes::kubectl()?;
    let kind = Kind::find()?;
    let phase = Instant::now();
    let image = node_image::find(&docker)?;
    say::line(&format!("node image {image}, {:.0} s", phase.elapsed().as_secs_f64()));

    // Before the nodes run, which take a part of the machine for themselves.
    let Images { programs, sizes } = images::build(&docker, Others::OfCluster)?;

    say::section("cluster: nodes");
    let phase = Instant::now();
    if Kind::is_whole(&docker, &image)? {
        say::line("they run already");
    } else {
        sysctls::remember()?;
        kind.delete()?;
        kind.create(&manifests.join("kind.yaml"), &image)?;
    }
    let kubeconfig = Kind::kubeconfig()?;
    let ready = ["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=180s"];
    process::run(asking(&kubectl, &kubeconfig).args(ready)).context("the nodes do not become Ready")?;
    Kind::mark_whole(&docker, &image)?;
    say::line(&format!("nodes: Ready after {:.0} s", phase.elapsed().as_secs_f64()));

    let images = give(&kind, sizes)?;
    let cluster = Cluster { kubeconfig, kubectl, programs, docker, kind, images };

    say::section("cluster: metrics server");
    let metrics_server = manifests.join("metrics-server.yaml");
    process::run(cluster.kubectl().args(["apply", "--filename"]).arg(metrics_server))?;
    say::line(&format!("cluster: up after {:.0} s", start.elapsed().as_secs_f64()));
    say::line(&format!("try: {}; kubectl get nodes", surroundings(&cluster.kubectl, &cluster.kubeconfig)));
    Ok(cluster)
}

/// Gives images to the nodes; answers their names.
fn give(kind: &Kind, images: Vec<(String, u64)>) -> Result<Vec<String>> {
    let start = Instant::now();
    let names: Vec<String> = images.into_iter().map(|(name, _)| name).collect();
    kind.load(&names)?;
    say::line(&format!("images: on all nodes after {:.0} s", start.elapsed().as_secs_f64()));
    Ok(names)
}

/// What people tell their shell to speak to it; where their `kubectl` is none for it, where one is.
fn surroundings(kubectl: &Path, kubeconfig: &Path) -> String {
    let kubeconfig = format!("export KUBECONFIG={}", kubeconfig.display());
    match kubectl.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => format!("{kubeconfig} PATH={}:$PATH", folder.display()),
        None => kubeconfig,
    }
}

/// `kubectl` of a cluster.
fn asking(kubectl: &Path, kubeconfig: &Path) -> Command {
    let mut command = process::program(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig);
    command
}

/// Installs both charts, with a Redis for development and the gateway at a port of this machine.
fn install() -> Result<()> {
    running(&Docker::ready()?)?;
    let (workspace, kubeconfig) = (process::workspace()?, Kind::kubeconfig()?);
    let helm = kubernetes::helm()?;
    for chart in ["fundbond-crds", "fundbond"] {
        let mut install = process::program(&helm);
        install.args([
            "upgrade",
            "--install",
            chart,
            "--namespace",
            "fundbond",
            "--create-namespace",
            "--wait",
        ]);
        install.arg("--kubeconfig").arg(&kubeconfig).arg(workspace.join("charts").join(chart));
        if chart == "fundbond" {
            install.arg("--values").arg(workspace.join("e2e").join("values.yaml"));
        }
        process::run(&mut install)?;
    }
    Ok(())
}

/// Removes it, and puts back what it changed.
pub fn down() -> Result<()> {
    if daemon::answers()? {
        let kind = Kind::find()?;
        kind.delete()?;
    } else {
        say::line("no Docker daemon runs, so no cluster does");
    }
    // Whoever brings up the next one, it is theirs.
    let of_tests = of_tests()?;
    if of_tests.exists() {
        fs::remove_file(&of_tests).with_context(|| format!("cannot remove {}", of_tests.display()))?;
    }
    sysctls::put_back()?;
    daemon::stop()
}

fn status() -> Result<()> {
    if !daemon::answers()? {
        say::line("no Docker daemon runs, so no cluster does");
        return Ok(());
    }
    let docker = Docker::ready()?;
    if found(&docker)?.is_none() {
        say::line("no cluster runs: `cargo xtask cluster up`");
        return Ok(());
    }
    let (kubectl, kubeconfig) = (kubernetes::kubectl()?, Kind::kubeconfig()?);
    process::run(asking(&kubectl, &kubeconfig).args(["get", "nodes", "--output", "wide"]))?;
    process::run(asking(&kubectl, &kubeconfig).args(["get", "pods", "--all-namespaces"]))?;
    process::run(docker.command().args(["images", "--filter", "reference=fundbond/*"]))?;
    say::line(&surroundings(&kubectl, &kubeconfig));
    Ok(())
}

/// The cluster, if its nodes are there.
fn found(docker: &Docker) -> Result<Option<Kind>> {
    Ok(if Kind::nodes(docker)?.is_empty() { None } else { Some(Kind::find()?) })
}

fn running(docker: &Docker) -> Result<Kind> {
    match found(docker)? {
        Some(kind) => Ok(kind),
        None => bail!("no cluster runs: `cargo xtask cluster up`"),
    }
}

/// A file of the workspace's folder `docker/node`.
fn of_node(workspace: &Path, name: &str) -> PathBuf {
    workspace.join("docker").join("node").join(name)
}
