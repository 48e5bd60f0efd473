//! Taking away what dead pods left: streams that nobody holds any more, under the name of who held them.
//!
//! Flow: every pod stands for election ([`fundbond_lease`]); the one that leads looks at the nodes every few seconds,
//! [`plan`] says whom to bury and sweep and whether that is believable, and the [`sweeper`] gives the orders, each under
//! the leader's token. More seldom it looks through all registrations for those of nobody ([`strays`]).
//!
//! A leader never acts on what it remembers: each order says again what must be so, and the store refuses it otherwise.
//! Where it refuses every order, [`doubt`] finds out whether that is right.

mod doubt;
pub mod plan;
#[cfg(test)]
mod plan_tests;
mod strays;
mod sweeper;
#[cfg(test)]
mod sweeper_tests;
#[cfg(test)]
mod tests;
mod watched;

use std::{sync::Arc, time::Duration};

use fundbond_lease::{Elector, Leadership, LeaseStore, Token};
use fundbond_protocol::{
    ClusterId, PodId,
    api::{BreakerReason, BreakerStatus, SweepStatus, seconds},
};
use fundbond_service_runtime::Shutdown;
use fundbond_store::{Nodes, Order, Ordered, Store, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{backoff::Backoff, config::HousekeepingSettings, metrics::SweepMetrics};
use doubt::Doubt;
use plan::{Hold, Memory, Reason, Rules};
use strays::Sightings;
use sweeper::{End, Sweeper};
pub use watched::Watched;

/// How often it looks through all registrations. That is as many steps as there are hundreds of keys, for something that
/// should not happen.
const SCAN_EVERY: Duration = Duration::from_mins(1);

/// The name of the lease of a cluster's housekeeper.
pub fn lease_name(cluster: &ClusterId) -> String {
    format!("{cluster}-housekeeper")
}

/// What a sweep writes down for whoever asks how the cluster is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// How it went.
    pub last_sweep: SweepStatus,
    /// Whether it waits.
    pub breaker: BreakerStatus,
}

/// One candidate, and what it does while it leads.
pub struct Housekeeper {
    /// Where everything is.
    pub store: Arc<dyn Store>,
    /// By which it stands for election.
    pub lease: Arc<dyn LeaseStore>,
    /// Whose nodes it looks after.
    pub cluster: ClusterId,
    /// Under which name it stands; it stands again where that changes.
    pub names: watch::Receiver<PodId>,
    /// When it looks, and whom it takes for dead.
    pub settings: HousekeepingSettings,
    /// What it counts.
    pub metrics: Arc<SweepMetrics>,
}

/// What one leadership knows.
struct Term {
    token: Token,
    memory: Memory,
    sightings: Sightings,
    /// The beginning of its time.
    origin: Instant,
    /// When to sweep next.
    due: Instant,
    /// When to look through all registrations next.
    scan_due: Instant,
    /// Why sweeps wait, as it was said.
    held: Option<Reason>,
    /// Why the store refuses its orders.
    doubt: Option<Doubt>,
}

impl Housekeeper {
    /// Stands for election and keeps house while it leads, until `leaving`; then gives the lease back.
    pub async fn run(mut self, leaving: Shutdown) {
        while !leaving.has_begun() {
            let name = self.names.borrow_and_update().to_string();
            let (elector, leadership) = Elector::new(name, self.settings.timing(), self.lease.clone());
            let mut names = self.names.clone();
            let over = async {
                tokio::select! {
                    // A name that never changes again ends nothing.
                    () = async { if names.changed().await.is_err() { std::future::pending::<()>().await } } => {}
                    () = leaving.begun() => {}
                }
            };
            tokio::select! {
                () = elector.run(over) => {}
                () = self.keep(leadership) => {}
            }
            self.metrics.leads.set(0);
        }
    }

