//! Where a request goes: a pure choice among what the route file says and the probes know.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use fundbond_protocol::headers;
use fundbond_routing::spec::{LimitsSpec, RateLimitSpec};
use http::{HeaderMap, HeaderName};

use crate::route_file::{Address, RouteTimeouts};

mod carried;
mod picker;
mod signals;

pub(crate) use carried::Carried;
pub use fundbond_routing::strategy::{Aim, Group, Groups, Hashing, Rejected, RequestHead, Strategy};
pub(crate) use fundbond_routing::strategy::{is_write, user};
pub use picker::{Choice, Picker};
pub use signals::{Endpoints, Signals};

/// The routes of one applied file, validated.
#[derive(Clone, Debug)]
pub struct RouteTable {
    generation: u64,
    /// Those that did not change are those of the table before.
    routes: Arc<[Arc<Route>]>,
    /// For each header that some route matches on, its values; in the order of the file.
    by_header: Arc<[(HeaderName, Values)]>,
    default: Option<usize>,
    /// What is asked for and not in it as it is asked for: why, by the object.
    refused: Arc<BTreeMap<String, String>>,
}

/// The route of each value of a header.
type Values = HashMap<Arc<str>, usize>;

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// For metrics, logs and admin pages.
    pub name: Arc<str>,
    /// What it was made of, where that is an object.
    pub origin: Option<Origin>,
    /// The header that names it.
    pub header: HeaderName,
    /// The value of that header: the cluster, as `x-routed-to` names it.
    pub value: Arc<str>,
    /// The path must be this or lie below it.
    pub path_prefix: String,
    /// Leading path segments that the endpoint does not see.
    pub strip_prefix: usize,
    /// Whether it takes requests that name no route.
    pub default: bool,
    /// What the file says about timeouts.
    pub timeouts: RouteTimeouts,
    /// How one of the endpoints is chosen.
    pub strategy: Strategy,
    /// How often one client may ask.
    pub rate_limit: Option<RateLimitSpec>,
    /// How much may be under way at once.
    pub limits: LimitsSpec,
    /// To where.
    pub endpoints: Vec<Target>,
}

/// The object that a route was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its namespace and its name: `funds/desk`.
    pub object: Arc<str>,
    /// How often what it asks for had changed.
    pub generation: i64,
}

impl Route {
    /// Whether the same requests are for it, under the same name.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn is_found_as(&self, other: &Self) -> bool {
        (&self.name, &self.header, &self.value, self.default)
            == (&other.name, &other.header, &other.value, other.default)
    }

    /// Which endpoints are meant, for people: those of the route, or of one of its groups.
    pub fn place(&self, aim: Aim) -> Cow<'_, str> {
        let group = match aim {
            Aim::Group(group) => self.strategy.groups().get(group),
            Aim::Any | Aim::Key(_) => None,
        };
        match group {
            Some(group) => format!("{} (group {})", self.name, group.name).into(),
            None => (&*self.name).into(),
        }
    }
}

/// One endpoint as the file names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// For logs and admin pages.
    pub name: Arc<str>,
    /// Where requests go.
    pub address: Address,
    /// Where `/readyz` is.
    pub admin: Address,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it to this endpoint of this route.
    Forward {
        /// Index of the route.
        route: usize,
        /// Index of the endpoint in it.
        endpoint: usize,
    },
    /// The route is known, but none of the endpoints that may take the request is ready and let through by its breaker.
    NoEndpoint {
        /// Index of the route.
        route: usize,
    },
    /// The route is known, and its users are in groups, but that of the request is in none.
    Rejected {
        /// Index of the route.
        route: usize,
    },
    /// No route takes it.
    Refused(Refusal),
}

/// Why no route takes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Several values where one names the route: two hops could read different ones.
    Ambiguous {
        /// The header or query parameter.
        place: String,
    },
    /// A value that no route has.
    Unknown {
        /// The header or query parameter.
        place: String,
        /// What it said.
        given: String,
    },
    /// Nothing names a route, and there is no default.
    Unnamed,
    /// The route is known, but does not take this path.
    Outside {
        /// Index of the route.
        route: usize,
    },
}

