//! Configuration of the operator.

use std::net::IpAddr;

use clap::{Args, Parser};
use fundbond_lease::names::{LeaseName, Namespace};
use fundbond_service_runtime::telemetry::LogArgs;
use ipnet::IpNet;

use crate::{gateways::GatewayService, proxies::ProxyAddress};

/// Makes objects of FundClusters, and keeps them as they should be.
#[derive(Clone, Debug, Parser)]
#[command(name = "operator", version)]
pub struct Program {
    #[command(flatten)]
    /// The operator.
    pub config: Config,
    #[command(flatten)]
    /// Its logs.
    pub log: LogArgs,
}

/// What an operator looks after, and as whom. Flag over environment over default.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Address of probes and metrics.
    #[arg(long, env = "FUND_HOST", default_value = "0.0.0.0")]
    pub host: IpAddr,
    /// Port of probes and metrics; 0 takes any.
    #[arg(long, env = "FUND_ADMIN_PORT", default_value_t = 18_080)]
    pub admin_port: u16,
    /// Namespaces whose FundClusters are looked after, parted by commas. With a list, the operator needs rights in these
    /// only [default: all].
    #[arg(long, env = "FUND_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACES")]
    pub watch_namespaces: Vec<Namespace>,
    /// Namespace of the lease by which one of several operators leads [default: that of the pod, or of the kubeconfig].
    #[arg(long, env = "FUND_NAMESPACE")]
    pub namespace: Option<Namespace>,
    /// Name of that lease. Operators that look after the same FundClusters must have the same.
    #[arg(long, env = "FUND_LEASE_NAME", default_value = "fundbond-operator")]
    pub lease_name: LeaseName,
    /// Name of this operator in the lease and in events, to which each start adds something of its own [default: the host
    /// name].
    #[arg(long, env = "FUND_NODE_NAME")]
    pub node_name: Option<String>,
    /// Where images come from that a FundCluster does not name: what stands in front of a program's name.
    #[arg(long, env = "FUND_IMAGE_REGISTRY", default_value = "ghcr.io/fundbond")]
    pub image_registry: String,
    /// The tag of such images; usually the operator's own version.
    #[arg(long, env = "FUND_IMAGE_TAG", default_value = env!("CARGO_PKG_VERSION"))]
    pub image_tag: String,
    /// How the proxies of clusters are reached, which say how many streams there are: `{service}` and `{namespace}` stand for
    /// those of a cluster.
    #[arg(
        long,
        env = "FUND_PROXY_ADDRESS",
        default_value = "http://{service}.{namespace}.svc:8080",
        value_name = "URL"
    )]
    pub proxy_address: ProxyAddress,
    /// The Service of the gateways, which say which routes they have: its namespace and its name. Without it, nobody is asked,
    /// and the condition RoutesProgrammed stays Unknown.
    #[arg(long, env = "FUND_GATEWAY_SERVICE", value_name = "NAMESPACE/NAME")]
    pub gateway_service: Option<GatewayService>,
    /// Networks that gateways' addresses are of, parted by commas: cluster proxies believe what comes from there about
    /// clients. Without any, every client looks like its gateway to a strategy that goes by addresses.
    #[arg(long, env = "FUND_GATEWAY_NETWORKS", value_delimiter = ',', value_name = "NETWORKS")]
    pub gateway_networks: Vec<IpNet>,
    /// Where alerts of FundClusters (`spec.monitoring.rules`) are explained: what stands in front of `/NAME.md`.
    #[arg(long, env = "FUND_RUNBOOKS", default_value = fundbond_desired::RUNBOOKS, value_name = "URL")]
    pub runbooks: String,
}
