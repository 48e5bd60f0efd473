//! One request from its head to its end: an access log line and a few counters.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed},
};

use fundbond_protocol::TraceId;
use fundbond_service_runtime::{
    labels::{class_label, method_label},
    prometheus_client::metrics::gauge::Gauge,
};
use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::{
    body::UploadState,
    limits::{Place, RouteState},
    metrics::{BytesLabels, DIRECTIONS, LimitLabels, Metrics, NO_CLASS, RequestLabels, RouteLabel},
    trace::RequestId,
};

/// What records share.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) metrics: Metrics,
    /// Whether requests are logged.
    pub(crate) log: bool,
    /// Set once the drain cuts connections: their ends are ours, not the clients'.
    pub(crate) cutting: AtomicBool,
    /// The label of requests that no route took.
    no_route: Arc<str>,
}

impl Ledger {
    pub(crate) fn new(metrics: Metrics, log: bool) -> Self {
        Self { metrics, log, cutting: AtomicBool::new(false), no_route: "none".into() }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Whole.
    Complete,
    /// The gateway answered itself, for the reason that names the problem.
    Answered(&'static str),
    /// The endpoint went away in the middle.
    UpstreamBrokeOff,
    /// The endpoint sent nothing for too long.
    IdleTimeout,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Answered(slug) => slug,
            Self::UpstreamBrokeOff => "upstream-broke-off",
            Self::IdleTimeout => "idle-timeout",
        }
    }
}

/// One request; tells its end when dropped.
#[derive(Debug)]
pub(crate) struct Record {
    ledger: Arc<Ledger>,
    begun: Instant,
    pub(crate) request_id: RequestId,
    pub(crate) trace: TraceId,
    /// Who asks, by address.
    pub(crate) client: IpAddr,
    method: Method,
    /// A copy: what came with the head shares the memory that the whole head was read into, and a stream
    /// would keep all of it for as long as it lives.
    path: Box<str>,
    route: Option<Arc<str>>,
    state: Option<Arc<RouteState>>,
    /// Its place among those under way, where it got one.
    place: Option<Place>,
    endpoint: Option<Arc<str>>,
    status: Option<StatusCode>,
    /// The gauge of open streams, while this is one. The gauge itself, not its name: by the end of the
    /// stream its route may be gone from the metrics.
    stream: Option<Gauge>,
    upload: Option<Arc<UploadState>>,
    bytes: u64,
    /// None where nobody said: then the client left, or the drain cut it off.
    outcome: Option<Outcome>,
}

impl Record {
    pub(crate) fn begin(
        ledger: Arc<Ledger>,
        request_id: RequestId,
        trace: TraceId,
        client: IpAddr,
        method: Method,
        path: &str,
    ) -> Self {
        Self {
            ledger,
            begun: Instant::now(),
            request_id,
            trace,
            client,
            method,
            path: path.into(),
            route: None,
            state: None,
            place: None,
            endpoint: None,
            status: None,
            stream: None,
            upload: None,
            bytes: 0,
            outcome: None,
        }
    }

    pub(crate) fn route(&mut self, name: &Arc<str>, state: &Arc<RouteState>) {
        self.route = Some(name.clone());
        self.state = Some(state.clone());
    }

    /// It has a place among those under way, and keeps it until its end.
    pub(crate) fn place(&mut self, place: Place) {
        self.place = Some(place);
    }

    pub(crate) fn endpoint(&mut self, name: &Arc<str>) {
        self.endpoint = Some(name.clone());
    }

    pub(crate) fn upload(&mut self, upload: Option<Arc<UploadState>>) {
        self.upload = upload;
    }

    /// The request body, if there is one.
    pub(crate) fn upload_state(&self) -> Option<Arc<UploadState>> {
        self.upload.clone()
    }

    /// It is tried again, on another endpoint or connection.
    pub(crate) fn retried(&self) {
        if self.is_counted() {
            self.ledger.metrics.retries.get_or_create(&self.route_label()).inc();
        }
    }

