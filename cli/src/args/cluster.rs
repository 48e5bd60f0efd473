//! Options of the commands that speak to a Kubernetes API server.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use clap_complete::ArgValueCandidates;
use http::{HeaderName, HeaderValue, Method};

use super::parse_duration;
use crate::{client::ServerUrl, completion, wait::Goal};

/// Which Kubernetes, and where in it.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// Namespace of the FundClusters [default: that of the context; for route, doctor and report all]
    #[arg(short, long, value_name = "NAMESPACE", add = ArgValueCandidates::new(completion::namespaces))]
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
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::fund_clusters))]
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
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::fund_clusters))]
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

/// What `doctor` looks at, and `report` takes.
#[derive(Debug, Args)]
pub struct SightArgs {
    /// FundClusters of all namespaces, as without --namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Namespace of operator and gateway [default: looked for in all]
    #[arg(long, value_name = "NAMESPACE")]
    pub system_namespace: Option<String>,
    /// Which Kubernetes; without --namespace FundClusters of all namespaces are looked at.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `route`.
#[derive(Debug, Args)]
pub struct RouteArgs {
    /// The user: the value of user-id, and of the header that the route hashes by
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    pub method: Method,
    /// Path of the request [default: one that the route takes]
    #[arg(long, value_name = "PATH", value_parser = parse_path)]
    pub path: Option<String>,
    /// Address of the client; needed where the route goes by it
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<IpAddr>,
    /// One more header of the request, as NAME=VALUE; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,
    /// Ask this admin server alone [default: the gateway of --server, whose admin port is 10,000 above its own, and whoever
    /// comes next]
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubernetes", "gateway", "namespace", "context", "kubeconfig"])]
    pub admin: Option<ServerUrl>,
    /// Ask through the API server of Kubernetes; so do --namespace, --context, --kubeconfig and --gateway
    #[arg(long)]
    pub kubernetes: bool,
    /// Service with the admin port of the gateway, as NAMESPACE/NAME [default: the only one there is]
    #[arg(long, value_name = "SERVICE", value_parser = parse_place)]
    pub gateway: Option<(String, String)>,
    /// Which Kubernetes.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl RouteArgs {
    /// Whether the API server is asked.
    pub fn is_kubernetes(&self) -> bool {
        let ClusterArgs { namespace, context, kubeconfig } = &self.cluster;
        self.kubernetes
            || self.gateway.is_some()
            || namespace.is_some()
            || context.is_some()
            || kubeconfig.is_some()
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("expected a path that begins with /".to_owned())
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let wrong = || "expected NAME=VALUE, for example operation-type=write".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let name: HeaderName = name.parse().map_err(|_| wrong())?;
    HeaderValue::from_str(value).map_err(|_| wrong())?;
    Ok((name.to_string(), value.to_owned()))
}

fn parse_place(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The zip to make; one that is there already is left alone [default: fundbond-report-<time>.zip in this folder]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only log lines of this long ago and later (30m, 2h) [default: the last 2,000 lines of each container]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// Put others in place of the ids of users: the same one throughout the report
    #[arg(long)]
    pub redact_users: bool,
    /// What is taken.
    #[command(flatten)]
    pub sight: SightArgs,
}
