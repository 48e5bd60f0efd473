//! The release of the charts: installed once, for all tests.

use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;

use crate::{Stage, program, stage::workspace};

/// Namespace and name of the release.
pub const NAMESPACE: &str = "fundbond";
/// What it is called.
pub const NAME: &str = "fundbond";
/// The release of the definitions.
pub const DEFINITIONS: &str = "fundbond-crds";

/// The Redis that the release brings.
pub const REDIS: &str = "fundbond-dev-redis.fundbond.svc.cluster.local";

/// How long an installation may take: images are on the nodes already.
const PATIENCE: &str = "--timeout=180s";

static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// Marks the pods of this run: those of one before on the same cluster run older images under the same names.
static RUN: LazyLock<String> = LazyLock::new(|| format!("{:08x}", rand::random::<u32>()));

/// Installs both charts, unless this run has done so. What an earlier run left is brought to what this one has.
///
/// # Errors
/// Helm fails.
pub async fn installed(stage: &Stage) -> Result<()> {
    INSTALLED.get_or_try_init(async || install(stage).await).await.copied()
}

/// Installs both charts or upgrades them, and waits until everything of them is ready.
///
/// # Errors
/// Helm fails.
pub async fn install(stage: &Stage) -> Result<()> {
    // The system itself runs where Pod Security lets nothing else in, too.
    let namespace = workspace().join("e2e").join("namespace.yaml");
    program::output(stage.kubectl(&["apply", "--filename"]).arg(namespace)).await?;
    let definitions = workspace().join("charts").join("fundbond-crds");
    let mut helm = stage.helm(&["upgrade", "--install", DEFINITIONS, "--wait", PATIENCE]);
    helm.args(["--namespace", NAMESPACE]).arg(definitions);
    program::output(&mut helm).await.context("the definitions cannot be installed")?;
    upgrade(stage, &[]).await
}

/// Installs the chart of the system or upgrades it, with these values beside those of the tests.
///
/// # Errors
/// Helm fails.
pub async fn upgrade(stage: &Stage, values: &[&str]) -> Result<()> {
    let mut helm = stage.helm(&["upgrade", "--install", NAME, "--wait", PATIENCE]);
    helm.args(["--namespace", NAMESPACE, "--values"]).arg(workspace().join("e2e").join("values.yaml"));
    for program in ["gateway", "operator"] {
        helm.args(["--set-string", &format!("{program}.podAnnotations.run=r{}", *RUN)]);
    }
    for value in values {
        helm.args(["--set", value]);
    }
    let chart = workspace().join("charts").join("fundbond");
    program::output(helm.arg(chart)).await.context("the system cannot be installed")?;
    Ok(())
}

/// Takes a release away.
///
/// # Errors
/// Helm fails.
pub async fn uninstall(stage: &Stage, name: &str) -> Result<()> {
    let mut helm = stage.helm(&["uninstall", name, "--wait", PATIENCE, "--namespace", NAMESPACE]);
    program::output(&mut helm).await.map(drop)
}

/// Runs the tests of the chart, which use the FundCluster with route value `cluster1`. What they said.
///
/// # Errors
/// One of them failed.
pub async fn test(stage: &Stage) -> Result<String> {
    let mut helm = stage.helm(&["test", NAME, "--namespace", NAMESPACE, "--logs", PATIENCE]);
    program::output(&mut helm).await
}
