//! Configuration: flags and environment at the edge, [`Config`] inside.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser};
use fundbond_routing::{BreakerSettings, spec::Span};
use fundbond_service_runtime::{config::admin_port, cors::Origins, telemetry::LogArgs};
use ipnet::IpNet;

#[cfg(feature = "kubernetes")]
use crate::kubernetes::asked::KubernetesRoutes;
use crate::{decide::RouteTable, role::Role};

/// Where routes come from.
#[derive(Clone, Debug)]
pub enum RouteSource {
    /// A file, watched for change.
    File(PathBuf),
    /// Kubernetes: GatewayRoutes, and EndpointSlices behind them.
    #[cfg(feature = "kubernetes")]
    Kubernetes(KubernetesRoutes),
    /// A table that never changes: for gateways inside a larger process.
    Static(RouteTable),
}

/// How long each stage of a request may take, where its route does not say. There is deliberately no total:
/// streams live long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection to the endpoint is made.
    pub connect: Duration,
    /// Between two pieces of a request body.
    pub request_body: Duration,
    /// From the last piece of the request to the head of the response.
    pub response_headers: Duration,
    /// Between two pieces of the response.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // Endpoints are in the same network: a connection takes a round trip, and one lost packet is
            // repeated after a second.
            connect: Duration::from_secs(2),
            // As long as a phone needs to change its cell.
            request_body: Duration::from_secs(30),
            // Starting a task answers in milliseconds; reading a large result takes seconds.
            response_headers: Duration::from_mins(1),
            // Three heartbeats of a stream.
            idle: Duration::from_secs(30),
        }
    }
}

/// A request body is at most this long where not configured: a fund of 20,000 holdings fits.
pub const DEFAULT_MAX_BODY_BYTES: u64 = 8 * 1024 * 1024;

/// So many event streams are open at once where not configured. Each takes two sockets, and with the
/// requests below stays under the 20,000 descriptors that a process commonly gets.
pub const DEFAULT_MAX_STREAMS: u32 = 8_000;

/// So many requests are under way at once where not configured: with answers in milliseconds, a hundred
/// thousand a second; beyond it something behind is stuck, and waiting for it only ties up memory.
pub const DEFAULT_MAX_REQUESTS: u32 = 1_500;

/// Everything a gateway needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which hop this is.
    pub role: Role,
    /// Where requests are accepted; port 0 takes any.
    pub listen: SocketAddr,
    /// Where probes, metrics and admin pages are; port 0 takes any.
    pub admin: SocketAddr,
    /// Where routes come from.
    pub routes: RouteSource,
    /// Peers whose `X-Forwarded-*`, `Forwarded` and `X-Real-IP` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// The longest request body in bytes; the lines that `/api/sse/send` takes are exempt.
    pub max_body_bytes: u64,
    /// How many requests that are no streams may be under way at once.
    pub max_requests: u32,
    /// How many event streams may be open at once.
    pub max_streams: u32,
    /// When an endpoint that keeps failing is left alone, and for how long.
    pub breaker: BreakerSettings,
    /// How often each endpoint is asked whether it is ready.
    pub probe_interval: Duration,
    /// How long readiness waits for endpoints that have never answered.
    pub first_sync_wait: Duration,
    /// How long requests under way may take once shutdown begins; streams are cut at moments spread over it.
    pub drain_grace: Duration,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Web pages that may call from a browser. Where some are named, what endpoints say of that is taken away.
    pub cors_origins: Origins,
}

impl RouteSource {
    /// Whether endpoints are asked whether they are ready; otherwise whoever names them knows.
    pub(crate) fn probes(&self) -> bool {
        match self {
            Self::File(_) | Self::Static(_) => true,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => false,
        }
    }
}

impl Config {
    /// Defaults, on any ports of 127.0.0.1.
    pub fn new(role: Role, routes: RouteSource) -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            role,
            listen: anywhere,
            admin: anywhere,
            routes,
            trusted_proxies: Vec::new(),
            timeouts: Timeouts::default(),
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            max_requests: DEFAULT_MAX_REQUESTS,
            max_streams: DEFAULT_MAX_STREAMS,
            breaker: BreakerSettings::default(),
            probe_interval: Duration::from_secs(1),
            first_sync_wait: Duration::from_secs(30),
            drain_grace: Duration::from_secs(10),
            access_log: true,
            cors_origins: Origins::default(),
        }
    }
}