    /// It goes past the endpoint of its key, which has its share.
    pub(crate) fn spilled(&self) {
        if self.is_counted() {
            self.ledger.metrics.spilled.get_or_create(&self.route_label()).inc();
        }
    }

    /// It could be tried again, but others were before it.
    pub(crate) fn budget_exhausted(&self) {
        if self.is_counted() {
            self.ledger.metrics.budget_exhausted.get_or_create(&self.route_label()).inc();
        }
    }

    /// It is a stream that is told to come back later.
    pub(crate) fn shed(&self) {
        if self.is_counted() {
            self.ledger.metrics.shed.get_or_create(&self.route_label()).inc();
        }
    }

    /// It is beyond `limit`.
    pub(crate) fn limited(&self, limit: &'static str) {
        if self.is_counted() {
            let labels = LimitLabels { route: self.route_label().route, limit };
            self.ledger.metrics.limited.get_or_create(&labels).inc();
        }
    }

    /// The head of the answer goes out.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The head of an event stream goes out: counted as open, and logged, until the end.
    pub(crate) fn opened(&mut self, status: StatusCode) {
        self.status = Some(status);
        if let Some(place) = &mut self.place {
            place.is_stream();
        }
        let open = if self.is_counted() {
            self.ledger.metrics.streams.get_or_create_owned(&self.route_label())
        } else {
            Gauge::default()
        };
        open.inc();
        self.stream = Some(open);
        self.observe_seconds();
        if self.ledger.log {
            tracing::info!(
                target: "fundbond_gateway::access",
                requestId = self.request_id.as_str(),
                traceId = %self.trace,
                client = %self.client,
                method = self.method.as_str(),
                path = &*self.path,
                route = self.route.as_deref(),
                endpoint = self.endpoint.as_deref(),
                status = status.as_u16(),
                seconds = self.begun.elapsed().as_secs_f64(),
                "stream opened"
            );
        }
    }

    /// A piece of the answer goes out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Says how it ended.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    fn route_label(&self) -> RouteLabel {
        RouteLabel { route: self.route.as_ref().unwrap_or(&self.ledger.no_route).clone() }
    }

    /// Whether metrics still have its route: what ends later must not bring the series back.
    fn is_counted(&self) -> bool {
        !self.state.as_ref().is_some_and(|state| state.is_retired())
    }

    fn observe_seconds(&self) {
        if !self.is_counted() {
            return;
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        self.ledger.metrics.seconds.get_or_create(&self.route_label()).observe(seconds);
    }

    fn count(&self, received: u64) {
        if !self.is_counted() {
            return;
        }
        let metrics = &self.ledger.metrics;
        let route = self.route_label().route;
        let class = self.status.map_or(NO_CLASS, class_label);
        let method = method_label(&self.method);
        metrics.requests.get_or_create(&RequestLabels { route: route.clone(), method, class }).inc();
        for (direction, bytes) in DIRECTIONS.into_iter().zip([received, self.bytes]) {
            if bytes > 0 {
                metrics.bytes.get_or_create(&BytesLabels { route: route.clone(), direction }).inc_by(bytes);
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let received = self.upload.as_ref().map_or(0, |upload| upload.bytes());
        self.count(received);
        match &self.stream {
            Some(open) => {
                open.dec();
            }
            None => self.observe_seconds(),
        }
        if !self.ledger.log {
            return;
        }
        let unsaid = if self.ledger.cutting.load(Relaxed) { "drained" } else { "client-left" };
        tracing::info!(
            target: "fundbond_gateway::access",
            requestId = self.request_id.as_str(),
            traceId = %self.trace,
            client = %self.client,
            method = self.method.as_str(),
            path = &*self.path,
            route = self.route.as_deref(),
            endpoint = self.endpoint.as_deref(),
            status = self.status.map(|status| status.as_u16()),
            bytesIn = received,
            bytesOut = self.bytes,
            seconds = self.begun.elapsed().as_secs_f64(),
            end = self.outcome.map_or(unsaid, Outcome::label),
            "{}",
            if self.stream.is_some() { "stream ended" } else { "request" }
        );
    }
}
