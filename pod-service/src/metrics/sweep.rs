//! What housekeeping counts.

use fundbond_service_runtime::{
    metrics::Catalogue,
    prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

use super::{OutcomeLabels, about, exponential_buckets};

/// Counts what one housekeeper does.
#[derive(Debug)]
pub struct SweepMetrics {
    /// 1 while this pod leads.
    pub leads: Gauge,
    /// 1 while sweeps wait.
    pub breaker_open: Gauge,
    sweeps: Family<OutcomeLabels, Counter>,
    /// How long sweeps take.
    pub seconds: Histogram,
    /// Pods declared dead.
    pub buried: Counter,
    /// Pods of which nothing is left.
    pub forgotten: Counter,
    /// Tasks of dead pods given to others.
    pub handed_over: Counter,
    /// Registrations of dead pods deleted.
    pub deleted: Counter,
    /// Registrations of nobody deleted.
    pub strays: Counter,
}

impl SweepMetrics {
    /// Registers everything.
    pub fn new(catalogue: &mut Catalogue) -> Self {
        let metrics = Self {
            leads: Gauge::default(),
            breaker_open: Gauge::default(),
            sweeps: Family::default(),
            // 1 ms (a look at the nodes) to 16 s (thousands of streams) in factors of two.
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            buried: Counter::default(),
            forgotten: Counter::default(),
            handed_over: Counter::default(),
            deleted: Counter::default(),
            strays: Counter::default(),
        };
        catalogue.register(about::SWEEP_LEADS, metrics.leads.clone());
        catalogue.register(about::SWEEP_BREAKER, metrics.breaker_open.clone());
        catalogue.register(about::SWEEPS, metrics.sweeps.clone());
        catalogue.register(about::SWEEP_SECONDS, metrics.seconds.clone());
        catalogue.register(about::SWEEP_BURIED, metrics.buried.clone());
        catalogue.register(about::SWEEP_FORGOTTEN, metrics.forgotten.clone());
        catalogue.register(about::SWEEP_TASKS, metrics.handed_over.clone());
        catalogue.register(about::SWEEP_REGISTRATIONS, metrics.deleted.clone());
        catalogue.register(about::SWEEP_STRAYS, metrics.strays.clone());
        metrics
    }

    /// A sweep ended.
    pub fn sweep(&self, outcome: &'static str) {
        self.sweeps.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
