//! Store, pods, cluster proxies and gateway, wired as a cluster would wire them: over sockets.
//!
//! Started from the inside out, so that each hop knows the addresses it forwards to, and stopped in the
//! same order: while pods drain, the hops in front of them still carry what they have to say.

mod components;
mod routes;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use fundbond_gateway::{Config as ProxyConfig, Role, RouteSource, route_file::RouteFileError};
use fundbond_pod_service::{Config as PodConfig, PodService, Settings};
use fundbond_protocol::{ClusterId, IdError};
use fundbond_service_runtime::{admin::PORT_OFFSET, config::BindError};
use fundbond_store::{Store, StoreAddress};
use ipnet::IpNet;

use components::{Component, Layer};
use routes::{cluster_routes, gateway_routes};

pub use components::Failure;

/// Where clients go.
pub const GATEWAY_PORT: u16 = 8000;
/// The clusters: name, port of the proxy, ports of the pods.
pub const CLUSTERS: [(&str, u16, [u16; 2]); 2] =
    [("cluster1", 8081, [9090, 9091]), ("cluster2", 8082, [9092, 9093])];
/// The highest admin port, 19093, must stay a port.
pub const MAX_PORT_OFFSET: u16 = u16::MAX - 19_093;
/// By the time the hops drain, pods have ended every stream: what is left is the tail of an answer.
const PROXY_GRACE: Duration = Duration::from_secs(2);

/// A gateway starts a moment before the hops behind it are ready, and a probe within one machine costs next
/// to nothing: the second one finds them, and a person does not wait for it.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// Which ports are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The documented ones, each moved up by `offset`.
    Standard {
        /// How far.
        offset: u16,
    },
    /// Whatever is free: for tests, which run side by side.
    Any,
}

impl Ports {
    fn of(self, standard: u16) -> u16 {
        match self {
            Self::Standard { offset } => standard + offset,
            Self::Any => 0,
        }
    }

    fn admin_of(self, standard: u16) -> u16 {
        self.of(standard + PORT_OFFSET)
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct SystemConfig {
    /// Address to listen on.
    pub host: IpAddr,
    /// Which ports.
    pub ports: Ports,
    /// Where tasks and events are kept.
    pub store: StoreAddress,
    /// How each pod behaves.
    pub settings: Settings,
}

impl SystemConfig {
    /// On any free ports of 127.0.0.1.
    pub fn ephemeral() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            ports: Ports::Any,
            store: StoreAddress::Memory,
            settings: Settings::default(),
        }
    }

    fn address(&self, port: u16) -> SocketAddr {
        (self.host, port).into()
    }
}

/// Why the system cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A pod cannot be started.
    #[error("pod {address} cannot start")]
    Pod {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why not.
        source: fundbond_pod_service::RunError,
    },
    /// A hop cannot be started.
    #[error("{name} cannot start")]
    Proxy {
        /// Which.
        name: String,
        /// Why not.
        source: fundbond_gateway::RunError,
    },
    /// The routes that were made for a hop are not valid.
    #[error("the routes of {name} are not valid")]
    Routes {
        /// Of which hop.
        name: String,
        /// Why not.
        source: RouteFileError,
    },
    /// The store has no such address.
    #[error(transparent)]
    Store(fundbond_store::redis::AddressError),
    /// A cluster's name is no id.
    #[error("a cluster name {0}")]
    Cluster(IdError),
}

impl StartError {
    /// The address that could not be taken, where that is the reason.
    pub fn bind_error(&self) -> Option<&BindError> {
        match self {
            Self::Pod { source: fundbond_pod_service::RunError::Bind(error), .. }
            | Self::Proxy { source: fundbond_gateway::RunError::Bind(error), .. } => Some(error),
            _ => None,
        }
    }
}

/// Where one process of the system would listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// Where its probes and metrics are.
    pub admin: SocketAddr,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The value of the route header.
    pub id: ClusterId,
    /// What picks the pod.
    pub proxy: Node,
    /// What does the work.
    pub pods: Vec<Node>,
}

/// Names the system, not yet started.
#[derive(Debug)]
pub struct System;

/// A system that serves. Dropping it leaves its tasks running; call [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Running {
    gateway: Node,
    clusters: Vec<Cluster>,
    layers: [Layer; 3],
}

impl System {
    /// Binds and serves everything. The gateway is ready a moment later, once it has probed every pod.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: SystemConfig) -> Result<Running, StartError> {
        // One store for all, as ids are global to one store; what is kept by cluster is kept by its name. On a
        // Redis each pod opens it for itself, as processes do.
        let open = || config.store.open().map_err(StartError::Store);
        let shared = if config.store == StoreAddress::Memory { Some(open()?) } else { None };
        let mut bound_pods = Vec::new();
        let mut bound_proxies = Vec::new();
        let mut clusters = Vec::new();
        for (name, proxy_port, pod_ports) in CLUSTERS {
            let id = ClusterId::parse(name).map_err(StartError::Cluster)?;
            let mut pods = Vec::new();
            for port in pod_ports {
                let pod = bind_pod(&config, &id, port, shared.clone().map_or_else(&open, Ok)?).await?;
                pods.push(Node {
                    name: pod.display_id(),
                    address: reachable(pod.address()),
                    admin: reachable(pod.admin_address()),
                });
                bound_pods.push(pod);
            }
            let (proxy, node) = bind_proxy(&config, &id, proxy_port, &pods).await?;
            bound_proxies.push((node.name.clone(), proxy));
            clusters.push(Cluster { id, proxy: node, pods });
        }
        let (bound_gateway, gateway) = bind_gateway(&config, &clusters).await?;

