//! What is counted. Labels are routes, methods and classes of status: all bounded, never an id.

use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwap;
use fundbond_service_runtime::{
    metrics::{About, Catalogue, Described, labelled, plain},
    prometheus_client::{
        collector::Collector,
        encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
        metrics::{
            counter::{ConstCounter, Counter},
            family::Family,
            gauge::{ConstGauge, Gauge},
            histogram::Histogram,
        },
    },
};

use crate::{endpoint::BREAKER_STATES, live::Live};

/// A route, or `none` where no route took the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabel {
    pub(crate) route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) route: Arc<str>,
    pub(crate) method: &'static str,
    pub(crate) class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BytesLabels {
    pub(crate) route: Arc<str>,
    pub(crate) direction: &'static str,
}

/// A rule for heads and framing, see [`crate::guard::Refusal`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RuleLabel {
    pub(crate) rule: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabels {
    pub(crate) route: Arc<str>,
    pub(crate) limit: &'static str,
}

/// The label of almost everything.
const ROUTE: (&str, &str) = ("route", "the name of a route, or `none` where no route took the request");

const REQUESTS: About = labelled(
    "fund_gateway_requests",
    "Requests that ended, by route, method and class of status",
    &[
        ROUTE,
        ("method", "GET, POST, PUT, DELETE, HEAD, OPTIONS, PATCH or OTHER"),
        ("class", "1xx to 5xx, or `none` where the client left before an answer"),
    ],
);
const SECONDS: About = labelled(
    "fund_gateway_request_duration_seconds",
    "Time to the whole answer, for streams to its head",
    &[ROUTE],
);
const BYTES: About = labelled(
    "fund_gateway_bytes",
    "Body bytes, in from and out to clients",
    &[ROUTE, ("direction", "in or out")],
);
const STREAMS: About = labelled("fund_gateway_streams_open", "Event streams open now", &[ROUTE]);
const SHED: About =
    labelled("fund_gateway_streams_shed", "Stream requests told to come back later, with 200", &[ROUTE]);
const RETRIES: About = labelled(
    "fund_gateway_connect_retries",
    "Requests tried again on another endpoint or connection",
    &[ROUTE],
);
const SPILLED: About = labelled(
    "fund_gateway_spilled",
    "Requests that went past the endpoint of their key because it had its share",
    &[ROUTE],
);
const REFUSED: About = labelled(
    "fund_gateway_requests_refused",
    "Requests whose head or framing was refused, by the rule they break",
    &[("rule", "the rule")],
);
const BUDGET_EXHAUSTED: About = labelled(
    "fund_gateway_retry_budget_exhausted",
    "Requests not tried again because too many of their route were",
    &[ROUTE],
);
const LIMITED: About = labelled(
    "fund_gateway_limited",
    "Requests and streams beyond a limit, by route and limit",
    &[ROUTE, ("limit", "rate, route-requests, route-streams, total-requests, total-streams or body")],
);
const CONNECTIONS: About = plain("fund_gateway_connections_open", "Client connections open now");
const RELOADS: About = plain("fund_gateway_route_reloads", "Route tables applied, the first included");
const RELOAD_FAILURES: About =
    plain("fund_gateway_route_reload_failures", "Route file edits refused; the table before stayed");

const GENERATION: About = plain("fund_gateway_route_generation", "Generation of the applied route table");
const ROUTES_REFUSED: About = plain(
    "fund_gateway_routes_refused",
    "GatewayRoutes that are not applied as they are asked for; one that was good before stays as it was",
);
const ENDPOINTS: About = labelled(
    "fund_gateway_endpoints",
    "Endpoints of a route by what their probes say",
    &[ROUTE, ("state", "ready or unready")],
);
const BREAKERS: About = labelled(
    "fund_gateway_breakers",
    "Endpoints of a route by the state of their breakers",
    &[ROUTE, ("state", "closed, open or probing")],
);
const BREAKER_CHANGES: About = labelled(
    "fund_gateway_breaker_changes",
    "Changes of endpoints' breakers, by the state they came to; endpoints without any are left out",
    &[ROUTE, ("endpoint", "the name of an endpoint in the route file"), ("state", "closed, open or probing")],
);

/// Everything a gateway counts, for its reference page.
pub fn described() -> Vec<Described> {
    let mut catalogue = Catalogue::default();
    Metrics::new(&mut catalogue);
    catalogue.described().iter().copied().chain(COLLECTED).collect()
}

/// What a [`TableCollector`] reads.
pub(crate) const COLLECTED: [Described; 5] = [
    Described { about: GENERATION, kind: "gauge" },
    Described { about: ROUTES_REFUSED, kind: "gauge" },
    Described { about: ENDPOINTS, kind: "gauge" },
    Described { about: BREAKERS, kind: "gauge" },
    Described { about: BREAKER_CHANGES, kind: "counter" },
];

type Seconds = Family<RouteLabel, Histogram, fn() -> Histogram>;

/// Every metric of one gateway.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) seconds: Seconds,
    pub(crate) bytes: Family<BytesLabels, Counter>,
    pub(crate) streams: Family<RouteLabel, Gauge>,
    pub(crate) shed: Family<RouteLabel, Counter>,
    pub(crate) retries: Family<RouteLabel, Counter>,
    pub(crate) spilled: Family<RouteLabel, Counter>,
    pub(crate) budget_exhausted: Family<RouteLabel, Counter>,
    pub(crate) limited: Family<LimitLabels, Counter>,
    pub(crate) refusals: Family<RuleLabel, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) reloads: Counter,
    pub(crate) reload_failures: Counter,
}

