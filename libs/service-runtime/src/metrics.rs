//! Metrics that say what they are: registered together with what a reader must know, so that the reference page is made
//! from the very registration that serves them.

use prometheus_client::{
    collector::Collector,
    metrics::MetricType,
    registry::{Metric, Registry},
};

/// What a reader must know of a metric.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name as it is registered; scrapes add `_total` to counters and `_bucket`, `_sum`, `_count` to histograms.
    pub name: &'static str,
    /// What it counts. One sentence without a full stop, as scrapes add one.
    pub help: &'static str,
    /// Its labels, each with the values it can have. They are bounded: never an id.
    pub labels: &'static [(&'static str, &'static str)],
}

/// A metric that is registered.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// What a reader must know.
    pub about: About,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
}

/// A registry, and what is in it.
#[derive(Debug, Default)]
pub struct Catalogue {
    registry: Registry,
    described: Vec<Described>,
}

impl Catalogue {
    /// Registers `metric`.
    pub fn register(&mut self, about: About, metric: impl Metric) {
        self.described.push(Described { about, kind: kind(metric.metric_type()) });
        self.registry.register(about.name, about.help, metric);
    }

    /// Registers a collector of all of `metrics`.
    pub fn collect(&mut self, metrics: &[Described], collector: impl Collector) {
        self.described.extend(metrics);
        self.registry.register_collector(Box::new(collector));
    }

    /// What is registered.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// The registry, for scrapes.
    pub fn into_registry(self) -> Registry {
        self.registry
    }
}

fn kind(metric: MetricType) -> &'static str {
    match metric {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
        MetricType::Info => "info",
        MetricType::Unknown => "unknown",
    }
}

/// A metric without labels.
pub const fn plain(name: &'static str, help: &'static str) -> About {
    About { name, help, labels: &[] }
}

/// A metric with labels.
pub const fn labelled(
    name: &'static str,
    help: &'static str,
    labels: &'static [(&'static str, &'static str)],
) -> About {
    About { name, help, labels }
}
