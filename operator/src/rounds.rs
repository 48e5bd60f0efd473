//! Asks all clusters how they are, one round after the other, for as long as this operator leads.
//!
//! Each cluster has its own moment in a round, drawn from its name, so that none is asked twice in less than a round and
//! never all at once. An answer that is news goes into the [`Reports`], and its FundCluster into the queue: telling it is
//! one look like any other.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use fundbond_crds::{FundClusterStatus, routing::Match};
use fundbond_service_runtime::exit::chain;
use futures::{StreamExt as _, stream};
use kube::api::DynamicObject;
use serde::Deserialize as _;
use tokio::time::{Instant, sleep_until};

use crate::{
    cache::Cache,
    metrics::Metrics,
    proxies::{Proxies, Question},
    queue::Queue,
    reports::{Report, Reports},
    seen::{Key, Seen},
    status::rollouts,
};

/// A round takes so long at least.
const ROUND: Duration = Duration::from_secs(30);

/// Clusters asked in a second at most; with more, a round takes longer. Each question costs a proxy, a pod and a Redis
/// something as well.
const RATE: usize = 100;

/// Questions under way at once: with as many proxies that let every question wait for its limit of 5 s, the others are
/// still asked at a good pace.
const AT_ONCE: usize = 64;

/// What asks.
pub(crate) struct Rounds {
    pub(crate) cache: Arc<Cache>,
    pub(crate) queue: Arc<Queue<Key>>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) proxies: Arc<dyn Proxies>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What a cluster is asked by.
struct Asked {
    question: Question,
    told: Option<FundClusterStatus>,
}

impl Rounds {
    /// Asks until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            let begin = Instant::now();
            let keys = self.cache.keys();
            let round = length(keys.len());
            let mut turns: Vec<_> = keys.into_iter().map(|key| (moment(&key, round), key)).collect();
            turns.sort_unstable();
            stream::iter(turns)
                .for_each_concurrent(AT_ONCE, async |(moment, key)| {
                    sleep_until(begin + moment).await;
                    self.ask(&key).await;
                })
                .await;
            let there = self.cache.keys().into_iter().collect::<std::collections::HashSet<_>>();
            self.reports.keep(|key| there.contains(key));
            sleep_until(begin + round).await;
        }
    }

    async fn ask(&self, key: &Key) {
        let Some(asked) = self.cache.cluster_of(key).as_ref().and_then(asked) else { return };
        let said = if serves(&self.cache.known(key).children) {
            match self.proxies.ask(&asked.question).await {
                Ok(status) => {
                    self.metrics.asked("answered");
                    Some(Report::of(&status))
                }
                Err(error) => {
                    self.metrics.asked("failed");
                    // A pod that ends takes an answer with it now and then; a cluster that stays silent is worth a word.
                    if self.reports.silent(key).saturating_add(1).is_power_of_two() {
                        tracing::info!(cluster = %key, error = chain(&error), "a cluster does not say how it is");
                    }
                    None
                }
            }
        } else {
            self.metrics.asked("not_serving");
            None
        };
        if self.reports.take(key, asked.told.as_ref(), said) {
            self.queue.add(key.clone());
        }
    }
}

/// How a FundCluster's cluster is asked; none where it is about to go, or its route cannot be read.
fn asked(object: &DynamicObject) -> Option<Asked> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let route = Match::deserialize(&object.data["spec"]["route"]).ok()?;
    let (namespace, name) = (object.metadata.namespace.as_deref()?, object.metadata.name.as_deref()?);
    let question = Question {
        namespace: namespace.to_owned(),
        service: fundbond_desired::proxy_service(name),
        header: route.header,
        value: route.value,
        cluster_id: fundbond_desired::cluster_id(namespace, name),
    };
    Some(Asked { question, told: FundClusterStatus::deserialize(&object.data["status"]).ok() })
}

/// Whether there is a proxy to ask and a pod to answer.
fn serves(children: &[Seen]) -> bool {
    let ready = |pods: bool| rollouts(children).any(|rollout| rollout.pods == pods && rollout.ready > 0);
    ready(true) && ready(false)
}

/// How long a round of so many takes.
fn length(clusters: usize) -> Duration {
    let seconds = u64::try_from(clusters / RATE).unwrap_or(u64::MAX);
    ROUND.max(Duration::from_secs(seconds))
}

/// When in a round it is a cluster's turn: always at the same share of it.
fn moment(key: &Key, round: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // 32 bits of it, of which so many thousandths of the round.
    round.mul_f64(f64::from((hasher.finish() >> 32) as u32) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_half_a_minute_and_longer_where_there_are_too_many() {
        assert_eq!((length(0), length(3_000)), (ROUND, ROUND));
        assert_eq!(length(10_000), Duration::from_secs(100));
    }

    #[test]
    fn every_cluster_has_its_moment_and_they_are_spread() {
        let keys: Vec<_> = (0..1_000).map(|number| Key::new("funds", &format!("c{number}"))).collect();
        let mut tenths = [0; 10];
        for key in &keys {
            let moment = moment(key, ROUND);
            assert_eq!(moment, super::moment(key, ROUND));
            assert!(moment <= ROUND);
            tenths[(moment.as_millis() * 10 / (ROUND.as_millis() + 1)) as usize] += 1;
        }
        assert!(tenths.iter().all(|tenth| (60..140).contains(tenth)), "{tenths:?}");
    }
}
