//! The time of the simulator: tokio's, from a fixed day on, so that a run under paused time always has the same times.

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant};

/// Midnight of the first day of 2026, in seconds.
const FIRST_DAY: i64 = 1_767_225_600;

/// Since when it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The time as objects have it: whole seconds.
    pub(crate) fn stamp(&self) -> String {
        let seconds = i64::try_from(self.elapsed().as_secs()).unwrap_or(i64::MAX);
        let start = Timestamp::constant(FIRST_DAY, 0);
        start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX).to_string()
    }
}
