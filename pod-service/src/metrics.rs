//! What a pod counts. Base units, and never an id as a label.

use std::sync::Arc;

use fundbond_protocol::Status;
use fundbond_service_runtime::prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Label of stream opens and of accepted tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// Of an open: start, resumed, reset, done, replaced, shed or failed. Of a task: new or repeated. Of a foreign event:
    /// logged, duplicate, after-final, not-held, dropped or failed.
    pub outcome: &'static str,
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

/// Labels of finished tasks.
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
    /// Open streams.
    pub streams: Gauge,
    /// Pages read by streams that were behind.
    pub stream_catch_ups: Counter,
    /// Live streams told that history is gone.
    pub stream_resets: Counter,
    /// Live events written.
    pub events_written: Family<EventLabels, Counter>,
    /// Foreign events that were this pod's to take, by what became of them.
    pub foreign_events: Family<OutcomeLabels, Counter>,
    /// Foreign messages that cannot become events.
    pub foreign_unusable: Family<ReasonLabels, Counter>,
    /// Times the bus had to drop messages.
    pub bus_gaps: Counter,
    /// Times the pod took a new id.
    pub renewals: Counter,
    /// Tasks accepted, new or repeated.
    pub tasks_accepted: Family<OutcomeLabels, Counter>,
    /// Tasks ended.
    pub tasks_ended: Family<TaskLabels, Counter>,
    /// Tasks running.
    pub tasks_running: Gauge,
    /// Tasks waiting for a runner.
    pub tasks_waiting: Gauge,
    /// From accepted to final event.
    pub task_seconds: Histogram,
    /// HTTP answers.
    pub http_requests: Family<HttpLabels, Counter>,
}

impl Metrics {
    /// Makes and registers them.
    pub fn new() -> (Self, Arc<Registry>) {
        let metrics = Self {
            stream_opens: Family::default(),
            stream_ends: Family::default(),
            streams: Gauge::default(),
            stream_catch_ups: Counter::default(),
            stream_resets: Counter::default(),
            events_written: Family::default(),
            foreign_events: Family::default(),
            foreign_unusable: Family::default(),
            bus_gaps: Counter::default(),
            renewals: Counter::default(),
            tasks_accepted: Family::default(),
            tasks_ended: Family::default(),
            tasks_running: Gauge::default(),
            tasks_waiting: Gauge::default(),
            // 10 ms to about 3 hours: a bond in a moment, a fund with a thousand shocks in a while.
            task_seconds: Histogram::new(exponential_buckets(0.01, 4.0, 11)),
            http_requests: Family::default(),
        };
        let mut registry = Registry::with_prefix("fund");
        let r = &mut registry;
        r.register("stream_opens", "Stream requests by outcome", metrics.stream_opens.clone());
        r.register("stream_ends", "Ended streams by reason", metrics.stream_ends.clone());
        r.register("streams_open", "Open streams", metrics.streams.clone());
        r.register(
            "stream_catch_ups",
            "Log pages read by streams that were behind",
            metrics.stream_catch_ups.clone(),
        );
        r.register("stream_resets", "Live streams told that history is gone", metrics.stream_resets.clone());
        r.register("events_written", "Live events written to streams", metrics.events_written.clone());
        r.register(
            "foreign_events",
            "Events of other publishers that were this pod's to take, by what became of them",
            metrics.foreign_events.clone(),
        );
        r.register(
            "foreign_unusable",
            "Messages of other publishers that cannot become events, by what is wrong",
            metrics.foreign_unusable.clone(),
        );
        r.register("bus_gaps", "Times messages from the store were missed", metrics.bus_gaps.clone());
        r.register(
            "pod_renewals",
            "Times the pod was declared dead and took a new id",
            metrics.renewals.clone(),
        );
        r.register("tasks_accepted", "Accepted tasks, new or repeated", metrics.tasks_accepted.clone());
        r.register("tasks_ended", "Ended tasks by kind and final status", metrics.tasks_ended.clone());
        r.register("tasks_running", "Tasks running now", metrics.tasks_running.clone());
        r.register("tasks_waiting", "Accepted tasks that wait for a runner", metrics.tasks_waiting.clone());
        r.register_with_unit(
            "task_duration",
            "From accepted to final event",
            Unit::Seconds,
            metrics.task_seconds.clone(),
        );
        r.register("http_requests", "Answered requests", metrics.http_requests.clone());
        (metrics, Arc::new(registry))
    }
}
