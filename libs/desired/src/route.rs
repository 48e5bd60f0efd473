//! What gateways and the proxy are told.

use std::time::Duration;

use fundbond_crds::{
    FundCluster, GatewayRoute, GatewayRouteSpec,
    gateway_route::{PodsRef, ServiceRef, Timeouts},
};
use fundbond_routing::spec::Span;

use crate::{
    POD_PORT, PROXY_PORT,
    meta::{Component, meta},
    names::Names,
    pods::Group,
};

/// The route of a FundCluster.
pub(crate) fn of(cluster: &FundCluster, names: &Names, groups: &[Group], generation: i64) -> GatewayRoute {
    let pods = groups.iter().map(|group| PodsRef {
        group: group.name.clone(),
        service: ServiceRef { name: names.pods(group.name.as_deref()), port: POD_PORT },
    });
    GatewayRoute {
        metadata: meta(cluster, names, names.cluster().to_owned(), Component::Cluster, None),
        spec: GatewayRouteSpec {
            generation,
            matching: cluster.spec.route.clone(),
            proxy: ServiceRef { name: names.proxy(), port: PROXY_PORT },
            pods: pods.collect(),
            routing: cluster.spec.routing.clone(),
            timeouts: Timeouts { idle: Some(silence(cluster)), ..Timeouts::default() },
        },
    }
}

/// What a gateway waits for where nobody says: three heartbeats as they usually are.
const USUAL_SILENCE: Duration = Duration::from_secs(30);

/// After how long without a byte an answer counts as dead: two heartbeats may be lost. Never less than usual, so that where
/// heartbeats come more often from now on, pods that have not heard of it are not cut off.
fn silence(cluster: &FundCluster) -> Span {
    Span(cluster.spec.pods.heartbeat.interval.0.saturating_mul(3).max(USUAL_SILENCE))
}
