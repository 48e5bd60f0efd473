//! Time: `tokio::time` for lifetimes, microseconds since the Unix epoch for names.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A clock whose microseconds never repeat, however the data is rolled back.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    started_at: Duration,
    last: u64,
}

impl Clock {
    pub(super) fn new(started_at: Timestamp) -> Self {
        let started_at = Duration::try_from(started_at.as_duration()).unwrap_or_default();
        Self { started: Instant::now(), started_at, last: 0 }
    }

    /// Microseconds since the Unix epoch, greater than any told before.
    pub(super) fn tick(&mut self, now: Instant) -> u64 {
        let wall = self.started_at + now.duration_since(self.started);
        // 64 bits of microseconds reach 584,000 years.
        let wall = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
        self.last = wall.max(self.last + 1);
        self.last
    }

    /// Never tells `micros` or less from now on.
    pub(super) fn pass(&mut self, micros: u64) {
        self.last = self.last.max(micros);
    }

    /// The wall clock's time at `now`.
    pub(super) fn timestamp(&self, now: Instant) -> Timestamp {
        let wall = self.started_at + now.duration_since(self.started);
        // Fails only past the year 9999.
        Timestamp::UNIX_EPOCH.checked_add(wall).unwrap_or(Timestamp::MAX)
    }
}
