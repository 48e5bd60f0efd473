//! The route tables of both hops, as a route file would say them. Pure.

use fundbond_gateway::{
    decide::RouteTable,
    route_file::{self, RouteFileError},
};
use fundbond_protocol::{ClusterId, headers};
use fundbond_routing::spec::{
    EndpointSpec, LimitsSpec, MatchSpec, RouteFile, RouteSpec, StrategySpec, TimeoutsSpec,
};

use super::{Cluster, Node};

/// What is routed; everything else is not for a pod to see.
const PREFIX: &str = "/api";

/// The gateway's table: one route a cluster, to its proxy. No default: a request says where it wants to go.
pub(super) fn gateway_routes(clusters: &[Cluster]) -> Result<RouteTable, RouteFileError> {
    let routes = clusters.iter().map(|cluster| route(&cluster.id, std::slice::from_ref(&cluster.proxy)));
    route_file::validate(RouteFile { generation: 1, routes: routes.collect() })
}

/// A cluster proxy's table: one route, to every pod.
pub(super) fn cluster_routes(cluster: &ClusterId, pods: &[Node]) -> Result<RouteTable, RouteFileError> {
    route_file::validate(RouteFile { generation: 1, routes: vec![route(cluster, pods)] })
}

fn route(cluster: &ClusterId, endpoints: &[Node]) -> RouteSpec {
    RouteSpec {
        name: None,
        matching: MatchSpec {
            header: headers::X_CLUSTER_ROUTE_DISPLAY.to_owned(),
            value: cluster.to_string(),
            path_prefix: PREFIX.to_owned(),
            strip_prefix: 0,
            default: false,
        },
        strategy: StrategySpec::default(),
        timeouts: TimeoutsSpec::default(),
        rate_limit: None,
        limits: LimitsSpec::default(),
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

fn endpoint(node: &Node) -> EndpointSpec {
    EndpointSpec {
        // Names of hops are for people; the table wants one word.
        name: Some(node.name.split(' ').next().unwrap_or_default().to_owned()),
        address: node.address.to_string(),
        admin_address: Some(node.admin.to_string()),
        group: None,
    }
}
