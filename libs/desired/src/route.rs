//! What gateways and the proxy are told.

use fundbond_crds::{
    FundCluster, GatewayRoute, GatewayRouteSpec,
    gateway_route::{PodsRef, ServiceRef, Timeouts},
};

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
            timeouts: Timeouts::default(),
        },
        status: None,
    }
}
