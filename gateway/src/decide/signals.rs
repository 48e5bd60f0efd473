//! What decisions know of endpoints.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// What changes about one endpoint between two requests: probes and requests write it, decisions read it.
///
/// These are numbers that guard no other data, so no order among them is needed: a decision that is one
/// change late is a legal one.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    ready: AtomicBool,
    under_way: AtomicUsize,
    /// Nanoseconds on the clock of decisions.
    admits_from: AtomicU64,
}

/// No request is let through until something happens.
const NOT_YET: u64 = u64::MAX;

impl Signals {
    /// Whether its probes say that it takes requests.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Relaxed)
    }

    /// Sets that; returns what it was.
    pub fn set_ready(&self, ready: bool) -> bool {
        self.0.ready.swap(ready, Relaxed)
    }

    /// How many requests and streams are under way there.
    pub fn load(&self) -> usize {
        self.0.under_way.load(Relaxed)
    }

    /// One more is.
    pub fn begin(&self) {
        self.0.under_way.fetch_add(1, Relaxed);
    }

    /// One less is.
    pub fn end(&self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }

    /// From when on its breaker lets the next request through; none while a probe decides about that.
    pub fn admits_from(&self) -> Option<Duration> {
        Some(self.0.admits_from.load(Relaxed)).filter(|from| *from != NOT_YET).map(Duration::from_nanos)
    }

    /// Sets that.
    pub fn set_admits_from(&self, from: Option<Duration>) {
        // 2^64 ns are 584 years.
        let nanos = from.map_or(NOT_YET, |from| u64::try_from(from.as_nanos()).unwrap_or(NOT_YET));
        self.0.admits_from.store(nanos, Relaxed);
    }

    /// Whether a request may be sent there now: it is ready, and its breaker lets one through.
    pub fn is_usable(&self, now: Duration) -> bool {
        self.is_ready() && self.admits_from().is_some_and(|from| from <= now)
    }
}

/// The signals of every endpoint of a table: `[route][endpoint]`.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(pub Vec<Arc<[Signals]>>);

impl Endpoints {
    pub(super) fn of(&self, route: usize) -> &[Signals] {
        self.0.get(route).map_or(&[], |of_route| of_route)
    }

    /// Until when every endpoint of `route` that is ready, and that `counts`, is left alone by its breaker, if there
    /// is one: none where none is ready.
    pub fn admit_from(&self, route: usize, counts: impl Fn(usize) -> bool) -> Option<Duration> {
        let ready =
            self.of(route).iter().enumerate().filter(|(endpoint, s)| s.is_ready() && counts(*endpoint));
        // While a probe is under way, nobody knows: its end is the earliest, and may come at once.
        ready.map(|(_, s)| s.admits_from().unwrap_or_default()).min()
    }
}
