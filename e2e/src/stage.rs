//! What `cargo xtask e2e` has prepared: a cluster, programs and places.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::process::Command;

/// Where the gateway's NodePort is published, as `kind.yaml` has it.
pub const GATEWAY: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 30_080));

/// Variables that `cargo xtask e2e` sets.
const KUBECONFIG: &str = "FUNDBOND_E2E_KUBECONFIG";
const PROGRAMS: &str = "FUNDBOND_E2E_PROGRAMS";
const RESULTS: &str = "FUNDBOND_E2E_RESULTS";
const FULL: &str = "FUNDBOND_E2E_FULL";

/// The cluster and how to speak to it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Where it is and who may speak to it.
    pub kubeconfig: PathBuf,
    /// A folder with `kubectl`, `helm` and `kubectl-fund`.
    pub programs: PathBuf,
    /// Where results and logs go.
    pub results: PathBuf,
    /// Whether outages last as long as they do in the field.
    pub full: bool,
}

impl Stage {
    /// What there is.
    ///
    /// # Errors
    /// Nobody prepared anything.
    pub fn find() -> Result<Self> {
        let path = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from).with_context(|| {
                format!("{name} is not set: these tests need a cluster, and `cargo xtask e2e` brings it up")
            })
        };
        Ok(Self {
            kubeconfig: path(KUBECONFIG)?,
            programs: path(PROGRAMS)?,
            results: path(RESULTS)?,
            full: std::env::var_os(FULL).is_some_and(|value| value == "true"),
        })
    }

    /// A client of the API server. One for each test: a client belongs to the runtime that made it.
    ///
    /// # Errors
    /// The kubeconfig is no good.
    pub async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)
            .with_context(|| format!("cannot read {}", self.kubeconfig.display()))?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        // Whoever waits for something asks again.
        config.default_retry = false;
        config.read_timeout = Some(std::time::Duration::from_secs(20));
        Ok(Client::try_from(config)?)
    }

    /// `kubectl`.
    pub fn kubectl(&self, words: &[&str]) -> Command {
        self.program("kubectl", words)
    }

    /// `helm`.
    pub fn helm(&self, words: &[&str]) -> Command {
        self.program("helm", words)
    }

    /// A program of the folder, for which this cluster is the only one.
    pub fn program(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(name));
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(words).current_dir(workspace()).env("KUBECONFIG", &self.kubeconfig);
        // kubectl finds its plugins there.
        command.env("PATH", format!("{}:{path}", self.programs.display())).env("NO_COLOR", "1");
        command
    }

    /// `docker`, whose containers the nodes are.
    pub fn docker(words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(words);
        command
    }
}

/// The repository.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
