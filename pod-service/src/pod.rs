//! What the parts of one pod share.

use std::{sync::Arc, time::Duration};

use fundbond_protocol::{ClusterId, PodId};
use fundbond_service_runtime::{Health, Shutdown};
use fundbond_store::{Closed, Node, Reasserted, Store, StoreError};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    backoff::Backoff,
    config::{Live, Settings},
    housekeeping::Watched,
    identity::Identity,
    intake::Intake,
    metrics::Metrics,
    runner::Runner,
    stream::{foreign, hub::Streams, inquiries::Inquiries},
};

/// Failed steps of others make for no more heartbeats than this: many requests fail at once.
const DOUBT_EVERY: Duration = Duration::from_secs(1);

/// Assertions in one step: a script of a few milliseconds, so that it does not hold up others.
const REASSERT_BATCH: usize = 500;

/// The condition of readiness that says whether the store is reached. Its absence degrades a pod and does not take it
/// out: every pod lacks the same store, open streams are here and nowhere else, and a clear answer is better than none.
pub const STORE: &str = "store";

/// One pod.
pub struct Pod {
    /// Who it is.
    pub identity: Identity,
    /// Which cluster it belongs to.
    pub cluster: ClusterId,
    /// Where everything that outlives the process is.
    pub store: Arc<dyn Store>,
    /// By which it stands for election as the housekeeper of its cluster.
    pub lease: Arc<Watched>,
    /// Open streams.
    pub streams: Arc<Streams>,
    /// Where events of others go that this pod takes.
    pub foreign: foreign::Desk,
    /// What this pod asks others about streams, and they it.
    pub inquiries: Inquiries,
    /// What it accepted and runs.
    pub runner: Runner,
    /// Turns of large requests.
    pub intake: Intake,
    /// What it counts.
    pub metrics: Metrics,
    /// How it behaves.
    pub settings: Settings,
    /// The part of that which may change, as it is now.
    pub live: Live,
    /// What its probes say.
    pub health: Health,
    /// Begins when the pod takes no new work and sends its streams away.
    pub draining: Shutdown,
    /// Begins when everything is drained, or the deadline is over.
    pub stopped: Shutdown,
    /// Wakes [`keep_alive`](Self::keep_alive) early.
    pub(crate) reassert: Notify,
    /// The same, where that did not happen a moment ago.
    pub(crate) doubt: Notify,
}

impl Pod {
    /// Sends one heartbeat; a buried pod becomes somebody else.
    pub async fn revive(&self) -> Result<(), StoreError> {
        let id = self.identity.id();
        match self.say_it_lives(&id).await? {
            Node::Alive => Ok(()),
            Node::Buried => self.be_somebody_else(&id).await,
        }
    }

    async fn say_it_lives(&self, id: &PodId) -> Result<Node, StoreError> {
        self.store.lives(id, &self.cluster, self.settings.housekeeping.node_timeout).await
    }

    /// Takes another nonce than that of the id `dead`: death is permanent, so a pod that was declared dead by
    /// mistake goes on under a new name, and re-asserts what it holds under it. However many find the grave,
    /// it is renewed once.
    pub async fn be_somebody_else(&self, dead: &PodId) -> Result<(), StoreError> {
        if let Some(new) = self.identity.renew(dead).map_err(|e| StoreError::Unreachable(Box::new(e)))? {
            tracing::warn!(%dead, %new, "this pod was declared dead; going on under a new id");
            self.metrics.renewals.inc();
        }
        self.say_it_lives(&self.identity.id()).await?;
        self.reassert_soon();
        Ok(())
    }

    /// Repeats to the store what the pod holds, now and not at the next heartbeat.
    pub fn reassert_soon(&self) {
        self.reassert.notify_one();
    }

    /// Somebody else's step failed with `error`: finds out whether the store is away, so that readiness says so before
    /// the next heartbeat.
    pub fn doubt_store(&self, error: &StoreError) {
        if let StoreError::Unreachable(_) = error {
            self.doubt.notify_one();
        }
    }

    /// Heartbeats and re-assertions until the pod stops.
    pub async fn keep_alive(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let step = async {
                self.revive().await?;
                self.reassert_all().await?;
                self.release_ghosts().await
            };
            let wait = match step.await {
                Ok(()) => {
                    self.runner.hold_soon();
                    self.health.set(STORE, true, "reachable");
                    backoff.reset();
                    self.settings.housekeeping.health_interval
                }
                Err(error) => {
                    self.health.degrade(STORE, fundbond_service_runtime::exit::chain(&error));
                    backoff.failed_again("heartbeat", &error);
                    Duration::ZERO
                }
            };
            tokio::select! {
                () = self.stopped.begun() => return,
                () = async { backoff.wait().await; tokio::time::sleep(wait).await } => {}
                () = self.reassert.notified(), if !wait.is_zero() => {}
                () = async { sleep_until(begun + DOUBT_EVERY).await; self.doubt.notified().await }, if !wait.is_zero() => {}
            }
        }
    }

    /// Lets go of registrations for which nobody here has a stream. Of one that came since, the generation is another.
    async fn release_ghosts(&self) -> Result<(), StoreError> {
        for holder in self.store.held(&self.identity.id(), self.streams.len()).await? {
            if !self.streams.has(&holder.connection) && self.store.close(&holder).await? == Closed::Deleted {
                tracing::info!(connectionId = %holder.connection, "a registration without a stream is released");
            }
        }
        Ok(())
    }

    async fn reassert_all(&self) -> Result<(), StoreError> {
        let held = self.streams.assertions();
        let id = self.identity.id();
        for batch in held.chunks(REASSERT_BATCH) {
            let assertions: Vec<_> = batch.iter().map(|(_, assertion)| assertion.clone()).collect();
            match self.store.reassert(&id, &self.cluster, &assertions).await? {
                Reasserted::Streams(answers) => {
                    for ((stream, assertion), answer) in batch.iter().zip(answers) {
                        self.streams.asserted(&assertion.connection, stream, answer);
                    }
                }
                // The heartbeat before this step was somebody else's or too old: the next round mends it.
                Reasserted::Buried => return self.be_somebody_else(&id).await,
                Reasserted::NoHealth => {
                    self.reassert_soon();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pod")
            .field("identity", &self.identity)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
