//! A route file's text becomes a [`RouteTable`], or an error that names the field.

use std::{collections::HashSet, fmt, net::SocketAddr, sync::Arc, time::Duration};

use fundbond_protocol::{ClusterId, FieldProblem};
use fundbond_routing::{
    route_header,
    spec::{EndpointSpec, LimitsSpec, RateLimitSpec, RouteFile, RouteSpec, Span, TimeoutsSpec},
    strategy::{Problems, Strategy},
};
use fundbond_service_runtime::admin::PORT_OFFSET;

use crate::decide::{Route, RouteTable, Target};

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address, connected to without a lookup.
    Ip(SocketAddr),
    /// A host name, looked up at each new connection.
    Name(Arc<str>, u16),
}

impl Address {
    /// Parses `host:port`.
    ///
    /// # Errors
    /// A sentence that says what an address looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not an address; write host:port, 1.2.3.4:port or [::1]:port");
        if let Ok(ip) = text.parse::<SocketAddr>() {
            return if ip.port() == 0 { Err(bad()) } else { Ok(Self::Ip(ip)) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(bad)?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        // 253 bytes are the longest name DNS can carry. A name that ends in a number is a mistyped IPv4.
        let last_is_number = host.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if host.is_empty() || host.len() > 253 || !host.bytes().all(legal) || last_is_number {
            return Err(bad());
        }
        Ok(Self::Name(host.to_ascii_lowercase().into(), port))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }

    fn with_port(&self, port: u16) -> Self {
        match self {
            Self::Ip(address) => Self::Ip(SocketAddr::new(address.ip(), port)),
            Self::Name(host, _) => Self::Name(host.clone(), port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// What a route says about timeouts; the gateway's own where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// Until a connection to the endpoint is made.
    pub connect: Option<Duration>,
    /// Between two pieces of a request body.
    pub request_body: Option<Duration>,
    /// From the last piece of the request to the head of the response.
    pub response_headers: Option<Duration>,
    /// Between two pieces of the response.
    pub idle: Option<Duration>,
}

/// Why a text is no route table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteFileError {
    /// It is not YAML (JSON is YAML too), or not of the documented shape. The text names field and line.
    #[error("{0}")]
    Shape(String),
    /// The shape is right, the values are not.
    #[error("{}", list(.0))]
    Values(Vec<FieldProblem>),
}

fn list(problems: &[FieldProblem]) -> String {
    problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect::<Vec<_>>().join("; ")
}

/// Parses and validates the text of a route file, YAML or JSON.
///
/// # Errors
/// [`RouteFileError`], which names every bad field it can.
pub fn parse(text: &str) -> Result<RouteTable, RouteFileError> {
    let file: RouteFile =
        yaml_serde::from_str(text).map_err(|error| RouteFileError::Shape(error.to_string()))?;
    validate(file)
}

/// Validates a route file that came as values.
///
/// # Errors
/// [`RouteFileError::Values`] with every bad field.
pub fn validate(file: RouteFile) -> Result<RouteTable, RouteFileError> {
    let mut problems = Problems::default();
    let routes: Vec<Route> = file
        .routes
        .into_iter()
        .enumerate()
        .filter_map(|(index, spec)| route(spec, &mut problems, &format!("routes[{index}]")))
        .collect();
    if problems.0.is_empty() {
        together(&routes, &mut problems);
    }
    if problems.0.is_empty() {
        Ok(RouteTable::new(file.generation, routes))
    } else {
        Err(RouteFileError::Values(problems.0))
    }
}

/// Validates one route by itself. What it has in common with others is for the caller to see.
///
/// # Errors
/// [`RouteFileError::Values`] with every bad field.
#[cfg(feature = "kubernetes")]
pub(crate) fn one(spec: RouteSpec) -> Result<Route, RouteFileError> {
    let mut problems = Problems::default();
    let route = route(spec, &mut problems, "route");
    match route.filter(|_| problems.0.is_empty()) {
        Some(route) => Ok(route),
        None => Err(RouteFileError::Values(problems.0)),
    }
}

fn route(spec: RouteSpec, problems: &mut Problems, at: &str) -> Option<Route> {
    let RouteSpec { name, matching, strategy, timeouts, rate_limit, limits, endpoints } = spec;
    let header = problems.keep(|| format!("{at}.match.header"), route_header::parse(&matching.header));
    let value = problems.keep(|| format!("{at}.match.value"), ClusterId::parse(&matching.value));
    let name = name.unwrap_or_else(|| matching.value.clone());
    // The name becomes a metric label; the alphabet of ids keeps it readable there.
    let name = problems.keep(|| format!("{at}.name"), ClusterId::parse(&name));
    let path_prefix = problems.keep(|| format!("{at}.match.pathPrefix"), prefix(&matching.path_prefix));
    let timeouts = self::timeouts(timeouts, problems, at);
    check_limits(rate_limit, limits, problems, at);
    let groups: Vec<Option<String>> = endpoints.iter().map(|endpoint| endpoint.group.clone()).collect();
    let endpoints = self::endpoints(endpoints, problems, at);
    let names: Vec<&str> = endpoints.iter().map(|endpoint| &*endpoint.name).collect();
    let strategy = Strategy::build(strategy, &names, &groups, problems, at);
    Some(Route {
        name: name?.as_str().into(),
        origin: None,
        header: header?,
        value: value?.as_str().into(),
        path_prefix: path_prefix?,
        strip_prefix: usize::from(matching.strip_prefix),
        default: matching.default,
        timeouts,
        strategy: strategy?,
        rate_limit,
        limits,
        endpoints,
    })
}

/// A prefix as paths are compared with it: it begins with a slash and ends with none, but for `/` itself.
fn prefix(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("{text:?} does not begin with /"));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '*')) {
        return Err(format!("{text:?} has the character {bad:?}; write a plain path such as /api"));
    }
    Ok(match text.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    })
}