/// Flags of `gateway`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "gateway",
    version,
    about = "Forwards each request to the cluster that its route header names."
)]
pub struct GatewayOptions {
    /// Port for requests; 0 takes any.
    #[arg(long, env = "FUND_PORT", default_value_t = 8000)]
    pub port: u16,
    /// The rest.
    #[command(flatten)]
    pub common: Options,
    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Flags of `cluster-proxy`.
#[derive(Clone, Debug, Parser)]
#[command(name = "cluster-proxy", version, about = "Forwards each request to a ready pod of its cluster.")]
pub struct ClusterProxyOptions {
    /// Port for requests; 0 takes any.
    #[arg(long, env = "FUND_PORT", default_value_t = 8080)]
    pub port: u16,
    /// Which cluster, where Kubernetes says where its pods are.
    #[command(flatten)]
    pub one: One,
    /// The rest.
    #[command(flatten)]
    pub common: Options,
    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Flags both hops share. Lengths of time are written like `250ms`, `2s` or `1m30s`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on, for requests and for the admin pages.
    #[arg(long, env = "FUND_HOST", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub host: IpAddr,
    /// Port for probes, metrics and admin pages; the port for requests + 10000 where absent, any where that
    /// is no port.
    #[arg(long, env = "FUND_ADMIN_PORT")]
    pub admin_port: Option<u16>,
    /// The route file (YAML or JSON), watched for change; or `kubernetes`, for the GatewayRoutes of an API server. Replace a
    /// file by renaming: a YAML file that is only half written can be a valid one with fewer routes.
    #[arg(long, env = "FUND_ROUTES", value_name = "FILE|kubernetes")]
    pub routes: PathBuf,
    /// From Kubernetes: namespaces whose routes are followed, parted by commas [default: all].
    #[arg(long, env = "FUND_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACES", value_parser = name)]
    pub watch_namespaces: Vec<String>,
    /// From Kubernetes: a folder that keeps what was known last, for a start while the API server is away.
    #[arg(long, env = "FUND_ROUTE_SNAPSHOT", value_name = "FOLDER")]
    pub route_snapshot: Option<PathBuf>,
    /// Networks or addresses whose X-Forwarded-*, Forwarded and X-Real-IP headers are believed.
    #[arg(long, env = "FUND_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Until a connection to an endpoint is made, where its route does not say.
    #[arg(long, env = "FUND_CONNECT_TIMEOUT", default_value_t = Span(Timeouts::default().connect), value_parser = positive)]
    pub connect_timeout: Span,
    /// Between two pieces of a request body, where the route does not say.
    #[arg(long, env = "FUND_REQUEST_BODY_TIMEOUT", default_value_t = Span(Timeouts::default().request_body), value_parser = positive)]
    pub request_body_timeout: Span,
    /// From the last piece of a request to the head of the response, where the route does not say.
    #[arg(long, env = "FUND_RESPONSE_HEADERS_TIMEOUT", default_value_t = Span(Timeouts::default().response_headers), value_parser = positive)]
    pub response_headers_timeout: Span,
    /// Between two pieces of a response, where the route does not say.
    #[arg(long, env = "FUND_IDLE_TIMEOUT", default_value_t = Span(Timeouts::default().idle), value_parser = positive)]
    pub idle_timeout: Span,
    /// The longest request body in bytes; the lines of application/x-ndjson that /api/sse/send takes are exempt.
    #[arg(long, env = "FUND_MAX_BODY_BYTES", default_value_t = DEFAULT_MAX_BODY_BYTES)]
    pub max_body_bytes: u64,
    /// How many requests that are no streams may be under way at once; more are answered 503.
    #[arg(long, env = "FUND_MAX_REQUESTS", default_value_t = DEFAULT_MAX_REQUESTS, value_parser = at_least_one())]
    pub max_requests: u32,
    /// How many event streams may be open at once; more are told to come back later.
    #[arg(long, env = "FUND_MAX_STREAMS", default_value_t = DEFAULT_MAX_STREAMS, value_parser = at_least_one())]
    pub max_streams: u32,
    /// An endpoint that fails this often in a row is left alone for a while, but for one probing request.
    #[arg(long, env = "FUND_BREAKER_FAILURES", default_value_t = BreakerSettings::default().consecutive_failures, value_parser = at_least_one())]
    pub breaker_failures: u32,
    /// How long it is left alone at first; twice as long each time the probing request fails.
    #[arg(long, env = "FUND_BREAKER_FIRST_PAUSE", default_value_t = Span(BreakerSettings::default().first_pause), value_parser = positive)]
    pub breaker_first_pause: Span,
    /// How long it is left alone at most.
    #[arg(long, env = "FUND_BREAKER_LONGEST_PAUSE", default_value_t = Span(BreakerSettings::default().longest_pause), value_parser = positive)]
    pub breaker_longest_pause: Span,
    /// How often each endpoint is asked whether it is ready.
    #[arg(long, env = "FUND_PROBE_INTERVAL", default_value = "1s", value_parser = positive)]
    pub probe_interval: Span,
    /// How long readiness waits for endpoints that have never answered; after it, the others count.
    #[arg(long, env = "FUND_FIRST_SYNC_WAIT", default_value = "30s")]
    pub first_sync_wait: Span,
    /// How long requests under way may take once shutdown begins; streams are cut at moments spread over it.
    #[arg(long, env = "FUND_DRAIN_GRACE", default_value = "10s")]
    pub drain_grace: Span,
    /// Whether each request is logged.
    #[arg(long, env = "FUND_ACCESS_LOG", default_value_t = true, action = clap::ArgAction::Set)]
    pub access_log: bool,
    /// Web pages that may call from a browser: `same` (this hop says nothing, and passes on what endpoints say), `any`,
    /// or origins like https://desk.example.com parted by commas.
    #[arg(long, env = "FUND_CORS_ORIGINS", value_name = "ORIGINS", default_value_t)]
    pub cors_origins: Origins,
}

/// The one route of a cluster proxy, from Kubernetes.
#[derive(Args, Clone, Debug, Default)]
pub struct One {
    /// From Kubernetes: the namespace of the FundCluster [default: all].
    #[arg(long, env = "FUND_NAMESPACE", value_parser = name)]
    pub namespace: Option<String>,
    /// From Kubernetes: the name of the FundCluster.
    #[arg(long, env = "FUND_ROUTE_NAME", value_parser = name)]
    pub route_name: Option<String>,
}

/// What `--routes` says where they are those of an API server.
#[cfg(feature = "kubernetes")]
const KUBERNETES: &str = "kubernetes";

impl Options {
    #[cfg(feature = "kubernetes")]
    fn routes(&self, role: Role, one: One) -> RouteSource {
        if self.routes.as_os_str() != KUBERNETES {
            return RouteSource::File(self.routes.clone());
        }
        let namespaces = match role {
            Role::Gateway => self.watch_namespaces.clone(),
            Role::ClusterProxy => one.namespace.into_iter().collect(),
        };
        let snapshot = self.route_snapshot.clone();
        RouteSource::Kubernetes(KubernetesRoutes { client: None, namespaces, name: one.route_name, snapshot })
    }