/// How a route was found, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By its header.
    Header,
    /// By the query parameter.
    Query,
    /// As the default.
    Default,
}

impl Default for RouteTable {
    /// Without routes.
    fn default() -> Self {
        Self::new(0, Vec::<Route>::new())
    }
}

impl RouteTable {
    /// A table of `routes`, which are valid: names, and header with value, are unique, and at most one is
    /// the default. See `route_file` for the check.
    pub(crate) fn new(generation: u64, routes: impl IntoIterator<Item = impl Into<Arc<Route>>>) -> Self {
        let routes: Arc<[Arc<Route>]> = routes.into_iter().map(Into::into).collect();
        let mut by_header: Vec<(HeaderName, Values)> = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let at = by_header.iter().position(|(h, _)| *h == route.header).unwrap_or_else(|| {
                by_header.push((route.header.clone(), HashMap::new()));
                by_header.len() - 1
            });
            by_header[at].1.insert(route.value.clone(), index);
        }
        if by_header.is_empty() {
            // Without routes every value is unknown, and says so.
            by_header.push((HeaderName::from_static(headers::X_CLUSTER_ROUTE), HashMap::new()));
        }
        let default = routes.iter().position(|r| r.default);
        Self { generation, routes, by_header: by_header.into(), default, refused: Arc::default() }
    }

    /// The same, without these: why, by the object.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn without(self, refused: BTreeMap<String, String>) -> Self {
        Self { refused: refused.into(), ..self }
    }

    /// The next table, with other routes in these places, which are [found as](Route::is_found_as) those before: thousands
    /// of others need no look.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn replacing(
        &self,
        generation: u64,
        others: impl IntoIterator<Item = (usize, Arc<Route>)>,
    ) -> Self {
        let mut routes = self.routes.to_vec();
        for (place, route) in others {
            debug_assert!(routes[place].is_found_as(&route), "{} is found otherwise", route.name);
            routes[place] = route;
        }
        Self { generation, routes: routes.into(), ..self.clone() }
    }

    /// What is asked for and is not in it as it is asked for: why, by the object.
    pub fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Whether whoever asks what is applied hears the same of both: they may differ in what is behind their routes, as they
    /// do when pods come and go.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        let same =
            |(one, other): (&Arc<Route>, &Arc<Route>)| Arc::ptr_eq(one, other) || one.origin == other.origin;
        self.refused == other.refused
            && self.routes.len() == other.routes.len()
            && self.routes.iter().zip(&*other.routes).all(same)
    }

    /// What the writer of the file called this version.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The routes.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The whole decision: route, then endpoint. `client` is who sent the request, wherever it came through.
    pub fn pick(
        &self,
        head: &RequestHead<'_>,
        client: IpAddr,
        endpoints: &Endpoints,
        picker: &mut Picker,
        now: Duration,
    ) -> Decision {
        let route = match self.find(head) {
            Ok((route, _)) => route,
            Err(refusal) => return Decision::Refused(refusal),
        };
        match self.aim(route, head, || client) {
            Err(Rejected) => Decision::Rejected { route },
            Ok(aim) => match self.choose(route, aim, endpoints, picker, now, &[]) {
                Some(Choice { endpoint, .. }) => Decision::Forward { route, endpoint },
                None => Decision::NoEndpoint { route },
            },
        }
    }

    /// Which endpoints of `route` may take a request, or in which order. It is asked once a request, whatever is ready;
    /// who the client is only where the strategy wants to know.
    ///
    /// # Errors
    /// The route takes no requests of this user.
    pub fn aim(
        &self,
        route: usize,
        head: &RequestHead<'_>,
        client: impl FnOnce() -> IpAddr,
    ) -> Result<Aim, Rejected> {
        // An index of another table has no route, and below no endpoint.
        let Some(route) = self.routes.get(route) else { return Ok(Aim::Any) };
        let path = strip_segments(head.path, route.strip_prefix);
        route.strategy.aim(&RequestHead { path, ..*head }, client)
    }

    /// An endpoint of `route` that is ready, whose breaker lets a request through, and that is not among
    /// `tried`.
    pub fn choose(
        &self,
        route: usize,
        aim: Aim,
        endpoints: &Endpoints,
        picker: &mut Picker,
        now: Duration,
        tried: &[usize],
    ) -> Option<Choice> {
        let signals = endpoints.of(route);
        let usable = |endpoint: usize| {
            !tried.contains(&endpoint) && signals.get(endpoint).is_some_and(|s| s.is_usable(now))
        };
        picker.pick(route, &self.routes.get(route)?.strategy, aim, signals, usable)
    }

    /// The route of a request: by header, else by query, else the default; then its path must fit.
    pub fn find(&self, head: &RequestHead<'_>) -> Result<(usize, FoundBy), Refusal> {
        let (route, by) = match self.by_header(head.headers)? {
            Some(route) => (route, FoundBy::Header),
            None => match self.by_query(head.query)? {
                Some(route) => (route, FoundBy::Query),
                None => (self.default.ok_or(Refusal::Unnamed)?, FoundBy::Default),
            },
        };
        if !lies_below(head.path, &self.routes[route].path_prefix) {
            return Err(Refusal::Outside { route });
        }
        Ok((route, by))
    }

    fn by_header(&self, given: &HeaderMap) -> Result<Option<usize>, Refusal> {
        for (header, values) in self.by_header.iter() {
            let mut all = given.get_all(header).iter();
            let Some(value) = all.next() else { continue };
            if all.next().is_some() {
                return Err(Refusal::Ambiguous { place: display(header) });
            }
            // A list in one header is no value either: it equals none.
            let found = value.to_str().ok().and_then(|v| values.get(v));
            return found.copied().map(Some).ok_or_else(|| Refusal::Unknown {
                place: display(header),
                given: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            });
        }
        Ok(None)
    }

    fn by_query(&self, query: Option<&str>) -> Result<Option<usize>, Refusal> {
        let Some(query) = query else { return Ok(None) };
        let place = || format!("query parameter {}", headers::QUERY_CLUSTER);
        let mut given = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == headers::QUERY_CLUSTER)
            .map(|(_, value)| value);
        let Some(value) = given.next() else { return Ok(None) };
        if given.next().is_some() {
            return Err(Refusal::Ambiguous { place: place() });
        }
        let found = self.by_header.iter().find_map(|(_, values)| values.get(&*value));
        found.copied().map(Some).ok_or_else(|| Refusal::Unknown { place: place(), given: value.into_owned() })
    }

    /// The headers that name a route, as people write them.
    pub fn headers(&self) -> Vec<String> {
        self.by_header.iter().map(|(header, _)| display(header)).collect()
    }

    /// Up to `limit` values that name a route, sorted, and how many more there are.
    pub fn known_values(&self, limit: usize) -> (Vec<&str>, usize) {
        let mut values: Vec<&str> = self.routes.iter().map(|r| &*r.value).collect();
        values.sort_unstable();
        let more = values.len().saturating_sub(limit);
        values.truncate(limit);
        (values, more)
    }
}

/// A header name as people write it: `x-cluster-route` becomes `X-Cluster-Route`.
fn display(header: &HeaderName) -> String {
    let mut upper = true;
    header
        .as_str()
        .chars()
        .map(|c| {
            let shown = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            shown
        })
        .collect()
}

/// Whether `path` is `prefix` or continues it with a new segment.
fn lies_below(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// `path` without its first `segments` segments; at least `/`.
pub fn strip_segments(path: &str, segments: usize) -> &str {
    let mut rest = path;
    for _ in 0..segments {
        match rest.get(1..).and_then(|after| after.find('/')) {
            Some(slash) => rest = &rest[slash + 1..],
            None => return "/",
        }
    }
    rest
}

#[cfg(test)]
mod strategy_tests;
#[cfg(test)]
mod tests;