/// 1 ms (a hop on one machine) to about 33 s in factors of two: time to the whole answer, or to the head of
/// a stream.
fn seconds() -> Histogram {
    let mut bound = 0.000_5;
    Histogram::new(
        std::iter::repeat_with(move || {
            bound *= 2.0;
            bound
        })
        .take(16),
    )
}

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(catalogue: &mut Catalogue) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            bytes: Family::default(),
            streams: Family::default(),
            shed: Family::default(),
            retries: Family::default(),
            spilled: Family::default(),
            budget_exhausted: Family::default(),
            limited: Family::default(),
            refusals: Family::default(),
            connections: Gauge::<i64, std::sync::atomic::AtomicI64>::default(),
            reloads: Counter::<u64, AtomicU64>::default(),
            reload_failures: Counter::<u64, AtomicU64>::default(),
        };
        let m = &metrics;
        catalogue.register(REQUESTS, m.requests.clone());
        catalogue.register(SECONDS, m.seconds.clone());
        catalogue.register(BYTES, m.bytes.clone());
        catalogue.register(STREAMS, m.streams.clone());
        catalogue.register(SHED, m.shed.clone());
        catalogue.register(RETRIES, m.retries.clone());
        catalogue.register(SPILLED, m.spilled.clone());
        catalogue.register(REFUSED, m.refusals.clone());
        catalogue.register(BUDGET_EXHAUSTED, m.budget_exhausted.clone());
        catalogue.register(LIMITED, m.limited.clone());
        catalogue.register(CONNECTIONS, m.connections.clone());
        catalogue.register(RELOADS, m.reloads.clone());
        catalogue.register(RELOAD_FAILURES, m.reload_failures.clone());
        metrics
    }

    /// Drops every series of `route`, which no table has any more.
    pub(crate) fn forget(&self, route: &Arc<str>) {
        let label = RouteLabel { route: route.clone() };
        self.seconds.remove(&label);
        self.streams.remove(&label);
        self.retries.remove(&label);
        self.spilled.remove(&label);
        self.budget_exhausted.remove(&label);
        self.shed.remove(&label);
        for direction in DIRECTIONS {
            self.bytes.remove(&BytesLabels { route: route.clone(), direction });
        }
        for limit in LIMITS {
            self.limited.remove(&LimitLabels { route: route.clone(), limit });
        }
        for method in METHOD_LABELS {
            for class in CLASS_LABELS.into_iter().chain(std::iter::once(NO_CLASS)) {
                self.requests.remove(&RequestLabels { route: route.clone(), method, class });
            }
        }
    }
}

/// Every label that a method or a class of status can get.
const METHOD_LABELS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "OTHER"];
const CLASS_LABELS: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The directions of `fund_gateway_bytes`: from clients, and to them.
pub(crate) const DIRECTIONS: [&str; 2] = ["in", "out"];

/// The limits of `fund_gateway_limited`.
pub(crate) const LIMITS: [&str; 6] =
    ["rate", "route-requests", "route-streams", "total-requests", "total-streams", "body"];

/// The class of requests whose client left before an answer: nobody decided on one.
pub(crate) const NO_CLASS: &str = "none";

/// Reads the applied table at each scrape, so that removed routes leave no series behind.
#[derive(Debug)]
pub(crate) struct TableCollector(pub(crate) Arc<ArcSwap<Live>>);

impl Collector for TableCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let live = self.0.load();
        // A generation beyond 2^63 is legal and unheard of.
        let generation = ConstGauge::new(i64::try_from(live.table.generation()).unwrap_or(i64::MAX));
        let gauge_type = generation.metric_type();
        generation.encode(encoder.encode_descriptor(
            GENERATION.name,
            GENERATION.help,
            None,
            gauge_type,
        )?)?;
        let about = ROUTES_REFUSED;
        let refused = ConstGauge::new(i64::try_from(live.table.refused().len()).unwrap_or(i64::MAX));
        refused.encode(encoder.encode_descriptor(about.name, about.help, None, gauge_type)?)?;
        let mut family = encoder.encode_descriptor(ENDPOINTS.name, ENDPOINTS.help, None, gauge_type)?;
        for (route, endpoints) in live.table.routes().iter().zip(&live.endpoints) {
            let ready = endpoints.iter().filter(|e| e.is_ready()).count();
            for (state, count) in [("ready", ready), ("unready", endpoints.len() - ready)] {
                let labels = [("route", &*route.name), ("state", state)];
                let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
        encode_breakers(&live, &mut encoder)
    }
}

fn encode_breakers(live: &Live, encoder: &mut DescriptorEncoder) -> Result<(), std::fmt::Error> {
    let gauge_type = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor(BREAKERS.name, BREAKERS.help, None, gauge_type)?;
    for (route, endpoints) in live.table.routes().iter().zip(&live.endpoints) {
        for (state, name) in BREAKER_STATES {
            let count = endpoints.iter().filter(|e| e.breaker_state() == state).count();
            let labels = [("route", &*route.name), ("state", name)];
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
                .encode(family.encode_family(&labels)?)?;
        }
    }
    let counter_type = ConstCounter::new(0_u64).metric_type();
    let about = BREAKER_CHANGES;
    let mut family = encoder.encode_descriptor(about.name, about.help, None, counter_type)?;
    for (route, endpoints) in live.table.routes().iter().zip(&live.endpoints) {
        for endpoint in endpoints.iter() {
            for (state, name) in BREAKER_STATES {
                let changes = endpoint.breaker_changes(state);
                if changes > 0 {
                    let labels =
                        [("route", &*route.name), ("endpoint", &*endpoint.target.name), ("state", name)];
                    ConstCounter::new(changes).encode(family.encode_family(&labels)?)?;
                }
            }
        }
    }
    Ok(())
}
