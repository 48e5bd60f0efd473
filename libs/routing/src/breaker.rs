//! Leaves an endpoint alone that keeps failing, and finds out with one request at a time whether it healed.

use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// This many failures in a row open it; at least 1.
    pub consecutive_failures: u32,
    /// Successes and failures are counted over about this time.
    pub window: Duration,
    /// Fewer requests than this in the window say nothing about a rate.
    pub minimum_requests: u32,
    /// It opens where fewer than this many of 100 requests in the window succeeded.
    pub success_percent: u32,
    /// The pause after it first opened; doubled each time a probe fails.
    pub first_pause: Duration,
    /// No pause is longer than this, jitter included.
    pub longest_pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            // One failure is an accident; the five that a busy endpoint needs for certainty cost milliseconds.
            consecutive_failures: 5,
            // Ten probes of readiness: what they cannot see shows within this time.
            window: Duration::from_secs(10),
            // Of 20 requests to an endpoint that serves 7 of 10, fewer than half succeed in 2 % of windows.
            minimum_requests: 20,
            // An endpoint that fails more than it serves costs its clients more than its absence does.
            success_percent: 50,
            // A restart takes about this long.
            first_pause: Duration::from_secs(1),
            // How long a healed endpoint stays unused at worst; a probe in 30 s burdens nobody.
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing until its pause is over.
    Open,
    /// Nothing more: one request is under way that decides.
    Probing,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint answered.
    Success,
    /// The endpoint failed.
    Failure,
    /// Nothing is known of the endpoint: the client left, or this process could not even ask.
    Unknown,
}

/// Leave to send one request; goes back with what became of it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a probe that is never settled keeps its endpoint shut for ever"]
pub struct Permit {
    epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Duration },
    Probing,
}

/// The breaker of one endpoint.
///
/// `Closed -> Open` after failures in a row or a bad rate; `Open -> Probing` with the first request after
/// the pause; `Probing -> Closed` or back to `Open` by what becomes of that one request.
///
/// Every time given is one on a clock of the caller's that never goes back.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    /// One more with each change of phase: what requests say that were sent in an earlier one is stale.
    epoch: u64,
    /// Failures since the last success.
    streak: u32,
    /// Pauses since it was last closed.
    pauses: u32,
    window: Window,
}

impl Breaker {
    /// A closed one.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            phase: Phase::Closed,
            epoch: 0,
            streak: 0,
            pauses: 0,
            window: Window::new(settings.window),
        }
    }

    /// What it lets through.
    pub fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::Probing => BreakerState::Probing,
        }
    }

    /// From when on the next request is let through: none while a probe is under way, and the beginning of
    /// time while it is closed.
    pub fn admits_from(&self) -> Option<Duration> {
        match self.phase {
            Phase::Closed => Some(Duration::ZERO),
            Phase::Open { until } => Some(until),
            Phase::Probing => None,
        }
    }

    /// Leave to send a request, if there is. The first after a pause is the probe.
    pub fn admit(&mut self, now: Duration) -> Option<Permit> {
        match self.phase {
            Phase::Closed => {}
            Phase::Open { until } if now >= until => self.enter(Phase::Probing),
            Phase::Open { .. } | Phase::Probing => return None,
        }
        Some(Permit { epoch: self.epoch })
    }

    /// Takes in what became of a request; `random` of `[0, 1)` spreads the pauses of breakers that open
    /// together.
    pub fn settle(&mut self, permit: Permit, verdict: Verdict, now: Duration, random: f64) {
        if permit.epoch != self.epoch {
            return;
        }
        match (self.phase, verdict) {
            // Nothing is sent while it is open, so no permit is of such an epoch.
            (Phase::Open { .. }, _) | (Phase::Closed, Verdict::Unknown) => {}
            (Phase::Closed, Verdict::Success) => {
                self.streak = 0;
                self.window.add(now, true);
            }
            (Phase::Closed, Verdict::Failure) => {
                self.streak = self.streak.saturating_add(1);
                self.window.add(now, false);
                if self.streak >= self.settings.consecutive_failures || self.window.is_bad(now, self.settings)
                {
                    self.open(now, random);
                }
            }
            (Phase::Probing, Verdict::Success) => self.close(),
            (Phase::Probing, Verdict::Failure) => self.open(now, random),
            // The question is still open, and the pause is over.
            (Phase::Probing, Verdict::Unknown) => self.enter(Phase::Open { until: now }),
        }
    }

    /// Closes it and knows nothing any more: there is another endpoint behind the same address.
    pub fn forget(&mut self) {
        self.close();
    }

    fn close(&mut self) {
        self.streak = 0;
        self.pauses = 0;
        self.window = Window::new(self.settings.window);
        self.enter(Phase::Closed);
    }

    fn open(&mut self, now: Duration, random: f64) {
        let doubled = self.settings.first_pause.saturating_mul(1_u32 << self.pauses.min(MOST_DOUBLINGS));
        let spread = 1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0);
        let pause = doubled.min(self.settings.longest_pause).mul_f64(spread);
        self.pauses = self.pauses.saturating_add(1);
        self.enter(Phase::Open { until: now + pause.min(self.settings.longest_pause) });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

/// Pauses differ by a fifth: breakers of many gateways that opened together do not probe together.
const JITTER: f64 = 0.2;

/// Doubled more often, a pause of a millisecond would exceed a month.
const MOST_DOUBLINGS: u32 = 31;

/// Into how many pieces a window is cut: what is forgotten at once is a tenth.
const SLOTS: u32 = 10;

/// Successes and failures of about the last while.
#[derive(Clone, Debug)]
struct Window {
    slot: Duration,
    slots: [Slot; SLOTS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which slot of time it counts, from 1; 0 counts none.
    tick: u64,
    successes: u32,
    failures: u32,
}

impl Window {
    fn new(length: Duration) -> Self {
        // A window of nothing would divide by it.
        let slot = (length / SLOTS).max(Duration::from_millis(1));
        Self { slot, slots: [Slot::default(); SLOTS as usize] }
    }

    fn tick(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos() / self.slot.as_nanos()).map_or(u64::MAX, |tick| tick.saturating_add(1))
    }

    fn add(&mut self, now: Duration, success: bool) {
        let tick = self.tick(now);
        // Below the number of slots, whatever the width of an index.
        let index = usize::try_from(tick % u64::from(SLOTS)).unwrap_or_default();
        let slot = &mut self.slots[index];
        if slot.tick != tick {
            *slot = Slot { tick, ..Slot::default() };
        }
        let count = if success { &mut slot.successes } else { &mut slot.failures };
        *count = count.saturating_add(1);
    }

    fn is_bad(&self, now: Duration, settings: BreakerSettings) -> bool {
        let tick = self.tick(now);
        let (mut successes, mut failures) = (0_u64, 0_u64);
        for slot in self.slots.iter().filter(|slot| slot.tick + u64::from(SLOTS) > tick) {
            successes += u64::from(slot.successes);
            failures += u64::from(slot.failures);
        }
        let all = successes + failures;
        all >= u64::from(settings.minimum_requests)
            && successes * 100 < all * u64::from(settings.success_percent)
    }
}

#[cfg(test)]
mod tests;
