//! What time it is on the server, as far as can be known from here.
//!
//! The server said its time somewhere between a question and the answer, so every moment of this process has an
//! earliest and a latest time there. Two moments whose times overlap are in no order.

use std::time::Duration;

use tokio::time::Instant;

/// Two clocks drift apart by no more: what a clock that is being corrected may do, and ten times what an uncorrected one
/// does.
const DRIFT: f64 = 500e-6;

/// When a moment was, on the server's clock: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When {
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

/// The server's clock, read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    micros: u64,
    sent: Instant,
    received: Instant,
}

impl ServerClock {
    /// The server said `micros` between these two moments.
    pub(super) fn new(micros: u64, sent: Instant, received: Instant) -> Self {
        Self { micros, sent, received }
    }

    /// When `moment` was there.
    pub(super) fn when(&self, moment: Instant) -> When {
        let age = moment.max(self.received) - moment.min(self.sent);
        let drift = micros(age.mul_f64(DRIFT));
        When {
            earliest: shifted(self.micros, self.received, moment).saturating_sub(drift),
            latest: shifted(self.micros, self.sent, moment).saturating_add(drift),
        }
    }

    /// The better of two readings at `now`: the narrower one, and the newer one where both cannot be true: somebody set
    /// the server's clock.
    pub(super) fn better(self, newer: Self, now: Instant) -> Self {
        let (old, new) = (self.when(now), newer.when(now));
        let contradict = old.latest < new.earliest || new.latest < old.earliest;
        if contradict || new.latest - new.earliest <= old.latest - old.earliest { newer } else { self }
    }

    /// Whether the server's clock can show `micros` between these two moments.
    pub(super) fn allows(&self, micros: u64, sent: Instant, received: Instant) -> bool {
        (self.when(sent).earliest..=self.when(received).latest).contains(&micros)
    }
}

/// `micros` at `from`, moved on or back to `moment`.
fn shifted(at: u64, from: Instant, moment: Instant) -> u64 {
    let ahead = micros(moment.saturating_duration_since(from));
    let behind = micros(from.saturating_duration_since(moment));
    at.saturating_add(ahead).saturating_sub(behind)
}

fn micros(duration: Duration) -> u64 {
    // 64 bits of microseconds reach 584,000 years.
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_moment_lies_between_question_and_answer() {
        let sent = Instant::now();
        let clock = ServerClock::new(5_000_000, sent, sent + 4 * MILLI);
        let when = clock.when(sent + 4 * MILLI);
        // 2 µs of drift in 4 ms.
        assert_eq!(when, When { earliest: 5_000_000 - 2, latest: 5_004_000 + 2 });
        let before = clock.when(sent);
        assert_eq!(before, When { earliest: 4_996_000 - 2, latest: 5_000_000 + 2 });
    }

    #[test]
    fn what_is_known_grows_old() {
        let sent = Instant::now();
        let clock = ServerClock::new(5_000_000, sent, sent);
        let when = clock.when(sent + Duration::from_secs(10));
        assert_eq!(when, When { earliest: 15_000_000 - 5_000, latest: 15_000_000 + 5_000 });
        let narrow = ServerClock::new(15_000_100, sent + 9_999 * MILLI, sent + 10_001 * MILLI);
        assert_eq!(
            clock.better(narrow, sent + 10_001 * MILLI).micros,
            15_000_100,
            "the newer one is narrower"
        );
        let wide = ServerClock::new(15_000_100, sent + 9_900 * MILLI, sent + 10_001 * MILLI);
        assert_eq!(clock.better(wide, sent + 10_001 * MILLI).micros, 5_000_000, "the older one still is");
    }

    #[test]
    fn a_clock_that_was_set_is_believed() {
        let sent = Instant::now();
        let clock = ServerClock::new(3_600_000_000, sent, sent + MILLI);
        for set in [1_000_000, 7_200_000_000] {
            let newer = ServerClock::new(set, sent + 2 * MILLI, sent + 900 * MILLI);
            assert_eq!(clock.better(newer, sent + 900 * MILLI).micros, set);
            assert!(!clock.allows(set, sent + 2 * MILLI, sent + 900 * MILLI));
        }
        assert!(clock.allows(3_600_500_000, sent + 2 * MILLI, sent + 900 * MILLI));
    }
}
