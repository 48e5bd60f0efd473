//! What a pod counts. Base units, and never an id as a label.

mod about;
mod store;
mod sweep;

use std::sync::Arc;

use fundbond_protocol::Status;
use fundbond_service_runtime::{
    metrics::{Catalogue, Described},
    prometheus_client::{
        collector::Collector,
        encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
        metrics::{
            counter::Counter,
            family::Family,
            gauge::{ConstGauge, Gauge},
            histogram::{Histogram, exponential_buckets},
        },
    },
};
use jiff::{SignedDuration, Timestamp};

pub use store::StoreMetrics;
pub use sweep::SweepMetrics;

use crate::stream::hub::Streams;

/// A lag beyond this is none: an event that was said again into a store that had forgotten it, or a clock that is off.
const LONGEST_LAG: SignedDuration = SignedDuration::from_hours(1);

/// Label of stream opens and of accepted tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// Of an open: start, resumed, reset, done, replaced, shed or failed. Of a task: new or repeated. Of a foreign event:
    /// logged, duplicate, after-final, not-held, dropped or failed. Of a sweep: done, waited, late or failed. Of an edit of the
    /// live settings: applied or refused.
    pub outcome: &'static str,
}

/// Label of events for users.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabels {
    /// See `Delivery::label`.
    pub delivery: &'static str,
}

/// Label of what cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// See `Unusable::reason`.
    pub reason: &'static str,
}

/// Label of stream ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabels {
    /// See `End::label`.
    pub reason: &'static str,
}

/// Label of written events.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// A status of ours, or OTHER: foreign statuses are without number.
    pub status: &'static str,
}

impl EventLabels {
    /// The label of `status`.
    pub fn of(status: &Status) -> Self {
        const KNOWN: [&str; 6] =
            ["PROCESSING", "SUBTASK_COMPLETED", "COMPLETED", "FAILED", "CANCELLED", "REPLACED"];
        let status = KNOWN.into_iter().find(|known| *known == status.as_str()).unwrap_or("OTHER");
        Self { status }
    }
}

/// Labels of ended tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TaskLabels {
    /// Kind of work.
    pub kind: &'static str,
    /// COMPLETED, FAILED or CANCELLED.
    pub status: &'static str,
}

/// Labels of HTTP answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    /// The route's pattern, or `none`.
    pub route: String,
    /// The method, or `OTHER`.
    pub method: &'static str,
    /// 2xx, 4xx ...
    pub class: &'static str,
}

/// All of it.
#[derive(Debug)]
pub struct Metrics {
    /// Streams opened, by what the client got.
    pub stream_opens: Family<OutcomeLabels, Counter>,
    /// Streams ended, by why.
    pub stream_ends: Family<EndLabels, Counter>,
    /// Pages read by streams that were behind.
    pub stream_catch_ups: Counter,
    /// Live streams told that history is gone.
    pub stream_resets: Counter,
    /// Live events written.
    pub events_written: Family<EventLabels, Counter>,
    /// How long live events took.
    event_lag: Histogram,
    /// Foreign events that were this pod's to take, by what became of them.
    pub foreign_events: Family<OutcomeLabels, Counter>,
    /// Foreign messages that cannot become events.
    pub foreign_unusable: Family<ReasonLabels, Counter>,
    /// Events for users that this pod took, by where they went.
    pub user_events: Family<DeliveryLabels, Counter>,
    /// Times the bus had to drop messages.
    pub bus_gaps: Counter,
    /// Times the pod took a new id.
    pub renewals: Counter,
    /// Tasks accepted, new or repeated.
    pub tasks_accepted: Family<OutcomeLabels, Counter>,
    /// Tasks running.
    pub tasks_running: Gauge,
    /// Tasks accepted here that nobody is known to run.
    pub tasks_waiting: Gauge,
    /// Runs that ended before their task.
    pub task_runs_left: Counter,
    /// From accepted to final event.
    pub task_seconds: Family<TaskLabels, Histogram, fn() -> Histogram>,
    /// HTTP answers.
    pub http_requests: Family<HttpLabels, Counter>,
    /// Edits of the live settings.
    pub live_settings: Family<OutcomeLabels, Counter>,
    /// What housekeeping does.
    pub sweep: Arc<SweepMetrics>,
    /// What the store does.
    pub store: Arc<StoreMetrics>,
}

/// 10 ms to about 3 hours: a bond in a moment, a fund with a thousand shocks in a while.
fn task_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 4.0, 11))
}

/// 0.5 ms (times are told to the millisecond) to 16 s in factors of two.
fn event_lag() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}

