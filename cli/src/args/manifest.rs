//! Options of the commands that read FundClusters from files.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::Shell;
use fundbond_desired::{RUNBOOKS, Site};
use ipnet::IpNet;

use super::cluster::ClusterArgs;
use crate::manifest::{Endpoints, Users};

/// Where operators take images from, unless they are told otherwise.
const REGISTRY: &str = "ghcr.io/fundbond";

/// Files of manifests, as `kubectl apply` takes them.
#[derive(Clone, Debug, Args)]
pub struct Manifests {
    /// A manifest (YAML or JSON), a folder of manifests, or - for standard input; may be repeated
    #[arg(value_name = "FILE", required_unless_present = "filename", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// The same, as kubectl calls it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub filename: Vec<PathBuf>,
    /// Folders below folders, too
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

impl Manifests {
    /// All of them, in the order of the command line.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().chain(&self.filename)
    }
}

/// What an operator is told when it starts.
#[derive(Clone, Debug, Args)]
pub struct SiteArgs {
    /// Registry of images that a FundCluster does not name, as the operator is told it
    #[arg(long, env = "FUND_IMAGE_REGISTRY", default_value = REGISTRY, value_name = "REGISTRY")]
    pub registry: String,
    /// Their tag
    #[arg(long, env = "FUND_IMAGE_TAG", default_value = env!("CARGO_PKG_VERSION"), value_name = "TAG")]
    pub tag: String,
    /// Networks of gateways' addresses, as the operator is told them
    #[arg(long, env = "FUND_GATEWAY_NETWORKS", value_delimiter = ',', value_name = "NETWORKS")]
    pub gateway_networks: Vec<IpNet>,
    /// Where alerts of a FundCluster are explained, as the operator is told it
    #[arg(long, env = "FUND_RUNBOOKS", default_value = RUNBOOKS, value_name = "URL")]
    pub runbooks: String,
}

impl SiteArgs {
    /// The same, as objects are made by it.
    pub fn site(&self) -> Site {
        Site {
            registry: self.registry.clone(),
            version: self.tag.clone(),
            gateway_networks: self.gateway_networks.clone(),
            runbooks: self.runbooks.clone(),
        }
    }
}

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// What is checked.
    #[command(flatten)]
    pub manifests: Manifests,
    /// Warnings are errors, too
    #[arg(long)]
    pub strict: bool,
}

/// For whom objects are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// What the operator writes
    #[default]
    Kubernetes,
    /// A VirtualService and DestinationRules that route as the gateway and the proxy would
    Istio,
    /// An HTTPRoute, Services and KongUpstreamPolicies that do
    Kong,
}

/// Arguments of `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// What is rendered.
    #[command(flatten)]
    pub manifests: Manifests,
    /// For whom
    #[arg(long, value_enum, default_value_t)]
    pub target: Target,
    /// The Gateway that istio or kong objects are attached to [default: that of spec.exposure.httpRoute.parentRefs]
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub gateway: Option<String>,
    /// A host that istio or kong take requests for; may be repeated [default: every host]
    #[arg(long = "hostname", value_name = "HOST")]
    pub hostnames: Vec<String>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Generation of the GatewayRoute, which the operator counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..), value_name = "N")]
    pub route_generation: i64,
    /// What the operator is told.
    #[command(flatten)]
    pub site: SiteArgs,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// What is to be.
    #[command(flatten)]
    pub manifests: Manifests,
    /// What is: a manifest, or - for standard input [default: what the API server has]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub against: Option<PathBuf>,
    /// The users to follow: a range of numbers, or a file with one id a line (and the address of the client behind it)
    #[arg(long, value_name = "FIRST..LAST|FILE", default_value = "0..9999", value_hint = ValueHint::FilePath)]
    pub users: Users,
    /// Follow what they read, not what they write
    #[arg(long)]
    pub reads: bool,
    /// The pods of now: how many, or their names; with shard groups GROUP=..., repeated [default: those that the API server
    /// has; of a file, as many as it says, with made-up names]
    #[arg(long, value_name = "[GROUP=]COUNT|NAMES")]
    pub endpoints: Vec<Endpoints>,
    /// The pods of then [default: those of now, as far as they stay, and new ones]
    #[arg(long, value_name = "[GROUP=]COUNT|NAMES")]
    pub endpoints_after: Vec<Endpoints>,
    /// What the operator is told.
    #[command(flatten)]
    pub site: SiteArgs,
    /// Which Kubernetes is asked where there is no --against.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}