    /// Sweeps while `leadership` says so; comes back when there is nobody to say it any more.
    async fn keep(&self, mut leadership: watch::Receiver<Option<Leadership>>) {
        let mut term: Option<Term> = None;
        let mut backoff = Backoff::default();
        loop {
            let due = term.as_ref().map_or_else(Instant::now, |term| term.due);
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                () = sleep_until(due), if term.is_some() => {}
            }
            let Some(leads) = leadership.borrow_and_update().filter(Leadership::holds) else {
                self.metrics.leads.set(0);
                term = None;
                continue;
            };
            self.metrics.leads.set(1);
            let term = match &mut term {
                Some(term) if term.token == leads.token => term,
                other => other.insert(Term::new(leads.token)),
            };
            // A renewal changes the word as well, and is no reason to sweep.
            if Instant::now() < term.due {
                continue;
            }
            term.due = Instant::now() + self.settings.sweep_interval;
            match self.sweep(term, &leadership).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    self.metrics.sweep("failed");
                    backoff.failed_again("sweep", &error);
                }
            }
        }
    }

    /// One sweep.
    async fn sweep(
        &self,
        term: &mut Term,
        leadership: &watch::Receiver<Option<Leadership>>,
    ) -> Result<(), StoreError> {
        let begun = Instant::now();
        let rules = self.settings.rules();
        let seen = self.store.nodes(&self.cluster).await?;
        let (plan, memory) = plan::plan(&rules, &term.memory, &seen, term.now());
        term.memory = memory;
        self.tell_hold(term, plan.hold);
        let order = Order { cluster: self.cluster.clone(), token: term.token };
        let leads = *leadership.borrow();
        let leads = leads.filter(|leads| leads.token == term.token);
        if let Some(doubt) = term.doubt.take_if(|doubt| leads.is_some_and(|leads| doubt.is_refuted(&leads))) {
            doubt.overrule(&*self.store, &order).await?;
        }
        let sweeper = Sweeper { store: &*self.store, order: &order, leadership, metrics: &self.metrics };
        let done = sweeper.carry_out(&plan).await?;
        if done.end == End::Done {
            term.look_for_strays(&rules, &sweeper, &seen).await?;
        }
        let note = Note {
            last_sweep: SweepStatus {
                at: Timestamp::now(),
                seconds: seconds(begun.elapsed()),
                buried: done.buried,
                forgotten: done.forgotten,
                tasks: done.handed_over,
                registrations: done.deleted,
            },
            breaker: breaker_status(plan.hold),
        };
        // What is made of numbers and times is always JSON.
        let text = serde_json::to_string(&note).unwrap_or_else(|error| unreachable!("{error}"));
        let noted = self.store.note_sweep(&order, &text).await?;
        let late = done.end != End::Done || noted == Ordered::Late;
        term.doubt = if noted == Ordered::Late { Doubt::of(&*self.store, &order).await? } else { None };
        self.metrics.sweep(if late {
            "late"
        } else if plan.hold.is_some() {
            "waited"
        } else {
            "done"
        });
        self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Says once when sweeps begin to wait, and once when they go on.
    fn tell_hold(&self, term: &mut Term, hold: Option<Hold>) {
        self.metrics.breaker_open.set(hold.is_some().into());
        match (term.held, hold) {
            (None, Some(hold)) => tracing::warn!(
                cluster = %self.cluster,
                why = reason_of(hold).label(),
                seconds = hold.remaining.as_secs_f64(),
                "nobody is buried for now: it may be a mistake that so much looks dead"
            ),
            (Some(_), None) => tracing::info!(cluster = %self.cluster, "the dead are buried again"),
            _ => {}
        }
        term.held = hold.map(|hold| hold.reason);
    }
}

impl Term {
    fn new(token: Token) -> Self {
        let now = Instant::now();
        Self {
            token,
            memory: Memory::default(),
            sightings: Sightings::default(),
            origin: now,
            due: now,
            scan_due: now,
            held: None,
            doubt: None,
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Looks through all registrations, if it is time to.
    async fn look_for_strays(
        &mut self,
        rules: &Rules,
        sweeper: &Sweeper<'_>,
        seen: &Nodes,
    ) -> Result<(), StoreError> {
        if Instant::now() < self.scan_due {
            return Ok(());
        }
        self.scan_due = Instant::now() + SCAN_EVERY;
        let Some(found) = sweeper.scan().await? else { return Ok(()) };
        let due = self.sightings.seen(rules, found, seen, self.now());
        sweeper.sweep_strays(due).await
    }
}

fn reason_of(hold: Hold) -> BreakerReason {
    match hold.reason {
        Reason::ServerChanged => BreakerReason::StoreChanged,
        Reason::ManyDead => BreakerReason::ManyDead,
    }
}

fn breaker_status(hold: Option<Hold>) -> BreakerStatus {
    BreakerStatus {
        open: hold.is_some(),
        reason: hold.map(reason_of),
        remaining_seconds: hold.map(|hold| seconds(hold.remaining)),
    }
}
