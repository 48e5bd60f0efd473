//! Where a request goes: a pure choice among what the route file says and the probes know.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use fundbond_protocol::headers;
use fundbond_routing::{
    LeastStreams, RoundRobin,
    spec::{LimitsSpec, RateLimitSpec, StrategyKind},
};
use http::{HeaderMap, HeaderName, Method};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::route_file::{Address, RouteTimeouts};

/// The routes of one applied file, validated.
#[derive(Clone, Debug)]
pub struct RouteTable {
    generation: u64,
    routes: Vec<Route>,
    /// For each header that some route matches on, its values; in the order of the file.
    by_header: Vec<(HeaderName, HashMap<String, usize>)>,
    default: Option<usize>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// For metrics, logs and admin pages.
    pub name: Arc<str>,
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
    pub strategy: StrategyKind,
    /// How often one client may ask.
    pub rate_limit: Option<RateLimitSpec>,
    /// How much may be under way at once.
    pub limits: LimitsSpec,
    /// To where.
    pub endpoints: Vec<Target>,
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

/// What of a request decides.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// What changes about one endpoint between two requests: probes and requests write it, decisions read it.
///
/// These are numbers that guard no other data, so no order among them is needed: a decision that is one
/// change late is a legal one.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    ready: AtomicBool,
    under_way: AtomicUsize,
    /// Nanoseconds on the clock of decisions.
    admits_from: AtomicU64,
}

/// No request is let through until something happens.
const NOT_YET: u64 = u64::MAX;

impl Signals {
    /// Whether its probes say that it takes requests.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Relaxed)
    }

    /// Sets that; returns what it was.
    pub fn set_ready(&self, ready: bool) -> bool {
        self.0.ready.swap(ready, Relaxed)
    }

    /// How many requests and streams are under way there.
    pub fn load(&self) -> usize {
        self.0.under_way.load(Relaxed)
    }

    /// One more is.
    pub fn begin(&self) {
        self.0.under_way.fetch_add(1, Relaxed);
    }

    /// One less is.
    pub fn end(&self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }

    /// From when on its breaker lets the next request through; none while a probe decides about that.
    pub fn admits_from(&self) -> Option<Duration> {
        Some(self.0.admits_from.load(Relaxed)).filter(|from| *from != NOT_YET).map(Duration::from_nanos)
    }

    /// Sets that.
    pub fn set_admits_from(&self, from: Option<Duration>) {
        // 2^64 ns are 584 years.
        let nanos = from.map_or(NOT_YET, |from| u64::try_from(from.as_nanos()).unwrap_or(NOT_YET));
        self.0.admits_from.store(nanos, Relaxed);
    }

    fn is_usable(&self, now: Duration) -> bool {
        self.is_ready() && self.admits_from().is_some_and(|from| from <= now)
    }
}

/// The signals of every endpoint of a table: `[route][endpoint]`.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(pub Vec<Vec<Signals>>);

impl Endpoints {
    fn of(&self, route: usize) -> &[Signals] {
        self.0.get(route).map_or(&[], Vec::as_slice)
    }

    /// Until when every endpoint of `route` that is ready is left alone by its breaker, if there is one:
    /// none where none is ready.
    pub fn admit_from(&self, route: usize) -> Option<Duration> {
        // While a probe is under way, nobody knows: its end is the earliest, and may come at once.
        self.of(route).iter().filter(|s| s.is_ready()).map(|s| s.admits_from().unwrap_or_default()).min()
    }
}

/// What the strategy of one route remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    RoundRobin(RoundRobin),
    LeastStreams,
}

impl Turn {
    fn new(strategy: StrategyKind) -> Self {
        match strategy {
            StrategyKind::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            StrategyKind::LeastStreams => Self::LeastStreams,
        }
    }

    fn pick(
        &mut self,
        endpoints: &[Signals],
        usable: impl Fn(usize) -> bool,
        random: &mut SmallRng,
    ) -> Option<usize> {
        match self {
            Self::RoundRobin(turn) => turn.pick(endpoints.len(), usable),
            Self::LeastStreams => LeastStreams.pick(
                endpoints.len(),
                usable,
                |endpoint| endpoints.get(endpoint).map_or(usize::MAX, Signals::load),
                |below| random.random_range(0..below),
            ),
        }
    }
}

/// Whose turn it is, for every route of a table, and the randomness of the strategies that draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    turns: Vec<Turn>,
    random: SmallRng,
}

impl Picker {
    /// The picker of `table`; routes that `previous` knows by name keep their turn, so that frequent
    /// edits do not send everything to the first endpoint. The same `seed` draws the same.
    pub fn new(table: &RouteTable, previous: Option<(&RouteTable, &Picker)>, seed: u64) -> Self {
        let known: HashMap<&str, (&Route, &Turn)> = previous
            .map(|(old, picker)| {
                old.routes.iter().zip(&picker.turns).map(|(r, t)| (&*r.name, (r, t))).collect()
            })
            .unwrap_or_default();
        let turn = |route: &Route| match known.get(&*route.name) {
            Some((old, turn)) if old.strategy == route.strategy => (*turn).clone(),
            _ => Turn::new(route.strategy),
        };
        Self { turns: table.routes.iter().map(turn).collect(), random: SmallRng::seed_from_u64(seed) }
    }
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
    /// The route is known, but none of its endpoints is ready and let through by its breaker.
    NoEndpoint {
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

impl RouteTable {
    /// A table of `routes`, which are valid: names, and header with value, are unique, and at most one is
    /// the default. See `route_file` for the check.
    pub(crate) fn new(generation: u64, routes: Vec<Route>) -> Self {
        let mut by_header: Vec<(HeaderName, HashMap<String, usize>)> = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let at = by_header.iter().position(|(h, _)| *h == route.header).unwrap_or_else(|| {
                by_header.push((route.header.clone(), HashMap::new()));
                by_header.len() - 1
            });
            by_header[at].1.insert(route.value.to_string(), index);
        }
        if by_header.is_empty() {
            // Without routes every value is unknown, and says so.
            by_header.push((HeaderName::from_static(headers::X_CLUSTER_ROUTE), HashMap::new()));
        }
        let default = routes.iter().position(|r| r.default);
        Self { generation, routes, by_header, default }
    }

    /// What the writer of the file called this version.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The whole decision: route, then endpoint.
    pub fn pick(
        &self,
        head: &RequestHead<'_>,
        endpoints: &Endpoints,
        picker: &mut Picker,
        now: Duration,
    ) -> Decision {
        match self.find(head) {
            Ok((route, _)) => match self.choose(route, endpoints, picker, now, &[]) {
                Some(endpoint) => Decision::Forward { route, endpoint },
                None => Decision::NoEndpoint { route },
            },
            Err(refusal) => Decision::Refused(refusal),
        }
    }

    /// An endpoint of `route` that is ready, whose breaker lets a request through, and that is not among
    /// `tried`.
    pub fn choose(
        &self,
        route: usize,
        endpoints: &Endpoints,
        picker: &mut Picker,
        now: Duration,
        tried: &[usize],
    ) -> Option<usize> {
        let Picker { turns, random } = picker;
        let signals = endpoints.of(route);
        let usable = |endpoint: usize| {
            !tried.contains(&endpoint) && signals.get(endpoint).is_some_and(|s| s.is_usable(now))
        };
        turns.get_mut(route)?.pick(signals, usable, random)
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
        for (header, values) in &self.by_header {
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
mod tests;