impl Metrics {
    /// Makes and registers them.
    pub fn new(catalogue: &mut Catalogue) -> Self {
        let metrics = Self {
            stream_opens: Family::default(),
            stream_ends: Family::default(),
            stream_catch_ups: Counter::default(),
            stream_resets: Counter::default(),
            events_written: Family::default(),
            event_lag: event_lag(),
            foreign_events: Family::default(),
            foreign_unusable: Family::default(),
            user_events: Family::default(),
            bus_gaps: Counter::default(),
            renewals: Counter::default(),
            tasks_accepted: Family::default(),
            tasks_running: Gauge::default(),
            tasks_waiting: Gauge::default(),
            task_runs_left: Counter::default(),
            task_seconds: Family::new_with_constructor(task_seconds),
            http_requests: Family::default(),
            live_settings: Family::default(),
            sweep: Arc::new(SweepMetrics::new(catalogue)),
            store: Arc::new(StoreMetrics::new(catalogue)),
        };
        catalogue.register(about::STREAM_OPENS, metrics.stream_opens.clone());
        catalogue.register(about::STREAM_ENDS, metrics.stream_ends.clone());
        catalogue.register(about::STREAM_CATCH_UPS, metrics.stream_catch_ups.clone());
        catalogue.register(about::STREAM_RESETS, metrics.stream_resets.clone());
        catalogue.register(about::EVENTS_WRITTEN, metrics.events_written.clone());
        catalogue.register(about::EVENT_LAG, metrics.event_lag.clone());
        catalogue.register(about::FOREIGN_EVENTS, metrics.foreign_events.clone());
        catalogue.register(about::FOREIGN_UNUSABLE, metrics.foreign_unusable.clone());
        catalogue.register(about::USER_EVENTS, metrics.user_events.clone());
        catalogue.register(about::BUS_GAPS, metrics.bus_gaps.clone());
        catalogue.register(about::RENEWALS, metrics.renewals.clone());
        catalogue.register(about::TASKS_ACCEPTED, metrics.tasks_accepted.clone());
        catalogue.register(about::TASKS_RUNNING, metrics.tasks_running.clone());
        catalogue.register(about::TASKS_WAITING, metrics.tasks_waiting.clone());
        catalogue.register(about::TASK_RUNS_LEFT, metrics.task_runs_left.clone());
        catalogue.register(about::TASK_SECONDS, metrics.task_seconds.clone());
        catalogue.register(about::HTTP_REQUESTS, metrics.http_requests.clone());
        catalogue.register(about::LIVE_SETTINGS, metrics.live_settings.clone());
        metrics
    }

    /// An event was written to its stream.
    pub fn written(&self, json: &str, now: Timestamp) {
        let Some(lag) = emitted_at(json).map(|at| now.duration_since(at)) else { return };
        if lag <= LONGEST_LAG {
            // Two machines' clocks may make it look as if it came before it was sent.
            self.event_lag.observe(lag.max(SignedDuration::ZERO).as_secs_f64());
        }
    }
}

/// The time in an event of a pod. Such an event ends with its time and its pod: looked at from its end, however large
/// its result, and much quicker than reading all of it.
fn emitted_at(json: &str) -> Option<Timestamp> {
    let (front, _) = json.rsplit_once(r#"","podId":""#)?;
    let (_, time) = front.rsplit_once(r#","timestamp":""#)?;
    time.parse().ok()
}

/// Reads the open streams at each scrape: what is not counted twice cannot drift.
#[derive(Debug)]
pub struct StreamsCollector(pub Arc<Streams>);

impl Collector for StreamsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let values = [self.0.len(), self.0.queue_bytes()];
        for (described, value) in about::COLLECTED.iter().zip(values) {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let about = described.about;
            gauge.encode(encoder.encode_descriptor(about.name, about.help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// The metrics of the pod that holds `streams`.
pub fn of(streams: &Arc<Streams>) -> (Metrics, Catalogue) {
    let mut catalogue = Catalogue::default();
    let metrics = Metrics::new(&mut catalogue);
    catalogue.collect(&about::COLLECTED, StreamsCollector(streams.clone()));
    (metrics, catalogue)
}

/// Everything a pod counts, for its reference page.
pub fn described() -> Vec<Described> {
    of(&Arc::default()).1.described().to_vec()
}

#[cfg(test)]
mod tests {
    use fundbond_protocol::{PodId, TaskEvent, TaskId};

    use super::*;

    #[test]
    fn an_event_of_a_pod_tells_its_time_from_its_end() {
        let task = TaskId::parse("t").unwrap();
        let now: Timestamp = "2026-06-15T12:00:00.123Z".parse().unwrap();
        let event = TaskEvent::of_task(&task, "1", Status::PROCESSING, now)
            .with_message(r#"","podId":"no,"timestamp":"1970-01-01T00:00:00Z"#)
            .with_progress(1, 2)
            .from_pod(&PodId::parse("pod-a-9090~abcdefgh").unwrap());
        assert_eq!(emitted_at(&event.to_json()), Some(now), "{}", event.to_json());
        let mut nobodys = event;
        nobodys.pod_id = None;
        assert_eq!(emitted_at(&nobodys.to_json()), None);
        assert_eq!(emitted_at(r#"{"timestamp":"soon","podId":"p"}"#), None);
    }

    #[test]
    fn an_old_event_and_a_clock_that_is_ahead_spoil_no_figures() {
        let metrics = Metrics::new(&mut Catalogue::default());
        let written = |at: &str| {
            let json = format!(r#"{{"eventId":"e","timestamp":"{at}","podId":"p"}}"#);
            metrics.written(&json, "2026-06-15T12:00:00Z".parse().unwrap());
        };
        for at in ["2026-06-15T11:59:59.75Z", "2026-06-15T12:00:07Z", "2026-06-15T09:00:00Z"] {
            written(at);
        }
        let mut text = String::new();
        let mut registry = fundbond_service_runtime::prometheus_client::registry::Registry::default();
        registry.register("lag", "", metrics.event_lag.clone());
        fundbond_service_runtime::prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("lag_sum 0.25\n") && text.contains("lag_count 2\n"), "{text}");
    }
}
