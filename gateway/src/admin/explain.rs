//! `/explain`: what would be decided about a request, and why.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode},
    response::{IntoResponse, Response},
};
use fundbond_protocol::headers;
use fundbond_routing::spec::StrategyKind;
use serde::{Deserialize, Serialize};

use super::breaker_label;
use crate::{
    answer::known,
    decide::{self, Aim, Decision, FoundBy, Refusal, RequestHead, Route, Strategy},
    endpoint::Endpoint,
    gateway::Gateway,
    live::Live,
};

/// What a request would look like.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The value of the route header; absent: the request names no route.
    cluster: Option<String>,
    /// Absent: one that its route takes.
    path: Option<String>,
    #[serde(default = "get_method")]
    method: String,
    /// The value of `user-id`, and of the header that the route hashes by, if it is another.
    #[serde(rename = "userId")]
    user_id: Option<String>,
    /// The address of the client.
    ip: Option<String>,
    /// More headers, one a line, as `name: value`.
    #[serde(default)]
    headers: String,
}

fn get_method() -> String {
    "GET".to_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    /// `forward`, `noReadyEndpoint`, `endpointsFailing`, `rejected` or `refused`.
    decision: &'static str,
    generation: u64,
    route: Option<String>,
    /// The endpoint whose turn it is.
    endpoint: Option<String>,
    /// The path that the endpoint would see.
    endpoint_path: Option<String>,
    /// What of the request the strategy goes by, where it goes by something.
    key: Option<Key>,
    /// The group that the user belongs to.
    group: Option<String>,
    /// The endpoints that may take the request: by their weight for the key where there is one, else as the route lists
    /// them.
    candidates: Vec<Candidate>,
    /// One sentence a step.
    why: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    /// `client`, `header <name>` or `path`.
    from: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    endpoint: String,
    /// `ready`, `full`, `notReady`, or `open` or `probing` like its breaker.
    state: &'static str,
    /// Requests and streams.
    under_way: usize,
    /// How many it may have, with this one; absent where it may have any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<usize>,
}

/// A request as the question describes it.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    ip: Option<IpAddr>,
}

impl Asked<'_> {
    fn head(&self) -> RequestHead<'_> {
        RequestHead { method: &self.method, path: self.path, query: None, headers: &self.headers }
    }
}

pub(super) async fn explain(
    State(gateway): State<Arc<Gateway>>,
    Query(question): Query<Question>,
) -> Response {
    let live = gateway.live.load_full();
    match ask(&question, live.table.routes()) {
        Ok(asked) => Json(explanation(&live, &asked)).into_response(),
        Err(what) => (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response(),
    }
}

fn ask<'a>(question: &'a Question, routes: &'a [Arc<Route>]) -> Result<Asked<'a>, String> {
    let method = question.method.parse::<Method>().map_err(|_| "method is not an HTTP method")?;
    if question.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err("path must begin with /".to_owned());
    }
    let mut headers = HeaderMap::new();
    let route = if let Some(cluster) = &question.cluster {
        let value = header_value("cluster", cluster)?;
        let route = routes.iter().find(|r| *r.value == **cluster);
        // Whichever header the route that has this value matches on; the first where none has it.
        if let Some(route) = route.or(routes.first()) {
            headers.insert(route.header.clone(), value);
        }
        route
    } else {
        routes.iter().find(|r| r.default)
    };
    if let Some(user) = &question.user_id {
        let value = header_value("userId", user)?;
        if let Some(Strategy::ConsistentHash(hashing)) = route.map(|route| &route.strategy) {
            headers.insert(hashing.header.clone(), value.clone());
        }
        headers.insert(HeaderName::from_static(headers::USER_ID), value);
    }
    for line in question.headers.lines() {
        let (name, value) = line.split_once(':').ok_or("headers must be lines of `name: value`")?;
        let name: HeaderName =
            name.trim().parse().map_err(|_| format!("headers: {name:?} is not the name of a header"))?;
        // As in a request: what is there twice may be refused.
        headers.append(name, header_value("headers", value.trim())?);
    }
    let ip = question.ip.as_ref().map(|ip| ip.parse().map_err(|_| format!("ip {ip:?} is not an IP address")));
    let ip = ip.transpose()?;
    if let Some(route) = route.filter(|route| route.strategy.kind() == StrategyKind::ClientIp && ip.is_none())
    {
        return Err(format!("ip is needed: route {} goes by the address of the client", route.name));
    }
    let path = question.path.as_deref().or(route.map(|r| r.path_prefix.as_str())).unwrap_or("/");
    Ok(Asked { method, path, headers, ip })
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| format!("{name} cannot be a header value"))
}

