//! Options of the commands that speak to a Kubernetes API server.

use std::path::PathBuf;

use clap::Args;

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
