//! Asks gateways which routes they have, for as long as this operator leads. What is news for a FundCluster puts it into the
//! queue: telling it is one look like any other.

use std::{sync::Arc, time::Duration};

use fundbond_service_runtime::exit::chain;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    acknowledged::{Acknowledgements, Touched},
    cache::Cache,
    gateways::Gateways,
    metrics::Metrics,
    queue::Queue,
    seen::Key,
};

/// Between two questions. A gateway has a route within milliseconds, and somebody waits for the word of it; where nothing is
/// new the answer is a few bytes.
const EVERY: Duration = Duration::from_secs(1);

/// What asks.
pub(crate) struct Polls {
    pub(crate) cache: Arc<Cache>,
    pub(crate) queue: Arc<Queue<Key>>,
    pub(crate) acknowledged: Arc<Acknowledgements>,
    pub(crate) gateways: Arc<dyn Gateways>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Polls {
    /// Asks until it is dropped.
    pub(crate) async fn run(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0_u32;
        loop {
            ticks.tick().await;
            let touched = match self.gateways.ask().await {
                Ok(heard) => {
                    failures = 0;
                    let silent = heard.iter().filter(|heard| heard.said.is_none()).count();
                    self.metrics.gateways(heard.len() - silent, silent);
                    self.acknowledged.hear(heard)
                }
                Err(error) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(
                            failures,
                            error = chain(&error),
                            "cannot ask gateways which routes they have"
                        );
                    }
                    self.acknowledged.unseen()
                }
            };
            match touched {
                Touched::All => self.cache.keys().into_iter().for_each(|key| self.queue.add(key)),
                Touched::These(keys) => keys.into_iter().for_each(|key| self.queue.add(key)),
            }
        }
    }
}