fn explanation(live: &Live, asked: &Asked<'_>) -> Explanation {
    let mut told = Explanation {
        decision: "refused",
        generation: live.table.generation(),
        route: None,
        endpoint: None,
        endpoint_path: None,
        key: None,
        group: None,
        candidates: Vec::new(),
        why: Vec::new(),
    };
    let head = asked.head();
    let (index, by) = match live.table.find(&head) {
        Ok(found) => found,
        Err(refusal) => {
            told.why.push(why_refused(&refusal, live));
            return told;
        }
    };
    let Some(route) = live.table.routes().get(index) else { return told };
    told.route = Some(route.name.to_string());
    told.why.push(match by {
        FoundBy::Header => format!("header {} is {}: route {}", route.header, route.value, route.name),
        FoundBy::Query => format!("the query names {}: route {}", route.value, route.name),
        FoundBy::Default => format!("nothing names a route: {} is the default", route.name),
    });
    told.why.push(format!("{} lies below {}", head.path, route.path_prefix));
    // Only what goes by the client looks at it, and that was asked for.
    let client = asked.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let seen = RequestHead { path: decide::strip_segments(head.path, route.strip_prefix), ..head };
    told.key = key(&route.strategy, &seen, client);
    let Ok(aim) = live.table.aim(index, &head, || client) else {
        told.decision = "rejected";
        let user = told.key.as_ref().map_or("", |key| &key.value);
        told.why.push(format!("user {user} is in no group, and the route refuses such users"));
        return told;
    };
    told.why.extend(why_aimed(&route.strategy, aim, &seen, told.key.as_ref()));
    if let Aim::Group(group) = aim {
        told.group = route.strategy.groups().get(group).map(|group| group.name.to_string());
    }
    let endpoints = live.endpoints.get(index).map_or(&[][..], |endpoints| endpoints);
    told.candidates = candidates(live, &route.strategy, aim, endpoints);
    told.why.extend(told.candidates.iter().filter_map(why_passed));
    match live.rehearse(&head, client) {
        Decision::Forward { endpoint, .. } => {
            told.decision = "forward";
            let name = endpoints.get(endpoint).map_or("", |e| &e.target.name);
            told.why.push(why_chosen(&route.strategy, aim, name));
            told.endpoint = Some(name.to_owned());
            told.endpoint_path = Some(seen.path.to_owned());
        }
        _ if told.candidates.iter().any(|candidate| candidate.state != NOT_READY) => {
            told.decision = "endpointsFailing";
            told.why.push(format!("every endpoint of route {} that is ready kept failing", route.place(aim)));
        }
        _ => {
            told.decision = "noReadyEndpoint";
            told.why.push(format!("route {} has no endpoint that is ready", route.place(aim)));
        }
    }
    told
}

/// What of the request the strategy goes by.
fn key(strategy: &Strategy, head: &RequestHead<'_>, client: IpAddr) -> Option<Key> {
    let user = |value: &[u8], header: &HeaderName| Key {
        from: if head.headers.contains_key(header) { format!("header {header}") } else { "path".to_owned() },
        value: String::from_utf8_lossy(value).into_owned(),
    };
    match strategy {
        Strategy::RoundRobin | Strategy::LeastStreams => None,
        Strategy::ClientIp(_) => {
            Some(Key { from: "client".to_owned(), value: client.to_canonical().to_string() })
        }
        Strategy::ConsistentHash(hashing) => hashing.key(head).map(|value| user(value, &hashing.header)),
        Strategy::ShardGroups(_) => {
            decide::user(head).map(|value| user(value, &HeaderName::from_static(headers::USER_ID)))
        }
    }
}

