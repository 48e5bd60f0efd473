//! Admin pages: what is applied, and what would be decided.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use fundbond_routing::{
    BreakerState,
    spec::{LimitsSpec, RateLimitSpec, Span, StrategyKind},
};
use serde::{Deserialize, Serialize};

use crate::{
    answer::known,
    config::Timeouts,
    decide::{Decision, FoundBy, Refusal, RequestHead, Route},
    endpoint::{BREAKER_STATES, Endpoint},
    gateway::Gateway,
    live::Live,
};

/// `/routes` and `/explain`.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/routes", get(routes)).route("/explain", get(explain)).with_state(gateway)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TableView {
    generation: u64,
    reload_failures: u64,
    last_error: Option<String>,
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

impl From<&Endpoint> for EndpointView {
    fn from(endpoint: &Endpoint) -> Self {
        let readiness = endpoint.readiness();
        Self {
            name: endpoint.target.name.to_string(),
            address: endpoint.target.address.to_string(),
            admin_address: endpoint.target.admin.to_string(),
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
        strategy: route.strategy.as_str(),
        timeouts: timeouts.into(),
        rate_limit: route.rate_limit,
        limits: route.limits,
        endpoints: endpoints.iter().map(|endpoint| (&**endpoint).into()).collect(),
    }
}

async fn routes(State(gateway): State<Arc<Gateway>>) -> Json<TableView> {
    let live = gateway.live.load_full();
    let routes = live.table.routes().iter().zip(&live.timeouts).zip(&live.endpoints);
    Json(TableView {
        generation: live.table.generation(),
        reload_failures: gateway.reload_failures(),
        last_error: gateway.last_error(),
        routes: routes.map(|((route, timeouts), endpoints)| route_view(route, timeouts, endpoints)).collect(),
    })
}

/// What a request would look like.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The value of the route header; absent: the request names no route.
    cluster: Option<String>,
    /// Absent: one that its route takes.
    path: Option<String>,
    #[serde(default = "get_method")]
    method: String,
}

fn get_method() -> String {
    "GET".to_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    /// `forward`, `noReadyEndpoint`, `endpointsFailing` or `refused`.
    decision: &'static str,
    generation: u64,
    route: Option<String>,
    /// The endpoint whose turn it is.
    endpoint: Option<String>,
    /// The path that the endpoint would see.
    endpoint_path: Option<String>,
    /// One sentence a step.
    why: Vec<String>,
}

async fn explain(State(gateway): State<Arc<Gateway>>, Query(question): Query<Question>) -> Response {
    let bad = |what: &str| (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response();
    let Ok(method) = question.method.parse::<Method>() else {
        return bad("method is not an HTTP method");
    };
    if question.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return bad("path must begin with /");
    }
    let live = gateway.live.load_full();
    let routes = live.table.routes();
    let mut headers = HeaderMap::new();
    let route = if let Some(cluster) = &question.cluster {
        let Ok(value) = HeaderValue::from_str(cluster) else {
            return bad("cluster cannot be a header value");
        };
        let route = routes.iter().find(|r| *r.value == **cluster);
        // Whichever header the route that has this value matches on; the first where none has it.
        if let Some(route) = route.or(routes.first()) {
            headers.insert(route.header.clone(), value);
        }
        route
    } else {
        routes.iter().find(|r| r.default)
    };
    let path = question.path.as_deref().or(route.map(|r| r.path_prefix.as_str())).unwrap_or("/");
    let head = RequestHead { method: &method, path, query: None, headers: &headers };
    Json(explanation(&live, &head)).into_response()
}

fn explanation(live: &Live, head: &RequestHead<'_>) -> Explanation {
    let mut told = Explanation {
        decision: "refused",
        generation: live.table.generation(),
        route: None,
        endpoint: None,
        endpoint_path: None,
        why: Vec::new(),
    };
    let (route_index, by) = match live.table.find(head) {
        Ok(found) => found,
        Err(refusal) => {
            told.why.push(why_refused(&refusal, live));
            return told;
        }
    };
    let Some(route) = live.table.routes().get(route_index) else { return told };
    told.route = Some(route.name.to_string());
    told.why.push(match by {
        FoundBy::Header => format!("header {} is {}: route {}", route.header, route.value, route.name),
        FoundBy::Query => format!("the query names {}: route {}", route.value, route.name),
        FoundBy::Default => format!("nothing names a route: {} is the default", route.name),
    });
    told.why.push(format!("{} lies below {}", head.path, route.path_prefix));
    let endpoints = live.endpoints.get(route_index).map_or(&[][..], Vec::as_slice);
    for endpoint in endpoints {
        let name = &endpoint.target.name;
        if !endpoint.is_ready() {
            told.why.push(format!("{name} is not ready"));
        } else if endpoint.breaker_state() != BreakerState::Closed {
            let state = breaker_label(endpoint.breaker_state());
            told.why.push(format!("{name} kept failing: its breaker is {state}"));
        }
    }
    if let Decision::Forward { endpoint, .. } = live.rehearse(head) {
        told.decision = "forward";
        let name = endpoints.get(endpoint).map_or("", |e| &e.target.name);
        told.why.push(match route.strategy {
            StrategyKind::RoundRobin => format!("of the ready endpoints it is the turn of {name}"),
            StrategyKind::LeastStreams => {
                format!("of two ready endpoints drawn at random, {name} has the fewest streams and requests")
            }
        });
        told.endpoint = Some(name.to_owned());
        told.endpoint_path = Some(crate::decide::strip_segments(head.path, route.strip_prefix).to_owned());
    } else if endpoints.iter().any(|endpoint| endpoint.is_ready()) {
        told.decision = "endpointsFailing";
        told.why.push(format!("every endpoint of route {} that is ready kept failing", route.name));
    } else {
        told.decision = "noReadyEndpoint";
        told.why.push(format!("route {} has no endpoint that is ready", route.name));
    }
    told
}

fn why_refused(refusal: &Refusal, live: &Live) -> String {
    match refusal {
        Refusal::Ambiguous { place } => format!("{place} is given more than once"),
        Refusal::Unknown { place, given } => {
            format!("{place} is {given:?}, which no route has; {}", known(&live.table))
        }
        Refusal::Unnamed => {
            format!("nothing names a route and there is no default; {}", known(&live.table))
        }
        Refusal::Outside { route } => live.table.routes().get(*route).map_or_else(String::new, |route| {
            format!("route {} takes only {} and what lies below it", route.name, route.path_prefix)
        }),
    }
}
