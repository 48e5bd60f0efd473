//! A GatewayRoute and what is behind it become a route of a hop. Pure.

use std::{collections::BTreeSet, net::SocketAddr};

use fundbond_crds::{GatewayRouteSpec, gateway_route, routing::Routing};
use fundbond_routing::spec::{
    EndpointSpec, LimitsSpec, MatchSpec, RouteSpec, StrategyKind, StrategySpec, TimeoutsSpec,
};

use super::slices::Slice;
use crate::{
    decide::Route,
    role::Role,
    route_file::{self, RouteFileError},
};

/// The route of a hop. `behind` answers the slices of a Service of the same namespace.
pub(super) fn compile<'a>(
    role: Role,
    spec: &GatewayRouteSpec,
    behind: &impl Fn(&str) -> Vec<&'a Slice>,
) -> Result<Route, RouteFileError> {
    let asked = &spec.matching;
    let (matching, strategy, endpoints) = match role {
        Role::Gateway => {
            let matching = MatchSpec {
                header: asked.header.clone(),
                value: asked.value.clone(),
                path_prefix: asked.path_prefix.clone(),
                strip_prefix: u8::try_from(asked.strip_prefix).unwrap_or(u8::MAX),
                default: asked.default,
            };
            // Proxies are all the same. The one with fewer streams: those of a proxy that went are spread over the others.
            let strategy = StrategySpec { kind: StrategyKind::LeastStreams, ..StrategySpec::default() };
            (matching, strategy, endpoints(&behind(&spec.proxy.name), None))
        }
        Role::ClusterProxy => {
            // What comes here, a gateway has matched and stripped; a request by the default names no cluster.
            let matching = MatchSpec {
                header: asked.header.clone(),
                value: asked.value.clone(),
                path_prefix: "/".to_owned(),
                strip_prefix: 0,
                default: true,
            };
            let pods = spec.pods.iter();
            let endpoints =
                pods.flat_map(|pods| endpoints(&behind(&pods.service.name), pods.group.as_deref()));
            (matching, strategy(&spec.routing)?, endpoints.collect())
        }
    };
    route_file::one(RouteSpec {
        name: None,
        matching,
        strategy,
        timeouts: timeouts(&spec.timeouts),
        rate_limit: None,
        limits: LimitsSpec::default(),
        endpoints,
    })
}

/// Each pod once: one with two addresses is in two slices.
fn endpoints(slices: &[&Slice], group: Option<&str>) -> Vec<EndpointSpec> {
    let mut names = BTreeSet::new();
    let all = slices.iter().flat_map(|slice| slice.ready.iter().map(move |ready| (*slice, ready)));
    let mut once: Vec<_> = all.filter(|(_, ready)| names.insert(ready.name.as_str())).collect();
    once.sort_by_key(|(_, ready)| *ready);
    once.into_iter()
        .map(|(slice, ready)| EndpointSpec {
            name: Some(ready.name.clone()),
            address: SocketAddr::new(ready.address, slice.port).to_string(),
            admin_address: slice.admin.map(|port| SocketAddr::new(ready.address, port).to_string()),
            group: group.map(str::to_owned),
        })
        .collect()
}

fn timeouts(spec: &gateway_route::Timeouts) -> TimeoutsSpec {
    TimeoutsSpec {
        connect: spec.connect,
        request_body: spec.request_body,
        response_headers: spec.response_headers,
        idle: spec.idle,
    }
}

fn strategy(routing: &Routing) -> Result<StrategySpec, RouteFileError> {
    let spec = routing.to_spec();
    spec.map_err(|error| RouteFileError::Shape(format!("routing.consistentHash.loadBound: {error}")))
}