fn timeouts(spec: TimeoutsSpec, problems: &mut Problems, at: &str) -> RouteTimeouts {
    let mut read = |field: &str, span: Option<Span>| {
        if span.is_some_and(|s| s.0.is_zero()) {
            problems.add(format!("{at}.timeouts.{field}"), "must be longer than nothing");
        }
        span.map(|s| s.0)
    };
    RouteTimeouts {
        connect: read("connect", spec.connect),
        request_body: read("requestBody", spec.request_body),
        response_headers: read("responseHeaders", spec.response_headers),
        idle: read("idle", spec.idle),
    }
}

/// A limit of nothing is a route that answers nobody; whoever wants that takes the route away.
fn check_limits(rate: Option<RateLimitSpec>, limits: LimitsSpec, problems: &mut Problems, at: &str) {
    for (field, value) in [
        ("rateLimit.requestsPerSecond", rate.map(|r| r.requests_per_second)),
        ("rateLimit.burst", rate.map(|r| r.burst)),
        ("limits.concurrentRequests", limits.concurrent_requests),
        ("limits.concurrentStreams", limits.concurrent_streams),
    ] {
        if value == Some(0) {
            problems.add(format!("{at}.{field}"), "must be at least 1");
        }
    }
}

fn endpoints(specs: Vec<EndpointSpec>, problems: &mut Problems, at: &str) -> Vec<Target> {
    let mut addresses = HashSet::new();
    let mut targets = Vec::with_capacity(specs.len());
    for (index, spec) in specs.into_iter().enumerate() {
        let at = format!("{at}.endpoints[{index}]");
        let Some(target) = endpoint(spec, problems, &at) else { continue };
        if !addresses.insert(target.address.clone()) {
            problems.add(format!("{at}.address"), format!("{} is listed twice", target.address));
        }
        targets.push(target);
    }
    targets
}

fn endpoint(spec: EndpointSpec, problems: &mut Problems, at: &str) -> Option<Target> {
    let address = problems.keep(|| format!("{at}.address"), Address::parse(&spec.address))?;
    let admin = if let Some(text) = &spec.admin_address {
        problems.keep(|| format!("{at}.adminAddress"), Address::parse(text))?
    } else if let Some(port) = address.port().checked_add(PORT_OFFSET) {
        address.with_port(port)
    } else {
        let message = format!("is needed: {} + {PORT_OFFSET} is no port", address.port());
        problems.add(format!("{at}.adminAddress"), message);
        return None;
    };
    let name = spec.name.unwrap_or_else(|| address.to_string());
    Some(Target { name: name.into(), address, admin })
}

fn together(routes: &[Route], problems: &mut Problems) {
    let mut names = HashSet::new();
    let mut matches = HashSet::new();
    let mut default: Option<usize> = None;
    for (index, route) in routes.iter().enumerate() {
        if !matches.insert((&route.header, &route.value)) {
            let message = format!("{:?} is the value of two routes", route.value);
            problems.add(format!("routes[{index}].match.value"), message);
        } else if !names.insert(&route.name) {
            problems.add(format!("routes[{index}].name"), format!("{:?} names two routes", route.name));
        }
        match default {
            Some(first) if route.default => {
                let message = format!("routes[{first}] is the default already");
                problems.add(format!("routes[{index}].match.default"), message);
            }
            None if route.default => default = Some(index),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
