//! Admin pages: what is applied, and what would be decided.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, Router, extract::State, routing::get};
use fundbond_protocol::api::APPLIED_ROUTES_PATH;
use fundbond_routing::{
    BreakerState,
    spec::{LimitsSpec, RateLimitSpec, Span},
};
use serde::Serialize;

use crate::{
    config::Timeouts,
    decide::Route,
    endpoint::{BREAKER_STATES, Endpoint},
    gateway::Gateway,
};

mod applied;
mod explain;
mod page;

/// `/`, `/routes`, `/routes/applied` and `/explain`.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/routes", get(routes))
        .route(APPLIED_ROUTES_PATH, get(applied::applied))
        .route("/explain", get(explain::explain))
        .with_state(gateway)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TableView {
    generation: u64,
    reload_failures: u64,
    last_error: Option<String>,
    /// Objects that are asked for and are not applied as they are: why, by `namespace/name`.
    refused: BTreeMap<String, String>,
    routes: Vec<RouteView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteView {
    name: String,
    header: String,
    value: String,
    path_prefix: String,
    strip_prefix: usize,
    default: bool,
    strategy: &'static str,
    timeouts: TimeoutsView,
    rate_limit: Option<RateLimitSpec>,
    limits: LimitsSpec,
    endpoints: Vec<EndpointView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeoutsView {
    connect: Span,
    request_body: Span,
    response_headers: Span,
    idle: Span,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointView {
    name: String,
    address: String,
    admin_address: String,
    /// Of the groups of the route, its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    ready: bool,
    has_answered: bool,
    failed_probes: u32,
    /// `closed`, `open` or `probing`.
    breaker: &'static str,
    /// Requests and streams.
    under_way: usize,
    idle_connections: usize,
}

impl From<&Timeouts> for TimeoutsView {
    fn from(timeouts: &Timeouts) -> Self {
        Self {
            connect: Span(timeouts.connect),
            request_body: Span(timeouts.request_body),
            response_headers: Span(timeouts.response_headers),
            idle: Span(timeouts.idle),
        }
    }
}

impl EndpointView {
    fn new(endpoint: &Endpoint, group: Option<String>) -> Self {
        let readiness = endpoint.readiness();
        Self {
            name: endpoint.target.name.to_string(),
            address: endpoint.target.address.to_string(),
            admin_address: endpoint.target.admin.to_string(),
            group,
            ready: readiness.is_ready(),
            has_answered: readiness.has_answered(),
            failed_probes: readiness.failures(),
            breaker: breaker_label(endpoint.breaker_state()),
            under_way: endpoint.signals().load(),
            idle_connections: endpoint.pool.len(),
        }
    }
}

fn breaker_label(state: BreakerState) -> &'static str {
    BREAKER_STATES.iter().find(|(known, _)| *known == state).map_or("", |(_, label)| label)
}

fn route_view(route: &Route, timeouts: &Timeouts, endpoints: &[Arc<Endpoint>]) -> RouteView {
    RouteView {
        name: route.name.to_string(),
        header: route.header.to_string(),
        value: route.value.to_string(),
        path_prefix: route.path_prefix.clone(),
        strip_prefix: route.strip_prefix,
        default: route.default,
        strategy: route.strategy.kind().as_str(),
        timeouts: timeouts.into(),
        rate_limit: route.rate_limit,
        limits: route.limits,
        endpoints: endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| {
                let group = route.strategy.group_of(index).map(|group| group.name.to_string());
                EndpointView::new(endpoint, group)
            })
            .collect(),
    }
}

async fn routes(State(gateway): State<Arc<Gateway>>) -> Json<TableView> {
    Json(view(&gateway))
}

fn view(gateway: &Gateway) -> TableView {
    let live = gateway.live.load_full();
    let routes = live.table.routes().iter().zip(&live.timeouts).zip(&live.endpoints);
    TableView {
        generation: live.table.generation(),
        reload_failures: gateway.reload_failures(),
        last_error: gateway.last_error(),
        refused: live.table.refused().clone(),
        routes: routes.map(|((route, timeouts), endpoints)| route_view(route, timeouts, endpoints)).collect(),
    }
}
