//! Options of the commands that speak to a Kubernetes API server.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::parse_duration;
use crate::wait::Goal;

/// Which Kubernetes, and where in it.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// Namespace of the FundClusters [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, else ~/.kube/config, else the account of the pod this runs in]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

impl ClusterArgs {
    /// The options by which `kubectl` and this program reach the same server again, each behind a space.
    pub fn flags(&self) -> String {
        let context = self.context.iter().map(|context| format!(" --context {context}"));
        let file = self.kubeconfig.iter().map(|file| format!(" --kubeconfig {}", file.display()));
        context.chain(file).collect()
    }
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The one to show everything of [default: a line for each]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// FundClusters of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "name"])]
    pub all_namespaces: bool,
    /// Which Kubernetes.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The FundCluster
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What is waited for: condition=NAME, condition=NAME=False (or Unknown), deleted
    #[arg(long = "for", default_value = "condition=Ready", value_name = "GOAL")]
    pub goal: Goal,
    /// Stop waiting after this long (30s, 5m, 1h 30m)
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Duration,
    /// Go on waiting where nothing gets better without somebody's help, for somebody may
    #[arg(long)]
    pub even_if_stalled: bool,
    /// Which Kubernetes.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
