//! What the operator counts.

use std::{fmt, sync::Arc, time::Duration};

use fundbond_service_runtime::{
    metrics::{About, Catalogue, Described, labelled, plain},
    prometheus_client::{
        collector::Collector,
        encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
        metrics::{
            MetricType,
            counter::Counter,
            family::Family,
            gauge::{ConstGauge, Gauge},
            histogram::{Histogram, exponential_buckets},
        },
    },
};

use crate::{cache::Cache, queue::Queue, seen::Key};

const RECONCILES: About = labelled(
    "fund_operator_reconciles",
    "Looks at a FundCluster, by what came of it",
    &[(
        "outcome",
        "`done`, `waits` for something to leave, or why it has to be done again: conflict, absent, refused, unreachable, \
         not_leading, namespace_leaves",
    )],
);
const RECONCILE_SECONDS: About =
    plain("fund_operator_reconcile_seconds", "Time of one look at a FundCluster, with all it wrote");
const WRITES: About = labelled(
    "fund_operator_writes",
    "Writes that the API server took",
    &[("verb", "create, update, delete or status"), ("kind", "the kind of object")],
);
const WATCH_FAILURES: About = labelled(
    "fund_operator_watch_failures",
    "Failures of watches; each is tried again",
    &[("kind", "the kind of object")],
);
const ASKED: About = labelled(
    "fund_operator_questions",
    "Clusters that were asked how they are, by what came of it",
    &[("outcome", "`answered`, `failed`, or `not_serving` where no proxy or no pod is ready")],
);
const GATEWAYS: About = labelled(
    "fund_operator_gateways",
    "Gateways that are ready, by whether they say which routes they have; those of the leader's last question",
    &[("state", "`heard` or `silent`")],
);
const LEADS: About = plain("fund_operator_leads", "1 while this operator leads");
const OBJECTS: About = labelled(
    "fund_operator_objects",
    "Objects that the operator knows of",
    &[("what", "`clusters` or `children`")],
);
const QUEUE: About = labelled(
    "fund_operator_queue",
    "FundClusters to be looked at",
    &[("when", "`now`, `later`, or `under_way`")],
);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// What an operator says of itself.
pub(crate) fn described() -> Vec<Described> {
    let mut catalogue = Catalogue::default();
    Metrics::new(&mut catalogue);
    let mut described = catalogue.described().to_vec();
    described.extend(Sizes::METRICS);
    described
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Metrics {
    reconciles: Family<OutcomeLabels, Counter>,
    seconds: Histogram,
    writes: Family<WriteLabels, Counter>,
    watch_failures: Family<KindLabels, Counter>,
    asked: Family<OutcomeLabels, Counter>,
    gateways: Family<StateLabels, Gauge>,
    leads: Gauge,
}

impl Metrics {
    pub(crate) fn new(catalogue: &mut Catalogue) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            // 1 ms to a minute: from nothing to do to a server that is slow with each of a dozen objects.
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            writes: Family::default(),
            watch_failures: Family::default(),
            asked: Family::default(),
            gateways: Family::default(),
            leads: Gauge::default(),
        };
        catalogue.register(RECONCILES, metrics.reconciles.clone());
        catalogue.register(RECONCILE_SECONDS, metrics.seconds.clone());
        catalogue.register(WRITES, metrics.writes.clone());
        catalogue.register(WATCH_FAILURES, metrics.watch_failures.clone());
        catalogue.register(ASKED, metrics.asked.clone());
        catalogue.register(GATEWAYS, metrics.gateways.clone());
        catalogue.register(LEADS, metrics.leads.clone());
        metrics
    }

    pub(crate) fn reconciled(&self, outcome: &'static str, time: Duration) {
        self.reconciles.get_or_create(&OutcomeLabels { outcome }).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn wrote(&self, verb: &'static str, kind: &'static str) {
        self.writes.get_or_create(&WriteLabels { verb, kind }).inc();
    }

    pub(crate) fn watch_failed(&self, kind: &str) {
        self.watch_failures.get_or_create(&KindLabels { kind: kind.to_owned() }).inc();
    }

    pub(crate) fn asked(&self, outcome: &'static str) {
        self.asked.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn gateways(&self, heard: usize, silent: usize) {
        for (state, number) in [("heard", heard), ("silent", silent)] {
            let gauge = self.gateways.get_or_create(&StateLabels { state });
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
    }
}

/// Sizes, counted when somebody asks.
#[derive(Debug)]
pub(crate) struct Sizes {
    pub(crate) cache: Arc<Cache>,
    pub(crate) queue: Arc<Queue<Key>>,
}

impl Sizes {
    pub(crate) const METRICS: [Described; 2] =
        [Described { about: OBJECTS, kind: "gauge" }, Described { about: QUEUE, kind: "gauge" }];
}

impl Collector for Sizes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (clusters, children) = self.cache.sizes();
        let (now, later, under_way) = self.queue.lengths();
        gauges(&mut encoder, OBJECTS, "what", &[("clusters", clusters), ("children", children)])?;
        gauges(&mut encoder, QUEUE, "when", &[("now", now), ("later", later), ("under_way", under_way)])
    }
}

fn gauges(
    encoder: &mut DescriptorEncoder,
    about: About,
    label: &'static str,
    values: &[(&'static str, usize)],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(about.name, about.help, None, MetricType::Gauge)?;
    for (value, number) in values {
        let gauge = ConstGauge::new(i64::try_from(*number).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}
