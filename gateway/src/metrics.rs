//! What is counted. Labels are routes, methods and classes of status: all bounded, never an id.

use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwap;
use fundbond_service_runtime::prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
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
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            bytes: Family::default(),
            streams: Family::default(),
            shed: Family::default(),
            retries: Family::default(),
            budget_exhausted: Family::default(),
            limited: Family::default(),
            refusals: Family::default(),
            connections: Gauge::<i64, std::sync::atomic::AtomicI64>::default(),
            reloads: Counter::<u64, AtomicU64>::default(),
            reload_failures: Counter::<u64, AtomicU64>::default(),
        };
        let m = &metrics;
        registry.register(
            "fund_gateway_requests",
            "Requests that ended, by route, method and class of status",
            m.requests.clone(),
        );
        registry.register(
            "fund_gateway_request_duration_seconds",
            "Time to the whole answer, for streams to its head",
            m.seconds.clone(),
        );
        registry.register("fund_gateway_bytes", "Body bytes, in from and out to clients", m.bytes.clone());
        registry.register("fund_gateway_streams_open", "Event streams open now", m.streams.clone());
        registry.register(
            "fund_gateway_streams_shed",
            "Stream requests told to come back later, with 200",
            m.shed.clone(),
        );
        registry.register(
            "fund_gateway_connect_retries",
            "Requests tried again on another endpoint or connection",
            m.retries.clone(),
        );
        registry.register(
            "fund_gateway_requests_refused",
            "Requests whose head or framing was refused, by the rule they break",
            m.refusals.clone(),
        );
        registry.register(
            "fund_gateway_retry_budget_exhausted",
            "Requests not tried again because too many of their route were",
            m.budget_exhausted.clone(),
        );
        registry.register(
            "fund_gateway_limited",
            "Requests and streams beyond a limit, by route and limit",
            m.limited.clone(),
        );
        registry.register(
            "fund_gateway_connections_open",
            "Client connections open now",
            m.connections.clone(),
        );
        registry.register(
            "fund_gateway_route_reloads",
            "Route tables applied, the first included",
            m.reloads.clone(),
        );
        registry.register(
            "fund_gateway_route_reload_failures",
            "Route file edits refused; the table before stayed",
            m.reload_failures.clone(),
        );
        metrics
    }

    /// Drops every series of `route`, which no table has any more.
    pub(crate) fn forget(&self, route: &Arc<str>) {
        let label = RouteLabel { route: route.clone() };
        self.seconds.remove(&label);
        self.streams.remove(&label);
        self.retries.remove(&label);
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
        let help = "Generation of the applied route table";
        generation.encode(encoder.encode_descriptor(
            "fund_gateway_route_generation",
            help,
            None,
            generation.metric_type(),
        )?)?;
        let gauge_type = generation.metric_type();
        let help = "Endpoints of a route by what their probes say";
        let mut family = encoder.encode_descriptor("fund_gateway_endpoints", help, None, gauge_type)?;
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
    let help = "Endpoints of a route by the state of their breakers";
    let gauge_type = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor("fund_gateway_breakers", help, None, gauge_type)?;
    for (route, endpoints) in live.table.routes().iter().zip(&live.endpoints) {
        for (state, name) in BREAKER_STATES {
            let count = endpoints.iter().filter(|e| e.breaker_state() == state).count();
            let labels = [("route", &*route.name), ("state", name)];
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
                .encode(family.encode_family(&labels)?)?;
        }
    }
    let help =
        "Changes of endpoints' breakers, by the state they came to; endpoints without any are left out";
    let counter_type = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor("fund_gateway_breaker_changes", help, None, counter_type)?;
    for (route, endpoints) in live.table.routes().iter().zip(&live.endpoints) {
        for endpoint in endpoints {
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
