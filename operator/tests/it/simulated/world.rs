//! A server, a wire, and an operator that is started again whenever it dies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fundbond_api_simulator::{Entry, Hand, Simulator, Verb};
use fundbond_crds::FundCluster;
use fundbond_desired::{Site, children};
use fundbond_lease::kubernetes::KubernetesLeases;
use fundbond_operator::{Config, Fence, Operator, Program, Surroundings};
use fundbond_service_runtime::Shutdown;
use kube::client::ClientBuilder;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{gateways::TwoGateways, wire::Wire};
use crate::clusters::Clusters;

/// The namespace of everything.
pub(crate) const FUNDS: &str = "funds";

/// Nothing may change for so long before it counts as over: longer than a lease that somebody died with, and than the
/// operator's patience with what the garbage collector leaves.
const CALM: Duration = Duration::from_mins(1);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// By then everything has happened, whatever went wrong.
const LIMIT: Duration = Duration::from_mins(30);

/// What happens in it.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) user: Hand,
    pub(crate) wire: Wire,
    pub(crate) clusters: Clusters,
    pub(crate) gateways: TwoGateways,
    _operators: Vec<AbortOnDropHandle<()>>,
}

impl World {
    /// With so many operators at a time.
    pub(crate) fn new(seed: u64, wire: Wire, operators: usize) -> Self {
        let (simulator, clusters) = (Simulator::new(seed), Clusters::default());
        let gateways = TwoGateways::new(simulator.clone());
        let operators = (0..operators).map(|number| {
            let surroundings = (clusters.clone(), gateways.clone());
            let life = reincarnate(simulator.clone(), wire.clone(), surroundings, number);
            AbortOnDropHandle::new(tokio::spawn(life))
        });
        let operators = operators.collect();
        Self { user: simulator.hand("kubectl"), simulator, wire, clusters, gateways, _operators: operators }
    }

    /// Waits until nothing happens any more. Answers how long the last of it took.
    ///
    /// # Panics
    /// It goes on for ever.
    pub(crate) async fn settle(&self) -> Duration {
        let began = Instant::now();
        let mut changed = Instant::now();
        let mut seen = None;
        while changed.elapsed() < CALM {
            assert!(began.elapsed() < LIMIT, "it goes on for ever; the last of it: {:#?}", self.last());
            let now = Some(self.wire.requests());
            if now != seen {
                seen = now;
                changed = Instant::now();
                self.check();
            }
            // sleep-ok: the clock is paused.
            sleep(LOOK).await;
        }
        self.check();
        changed - began
    }

    fn last(&self) -> Vec<String> {
        let trace = self.simulator.trace();
        trace
            .iter()
            .rev()
            .filter(|entry| entry.resource != "leases")
            .take(20)
            .map(ToString::to_string)
            .collect()
    }

    /// How much was written by whom: creates, changes and deletes of children, and words to FundClusters.
    pub(crate) fn writes(&self) -> usize {
        self.simulator.trace().iter().filter(|entry| is_write(entry)).count()
    }

    /// What must be so at every moment.
    ///
    /// # Panics
    /// It is not.
    pub(crate) fn check(&self) {
        for cluster in self.user.list::<FundCluster>("", "").unwrap() {
            self.check_word(&cluster);
        }
    }

    /// Who says that all is applied, has applied all.
    fn check_word(&self, cluster: &FundCluster) {
        let Some(status) = &cluster.status else { return };
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let says = ready.is_some_and(|ready| ["AllReady", "PodsStarting"].contains(&ready.reason.as_str()));
        let current = status.observed_generation == cluster.metadata.generation;
        if !says || !current || cluster.metadata.deletion_timestamp.is_some() {
            return;
        }
        let objects = self.simulator.objects();
        for (place, wanted) in wanted(cluster) {
            let found = objects.iter().find(|(found, _)| is_at(found, &place));
            let Some((_, found)) = found else { panic!("{place} is said to be there") };
            if let Some(what) = lacks(found, &wanted) {
                panic!("{place} is said to be as it should, and is not at {what}");
            }
        }
    }
}

/// Whether a request changed something that is not a lease or an event.
pub(crate) fn is_write(entry: &Entry) -> bool {
    entry.changed && !matches!(&*entry.resource, "leases" | "events") && entry.verb != Verb::Get
}

/// The children of a FundCluster: kind, name, and what the operator says of them.
fn wanted(cluster: &FundCluster) -> BTreeMap<String, Value> {
    let wanted = children(cluster, &site(), 1).into_iter().map(|child| {
        let mut value = child.to_value();
        if let Some(spec) = value["spec"].as_object_mut().filter(|_| child.kind() == "GatewayRoute") {
            spec.remove("generation");
        }
        (format!("{}/{}/{}", child.kind(), FUNDS, child.name()), value)
    });
    wanted.collect()
}

/// Whether an object of the simulator (`deployments.apps/ns/name`) is the one called `Deployment/ns/name`.
fn is_at(found: &str, place: &str) -> bool {
    let (kind, rest) = place.split_once('/').unwrap();
    let (plural, found_rest) = found.split_once('/').unwrap();
    let plural = plural.split('.').next().unwrap();
    let kind = kind.to_lowercase();
    found_rest == rest && (plural == format!("{kind}s") || plural == kind.replace("policy", "policies"))
}

/// Where `found` is not what `wanted` says.
fn lacks(found: &Value, wanted: &Value) -> Option<String> {
    match wanted {
        Value::Null => None,
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            if empty { None } else { lacks(&found[name], value).map(|at| format!("{name}.{at}")) }
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(number, item)| lacks(&found[number], item).map(|at| format!("{number}.{at}"))),
        value => (found != value).then(|| format!(": {found} for {value}")),
    }
}

pub(crate) fn site() -> Site {
    Site {
        registry: "ghcr.io/fundbond".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        gateway_networks: vec![],
        runbooks: "https://runbooks.test".into(),
    }
}

/// One operator after the other, each with another name.
async fn reincarnate(
    simulator: Simulator,
    wire: Wire,
    (clusters, gateways): (Clusters, TwoGateways),
    number: usize,
) {
    for life in 0.. {
        let name = format!("operator-{number}.{life}");
        let fence = Fence::default();
        let client = ClientBuilder::new(wire.to(simulator.service(&name)), FUNDS).with_layer(&fence).build();
        let (namespace, lease) = (FUNDS.parse().unwrap(), "fundbond-operator".parse().unwrap());
        let lease = KubernetesLeases::new(simulator.client(&name), &namespace, &lease);
        let (lease, proxies) = (Arc::new(lease), Arc::new(clusters.clone()));
        let writer = client.clone();
        let gateways = Arc::new(gateways.clone());
        let surroundings = Surroundings { client, writer, fence, lease, proxies, gateways, identity: name };
        let operator = Operator::bind(config(), surroundings).await.unwrap();
        tokio::select! {
            ended = operator.run(Shutdown::new()) => panic!("an operator ended by itself: {ended:?}"),
            () = wire.dies() => {}
        }
    }
}

fn config() -> Config {
    let arguments = ["operator", "--host", "127.0.0.1", "--admin-port", "0"];
    <Program as clap::Parser>::parse_from(arguments).config
}
