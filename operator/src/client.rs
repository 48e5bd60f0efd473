//! The API server of this process's surroundings.

use std::{sync::Arc, time::Duration};

use fundbond_lease::{
    kubernetes::{Kubernetes, NoKubernetes},
    names::Namespace,
};
use fundbond_service_runtime::config::host_name;
use http::Request;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config as Access,
    client::{Body, ClientBuilder, ConfigExt as _},
};
use tower::{BoxError, ServiceExt, util::option_layer};

use crate::{
    config::Config,
    fence::{Fence, FencedConnector},
    gateways::{Gateways, HttpGateways, NoGateways},
    operator::Surroundings,
    proxies::HttpProxies,
};

/// A connection that takes longer is tried again.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection on which nothing came for so long is cut: longer than a watch is quiet, which the server ends after
/// 200 s.
const SILENCE: Duration = Duration::from_secs(230);

/// There is no API server, or no name to go by.
#[derive(Debug, thiserror::Error)]
pub enum NoSurroundings {
    /// No API server.
    #[error(transparent)]
    Kubernetes(#[from] NoKubernetes),
    /// No host name.
    #[error("this machine does not say its name: give --node-name (FUND_NODE_NAME)")]
    Nameless(#[source] std::io::Error),
    /// No randomness.
    #[error("the system gives no random bytes")]
    Random(#[source] std::io::Error),
}

impl Surroundings {
    /// Those of the environment: of the kubeconfig, or of the pod this runs in.
    ///
    /// # Errors
    /// See [`NoSurroundings`].
    pub async fn of_environment(config: &Config) -> Result<Self, NoSurroundings> {
        let access = Access::infer().await.map_err(|error| NoKubernetes::Nowhere(Box::new(error)))?;
        Self::of(config, access)
    }

    /// Those that `access` leads to.
    ///
    /// # Errors
    /// See [`NoSurroundings`].
    pub fn of(config: &Config, mut access: Access) -> Result<Self, NoSurroundings> {
        let kubernetes = Kubernetes::of(access.clone())?;
        let namespace: &Namespace = config.namespace.as_ref().unwrap_or(kubernetes.namespace());
        let lease = Arc::new(kubernetes.lease(namespace, &config.lease_name));
        // Each failure is seen, counted and waited for here; nothing below tries again by itself.
        access.default_retry = false;
        access.connect_timeout = Some(CONNECT);
        access.read_timeout = Some(SILENCE);
        let fence = Fence::default();
        let writer = writer(&access, &fence).map_err(|error| NoKubernetes::Client(Box::new(error)))?;
        let client = ClientBuilder::try_from(access)
            .map_err(|error| NoKubernetes::Client(Box::new(error)))?
            .with_layer(&fence)
            .build();
        let proxies = Arc::new(HttpProxies::new(config.proxy_address.clone()));
        let gateways: Arc<dyn Gateways> = match &config.gateway_service {
            Some(service) => Arc::new(HttpGateways::new(client.clone(), service)),
            None => Arc::new(NoGateways),
        };
        Ok(Self { client, writer, fence, lease, proxies, gateways, identity: identity(config)? })
    }
}

/// A client of which nothing leaves this process but by a leader. It is made as the other one is, but for what its connections
/// go through; what a call may take is limited where it is made.
fn writer(access: &Access, fence: &Fence) -> kube::Result<Client> {
    let mut connector = HttpConnector::new();
    // What comes after it makes TLS of it.
    connector.enforce_http(false);
    connector.set_connect_timeout(access.connect_timeout);
    // What is written goes at once, also where it is two records.
    connector.set_nodelay(true);
    let connector =
        access.rustls_https_connector_with_connector(FencedConnector::new(fence.clone(), connector))?;
    let connections = Pool::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let connections = ServiceExt::<Request<Body>>::map_err(connections, BoxError::from);
    Ok(ClientBuilder::new(connections, access.default_namespace.clone())
        .with_layer(&access.extra_headers_layer()?)
        .with_layer(&option_layer(access.auth_layer()?))
        .with_layer(&access.base_uri_layer())
        .with_layer(fence)
        .build())
}

/// A name that no two starts share: of two with one name each would take the other's lease for its own.
fn identity(config: &Config) -> Result<String, NoSurroundings> {
    let host = match &config.node_name {
        Some(name) => name.clone(),
        None => host_name().map_err(NoSurroundings::Nameless)?,
    };
    let mut nonce = [0; 4];
    getrandom::fill(&mut nonce).map_err(|error| NoSurroundings::Random(error.into()))?;
    Ok(format!("{host}_{:08x}", u32::from_be_bytes(nonce)))
}
