//! One endpoint: what its probes and requests say of it, and what runs there.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use fundbond_routing::{Breaker, BreakerSettings, BreakerState, Permit, Verdict};
use tokio::{sync::watch, time::Instant};

use crate::{
    decide::{Signals, Target},
    health::Readiness,
    pool::Pool,
};

/// The clock of pure decisions: time since the gateway began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }
}

/// Told whenever the first probe of an endpoint ends, and whenever an endpoint answers for the first time.
#[derive(Clone, Debug)]
pub(crate) struct News(Arc<watch::Sender<()>>);

impl News {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    pub(crate) fn tell(&self) {
        self.0.send_replace(());
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// One endpoint, shared by every table that names it and every request that runs there.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    pub(crate) pool: Pool,
    readiness: Mutex<Readiness>,
    /// Whether probes would bring it back.
    probed: bool,
    breaker: Mutex<Breaker>,
    changes: BreakerChanges,
    signals: Signals,
    clock: Clock,
    news: News,
}

/// How often a breaker came to each of its states.
#[derive(Debug, Default)]
struct BreakerChanges {
    closed: AtomicU64,
    open: AtomicU64,
    probing: AtomicU64,
}

impl BreakerChanges {
    fn to(&self, state: BreakerState) -> &AtomicU64 {
        match state {
            BreakerState::Closed => &self.closed,
            BreakerState::Open => &self.open,
            BreakerState::Probing => &self.probing,
        }
    }
}

/// The states of a breaker, and what metrics and pages call them.
pub(crate) const BREAKER_STATES: [(BreakerState, &str); 3] =
    [(BreakerState::Closed, "closed"), (BreakerState::Open, "open"), (BreakerState::Probing, "probing")];

impl Endpoint {
    pub(crate) fn new(target: Target, breaker: BreakerSettings, clock: Clock, news: News) -> Self {
        Self {
            target,
            pool: Pool::default(),
            readiness: Mutex::default(),
            probed: true,
            breaker: Mutex::new(Breaker::new(breaker)),
            changes: BreakerChanges::default(),
            signals: Signals::default(),
            clock,
            news,
        }
    }

    /// One that is ready for as long as it is named: whoever names it knows. What it does with requests is its breaker's to
    /// judge.
    pub(crate) fn known_ready(mut self) -> Self {
        self.probed = false;
        self.state().probed(true);
        self.signals.set_ready(true);
        self
    }

    /// What decisions read of it.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    pub(crate) fn readiness(&self) -> Readiness {
        *self.state()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.signals.is_ready()
    }

    fn state(&self) -> MutexGuard<'_, Readiness> {
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a probe found; `why` says it in words.
    pub(crate) fn probed(&self, ok: bool, why: &str) {
        let before = self.readiness();
        if ok && !before.is_ready() && before.failures() > 0 {
            // It was away, and says that it is ready: what failed before was another process.
            self.with_breaker(Breaker::forget);
        }
        self.tell(self.change(|state| state.probed(ok)), why);
    }

    /// A request could not connect.
    pub(crate) fn refused(&self, why: &str) {
        if !self.probed {
            return;
        }
        self.tell(self.change(Readiness::refused), why);
    }

    /// Answers what it is now, if that is another thing than before.
    fn change(&self, change: impl FnOnce(&mut Readiness)) -> Option<bool> {
        let mut state = self.state();
        let known = (state.was_asked(), state.has_answered());
        change(&mut state);
        let ready = state.is_ready();
        // Under the lock, so that two changes reach the flag in their order.
        let before = self.signals.set_ready(ready);
        let first = known != (state.was_asked(), state.has_answered());
        drop(state);
        if first {
            self.news.tell();
        }
        (ready != before).then_some(ready)
    }

    fn tell(&self, ready: Option<bool>, why: &str) {
        if let Some(ready) = ready {
            tracing::info!(endpoint = %self.target.address, name = %self.target.name, ready, why, "endpoint readiness changed");
        }
    }

    /// What its breaker lets through.
    pub(crate) fn breaker_state(&self) -> BreakerState {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).state()
    }

    /// How often its breaker came to `state`.
    pub(crate) fn breaker_changes(&self, state: BreakerState) -> u64 {
        self.changes.to(state).load(Relaxed)
    }

    fn with_breaker<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.state();
        let result = change(&mut breaker);
        let after = breaker.state();
        // Under the lock, so that two changes reach the signal in their order.
        self.signals.set_admits_from(breaker.admits_from());
        drop(breaker);
        if after != before {
            self.changes.to(after).fetch_add(1, Relaxed);
            tracing::info!(endpoint = %self.target.address, name = %self.target.name, state = ?after, "breaker changed");
        }
        result
    }

    /// Leave to send it a request, where its breaker gives one: another request may just have become the
    /// probe. The request counts as under way there as soon as it has leave.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<(Admission, Load)> {
        let permit = self.with_breaker(|breaker| breaker.admit(self.clock.now()))?;
        let admission = Admission { endpoint: self.clone(), permit: Some(permit) };
        self.signals.begin();
        Some((admission, Load(self.clone())))
    }
}

/// Leave to send one request to an endpoint. Dropped without a verdict it says that nothing was found out,
/// so that a client that leaves takes no probe with it.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) endpoint: Arc<Endpoint>,
    permit: Option<Permit>,
}

impl Admission {
    /// Says what became of the request.
    pub(crate) fn settle(mut self, verdict: Verdict) {
        self.give_back(verdict);
    }

    fn give_back(&mut self, verdict: Verdict) {
        let Some(permit) = self.permit.take() else { return };
        let random = if verdict == Verdict::Failure { rand::random() } else { 0.0 };
        let now = self.endpoint.clock.now();
        self.endpoint.with_breaker(|breaker| breaker.settle(permit, verdict, now, random));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.give_back(Verdict::Unknown);
    }
}

/// One request or stream under way at an endpoint, until it is dropped.
#[derive(Debug)]
pub(crate) struct Load(pub(crate) Arc<Endpoint>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.signals.end();
    }
}

#[cfg(test)]
mod tests;
