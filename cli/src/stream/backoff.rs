//! Whether and when to open again. No clock, no randomness: both are arguments.

use std::time::Duration;

use fundbond_protocol::event::HEARTBEAT_INTERVAL;
use tokio::time::Instant;

/// The figures of a stream's patience.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Delay before the first try; it doubles with each further one.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// How far a delay strays to either side, so that the clients of a lost pod do not come back as one.
    pub jitter: f64,
    /// Tries before giving up: with doubling to 30 s about three minutes, longer than any rollout of ours.
    pub tries: u32,
    /// A stream that stayed open this long was a good one: the next loss starts counting anew.
    pub healthy: Duration,
    /// A stream without a byte for this long is dead: two and a half heartbeats of 10 s.
    pub silence: Duration,
    /// The longest delay a server may wish for: past five minutes a person wants to be told instead.
    pub longest_wish: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            jitter: 0.2,
            tries: 10,
            healthy: Duration::from_secs(10),
            silence: HEARTBEAT_INTERVAL.mul_f64(2.5),
            longest_wish: Duration::from_mins(5),
        }
    }
}

/// What to do about a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Open again after a while.
    Retry {
        /// Which try this is, from 1.
        try_number: u32,
        /// How long to wait before it.
        after: Duration,
    },
    /// It was tried often enough.
    GiveUp,
}

/// Counts tries and remembers what the server wished for.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: Policy,
    tries: u32,
    wish: Option<Duration>,
    opened_at: Option<Instant>,
}

impl Backoff {
    /// Before the first open.
    pub fn new(policy: Policy) -> Self {
        Self { policy, tries: 0, wish: None, opened_at: None }
    }

    /// The stream is open as of `now`.
    pub fn opened(&mut self, now: Instant) {
        self.opened_at = Some(now);
    }

    /// The server asks not to be opened again sooner than `delay` after the next loss (`retry:` or
    /// `Retry-After`). Holds until it says something else, as with a browser's `EventSource`.
    pub fn wish(&mut self, delay: Duration) {
        self.wish = Some(delay.min(self.policy.longest_wish));
    }

    /// The stream was lost, or a try failed, at `now`. `jitter` is drawn from -1 to 1.
    pub fn lost(&mut self, now: Instant, jitter: f64) -> Verdict {
        let healthy = |since: Instant| now.saturating_duration_since(since) >= self.policy.healthy;
        if self.opened_at.take().is_some_and(healthy) {
            self.tries = 0;
        }
        if self.tries >= self.policy.tries {
            return Verdict::GiveUp;
        }
        let doubled = self.policy.first.saturating_mul(2_u32.saturating_pow(self.tries));
        let delay =
            doubled.min(self.policy.longest).mul_f64(1.0 + self.policy.jitter * jitter.clamp(-1.0, 1.0));
        self.tries += 1;
        // A wish is already jittered where it was made.
        Verdict::Retry { try_number: self.tries, after: delay.max(self.wish.unwrap_or_default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Retry { after, .. } => after.as_secs(),
            Verdict::GiveUp => 0,
        }
    }

    #[test]
    fn delays_double_to_thirty_seconds_and_end_after_ten_tries() {
        let now = Instant::now();
        let mut backoff = Backoff::new(Policy::default());
        let delays: Vec<u64> = (0..11).map(|_| seconds(backoff.lost(now, 0.0))).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 0]);
        assert_eq!(backoff.lost(now, 0.0), Verdict::GiveUp);
    }

    #[test]
    fn ten_healthy_seconds_start_the_count_anew_and_less_does_not() {
        let now = Instant::now();
        for (open_for, want) in [(9_999, 4), (10_000, 1)] {
            let mut backoff = Backoff::new(Policy::default());
            backoff.lost(now, 0.0);
            backoff.lost(now, 0.0);
            backoff.opened(now);
            let lost = backoff.lost(now + Duration::from_millis(open_for), 0.0);
            assert_eq!(seconds(lost), want, "open for {open_for} ms");
        }
    }

    #[test]
    fn the_servers_wish_is_the_least_delay_and_is_bounded() {
        let now = Instant::now();
        let mut backoff = Backoff::new(Policy::default());
        backoff.wish(Duration::from_secs(7));
        let delays: Vec<u64> = (0..5).map(|_| seconds(backoff.lost(now, 0.0))).collect();
        assert_eq!(delays, [7, 7, 7, 8, 16]);
        backoff.wish(Duration::MAX);
        assert_eq!(seconds(backoff.lost(now, 0.0)), 300);
    }

    proptest! {
        #[test]
        fn a_delay_strays_by_a_fifth_at_most(jitter in -2.0..2.0_f64, losses in 1..10_u32) {
            let now = Instant::now();
            let mut backoff = Backoff::new(Policy::default());
            let mut last = Verdict::GiveUp;
            for _ in 0..losses {
                last = backoff.lost(now, jitter);
            }
            let middle = f64::from(2_u32.pow(losses - 1)).min(30.0);
            let Verdict::Retry { try_number, after } = last else { panic!("gave up after {losses}") };
            prop_assert_eq!(try_number, losses);
            prop_assert!((middle * 0.8..=middle * 1.2).contains(&after.as_secs_f64()), "{:?}", after);
        }
    }
}