/// What follows from the key, or from there being none.
fn why_aimed(strategy: &Strategy, aim: Aim, head: &RequestHead<'_>, key: Option<&Key>) -> Option<String> {
    let key = key.map(|key| format!("{} is {:?}", key.from, key.value));
    Some(match (strategy, aim) {
        (Strategy::RoundRobin | Strategy::LeastStreams, _) => return None,
        (Strategy::ConsistentHash(hashing), Aim::Any) if decide::is_write(head) || hashing.hashes_all() => {
            format!("the request has no header {}: it goes round", hashing.header)
        }
        (Strategy::ConsistentHash(_), Aim::Any) => {
            format!("{} is no write, and only writes are hashed: it goes round", head.method)
        }
        (Strategy::ShardGroups(_), Aim::Any) => match key {
            Some(key) => format!("{key}, who is in no group: any endpoint will do"),
            None => "the request names no user: it goes round".to_owned(),
        },
        (strategy, Aim::Group(group)) => {
            let group = strategy.groups().get(group).map_or("", |group| &group.name);
            format!("{}, who belongs to group {group}", key.unwrap_or_default())
        }
        (_, _) => {
            format!("{}: endpoints are asked in the order of their weight for it", key.unwrap_or_default())
        }
    })
}

const READY: &str = "ready";
const NOT_READY: &str = "notReady";
const FULL: &str = "full";

/// The endpoints that may take a request, in the order in which they are asked, and how they are.
fn candidates(live: &Live, strategy: &Strategy, aim: Aim, endpoints: &[Arc<Endpoint>]) -> Vec<Candidate> {
    let now = live.clock.now();
    let (order, bound) = match (strategy, aim) {
        (Strategy::ClientIp(rendezvous), Aim::Key(key)) => (rendezvous.ranking(key), None),
        (Strategy::ConsistentHash(hashing), Aim::Key(key)) => {
            (hashing.rendezvous.ranking(key), Some(hashing.load_bound))
        }
        _ => ((0..endpoints.len()).filter(|endpoint| strategy.allows(aim, *endpoint)).collect(), None),
    };
    let most = bound.map(|bound| {
        let usable = endpoints.iter().filter(|endpoint| endpoint.signals().is_usable(now));
        let loads: Vec<usize> = usable.map(|endpoint| endpoint.signals().load()).collect();
        bound.most(loads.iter().sum(), loads.len())
    });
    let candidate = |endpoint: &Arc<Endpoint>| {
        let under_way = endpoint.signals().load();
        let state = if !endpoint.is_ready() {
            NOT_READY
        } else if !endpoint.signals().is_usable(now) {
            breaker_label(endpoint.breaker_state())
        } else if most.is_some_and(|most| under_way >= most) {
            FULL
        } else {
            READY
        };
        Candidate { endpoint: endpoint.target.name.to_string(), state, under_way, most }
    };
    order.into_iter().filter_map(|endpoint| endpoints.get(endpoint)).map(candidate).collect()
}

/// Why an endpoint is passed over, if it is.
fn why_passed(candidate: &Candidate) -> Option<String> {
    let Candidate { endpoint, state, under_way, most } = candidate;
    match *state {
        READY => None,
        NOT_READY => Some(format!("{endpoint} is not ready")),
        FULL => Some(format!(
            "{endpoint} is full: {under_way} requests and streams are under way there, and with this one its share is {}",
            most.unwrap_or_default()
        )),
        state => Some(format!("{endpoint} kept failing: its breaker is {state}")),
    }
}

fn why_chosen(strategy: &Strategy, aim: Aim, name: &str) -> String {
    match (strategy, aim) {
        (Strategy::LeastStreams, _) => {
            format!("of two ready endpoints drawn at random, {name} has the fewest streams and requests")
        }
        (Strategy::ConsistentHash(_), Aim::Key(_)) => format!("{name} is the first of them with room"),
        (_, Aim::Key(_)) => format!("{name} is the first of them that is ready"),
        (_, Aim::Group(_)) => format!("of the ready endpoints of the group it is the turn of {name}"),
        (_, Aim::Any) => format!("of the ready endpoints it is the turn of {name}"),
    }
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