        // Everything is bound: from here on nothing can fail, so nothing is left running half.
        let mut layers = [Layer::default(), Layer::default(), Layer::default()];
        for pod in bound_pods {
            layers[0].add(Component::pod(pod));
        }
        for (name, proxy) in bound_proxies {
            layers[1].add(Component::proxy(name, proxy));
        }
        layers[2].add(Component::proxy("gateway".to_owned(), bound_gateway));
        Ok(Running { gateway, clusters, layers: layers.map(Layer::spawn) })
    }
}

impl Running {
    /// Where clients go.
    pub fn gateway(&self) -> &Node {
        &self.gateway
    }

    /// The clusters behind it.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Completes when a part of the system ends without being asked to.
    pub async fn failed(&mut self) -> Failure {
        let [pods, proxies, gateway] = &mut self.layers;
        tokio::select! {
            failure = pods.failed() => failure,
            failure = proxies.failed() => failure,
            failure = gateway.failed() => failure,
        }
    }

    /// Drains and ends everything, inside out.
    ///
    /// # Errors
    /// The first part that did not end in order; all of them have ended.
    pub async fn shutdown(self) -> Result<(), Failure> {
        let mut first = Ok(());
        for layer in self.layers {
            first = first.and(layer.shutdown().await);
        }
        first
    }
}

async fn bind_pod(
    config: &SystemConfig,
    cluster: &ClusterId,
    port: u16,
    store: Arc<dyn Store>,
) -> Result<PodService, StartError> {
    let pod = PodConfig {
        host: config.host,
        port: config.ports.of(port),
        admin_port: Some(config.ports.admin_of(port)),
        node_name: None,
        cluster_id: cluster.clone(),
        live_settings: None,
        settings: config.settings.clone(),
    };
    let address = config.address(pod.port);
    let failed = |source| StartError::Pod { address, source };
    let mut pod = PodService::bind(pod, store).await.map_err(failed)?;
    // A person who names a Redis that is not there wants to be told, not to wait for it.
    pod.introduce().await.map_err(failed)?;
    Ok(pod)
}

async fn bind_proxy(
    config: &SystemConfig,
    cluster: &ClusterId,
    port: u16,
    pods: &[Node],
) -> Result<(fundbond_gateway::Bound, Node), StartError> {
    let name = format!("cluster-proxy of {cluster}");
    let routes =
        cluster_routes(cluster, pods).map_err(|source| StartError::Routes { name: name.clone(), source })?;
    let mut proxy = ProxyConfig::new(Role::ClusterProxy, RouteSource::Static(routes));
    // The hop in front is on this machine and says who the client is.
    proxy.trusted_proxies = vec![IpNet::from(reachable(config.address(0)).ip())];
    bind_hop(config, name, port, proxy).await
}

async fn bind_gateway(
    config: &SystemConfig,
    clusters: &[Cluster],
) -> Result<(fundbond_gateway::Bound, Node), StartError> {
    let name = "gateway".to_owned();
    let routes =
        gateway_routes(clusters).map_err(|source| StartError::Routes { name: name.clone(), source })?;
    let mut gateway = ProxyConfig::new(Role::Gateway, RouteSource::Static(routes));
    // The hop that browsers speak to has the last word; pods say the same to whoever comes to them.
    gateway.cors_origins = config.settings.cors_origins.clone();
    bind_hop(config, name, GATEWAY_PORT, gateway).await
}

async fn bind_hop(
    config: &SystemConfig,
    name: String,
    port: u16,
    mut hop: ProxyConfig,
) -> Result<(fundbond_gateway::Bound, Node), StartError> {
    hop.listen = config.address(config.ports.of(port));
    hop.admin = config.address(config.ports.admin_of(port));
    hop.drain_grace = PROXY_GRACE;
    hop.probe_interval = PROBE_INTERVAL;
    match fundbond_gateway::bind(hop).await {
        Ok(bound) => {
            let (address, admin) = (reachable(bound.service_addr()), reachable(bound.admin_addr()));
            Ok((bound, Node { name, address, admin }))
        }
        Err(source) => Err(StartError::Proxy { name, source }),
    }
}

/// Where a listener is reached from this machine: 0.0.0.0 is no address to connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_every_port_and_none_beyond_the_last() {
        let ports = Ports::Standard { offset: MAX_PORT_OFFSET };
        let highest = CLUSTERS.iter().flat_map(|(_, _, pods)| pods).max().unwrap();
        assert_eq!(ports.admin_of(*highest), u16::MAX);
        assert_eq!(Ports::Standard { offset: 100 }.of(GATEWAY_PORT), 8100);
        assert_eq!(Ports::Any.admin_of(GATEWAY_PORT), 0);
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        let check = |listen: &str, want: &str| {
            assert_eq!(reachable(listen.parse().unwrap()), want.parse().unwrap(), "{listen}");
        };
        check("0.0.0.0:8000", "127.0.0.1:8000");
        check("[::]:8000", "[::1]:8000");
        check("10.1.2.3:8000", "10.1.2.3:8000");
    }
}
