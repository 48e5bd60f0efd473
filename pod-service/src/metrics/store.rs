//! What the store tells of its work, counted.

use std::time::Duration;

use fundbond_service_runtime::{
    metrics::Catalogue,
    prometheus_client::{
        encoding::EncodeLabelSet,
        metrics::{counter::Counter, family::Family, histogram::Histogram},
    },
};
use fundbond_store::{Observer, StepOutcome};

use super::{about, exponential_buckets};

/// Labels of steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    outcome: &'static str,
}

/// Label of the time of steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

/// Counts what one store does.
#[derive(Debug)]
pub struct StoreMetrics {
    steps: Family<StepLabels, Counter>,
    seconds: Family<StepLabel, Histogram, fn() -> Histogram>,
    connects: Counter,
    disconnects: Counter,
    resubscriptions: Counter,
    contentions: Counter,
}

/// 0.1 ms (a step on this machine) to 3.3 s (longer than any step may take) in factors of two.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 16))
}

impl StoreMetrics {
    /// Registers everything.
    pub fn new(catalogue: &mut Catalogue) -> Self {
        let metrics = Self {
            steps: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            connects: Counter::default(),
            disconnects: Counter::default(),
            resubscriptions: Counter::default(),
            contentions: Counter::default(),
        };
        catalogue.register(about::STORE_STEPS, metrics.steps.clone());
        catalogue.register(about::STORE_STEP_SECONDS, metrics.seconds.clone());
        catalogue.register(about::STORE_CONNECTS, metrics.connects.clone());
        catalogue.register(about::STORE_DISCONNECTS, metrics.disconnects.clone());
        catalogue.register(about::STORE_RESUBSCRIPTIONS, metrics.resubscriptions.clone());
        catalogue.register(about::LOCK_CONTENTIONS, metrics.contentions.clone());
        metrics
    }
}

impl Observer for StoreMetrics {
    fn step(&self, step: &'static str, outcome: StepOutcome, took: Duration) {
        self.steps.get_or_create(&StepLabels { step, outcome: outcome.label() }).inc();
        self.seconds.get_or_create(&StepLabel { step }).observe(took.as_secs_f64());
    }

    fn connected(&self) {
        self.connects.inc();
    }

    fn disconnected(&self) {
        self.disconnects.inc();
    }

    fn subscribed_again(&self) {
        self.resubscriptions.inc();
    }

    fn lock_contended(&self) {
        self.contentions.inc();
    }
}