    #[cfg(not(feature = "kubernetes"))]
    fn routes(&self, _: Role, _: One) -> RouteSource {
        RouteSource::File(self.routes.clone())
    }

    /// The configuration that the flags ask for.
    pub fn into_config(self, role: Role, port: u16, one: One) -> Config {
        Config {
            role,
            listen: SocketAddr::new(self.host, port),
            admin: SocketAddr::new(self.host, admin_port(port, self.admin_port)),
            routes: self.routes(role, one),
            trusted_proxies: self.trusted_proxies,
            timeouts: Timeouts {
                connect: self.connect_timeout.0,
                request_body: self.request_body_timeout.0,
                response_headers: self.response_headers_timeout.0,
                idle: self.idle_timeout.0,
            },
            max_body_bytes: self.max_body_bytes,
            max_requests: self.max_requests,
            max_streams: self.max_streams,
            breaker: BreakerSettings {
                consecutive_failures: self.breaker_failures,
                first_pause: self.breaker_first_pause.0,
                longest_pause: self.breaker_longest_pause.0,
                ..BreakerSettings::default()
            },
            probe_interval: self.probe_interval.0,
            first_sync_wait: self.first_sync_wait.0,
            drain_grace: self.drain_grace.0,
            access_log: self.access_log,
            cors_origins: self.cors_origins,
        }
    }
}

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// A network in CIDR notation, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let one = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.trim().parse::<IpNet>().or_else(one).map_err(|_| {
        format!("{text:?} is neither a network nor an address; write 10.0.0.0/8, fd00::/8 or 127.0.0.1")
    })
}

/// A name as namespaces and FundClusters have it.
fn name(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_one = (1..=63).contains(&text.len())
        && text.bytes().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("must be small letters, digits and '-', at most 63 of them".to_owned())
    }
}

/// A length of time that is not nothing.
fn positive(text: &str) -> Result<Span, String> {
    let span = Span::parse(text).map_err(|error| error.to_string())?;
    if span.0.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_a_config() {
        let options = GatewayOptions::try_parse_from([
            "gateway",
            "--routes=/etc/routes.yaml",
            "--trusted-proxies=10.0.0.0/8,::1",
            "--idle-timeout=250ms",
        ])
        .unwrap();
        let config = options.common.into_config(Role::Gateway, options.port, One::default());
        assert_eq!(config.listen, "0.0.0.0:8000".parse().unwrap());
        assert_eq!(config.admin, "0.0.0.0:18000".parse().unwrap());
        assert_eq!(config.timeouts, Timeouts { idle: Duration::from_millis(250), ..Timeouts::default() });
        assert_eq!(
            config.trusted_proxies,
            ["10.0.0.0/8".parse().unwrap(), "::1/128".parse::<IpNet>().unwrap()]
        );
    }

    #[test]
    fn a_bad_flag_names_itself_and_the_fix() {
        let check = |flag: &str, expected: &str| {
            let error =
                GatewayOptions::try_parse_from(["gateway", "--routes=r", flag]).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(flag.split('=').next().unwrap()), "{error}");
        };
        check("--trusted-proxies=everybody", "10.0.0.0/8");
        check("--idle-timeout=soon", "250ms");
        check("--cors-origins=desk.example.com", "https://desk.example.com");
        check("--connect-timeout=0s", "longer than nothing");
    }
}
