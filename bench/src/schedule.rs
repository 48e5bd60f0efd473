//! When each event is due, whatever became of the ones before it: what is late is counted from here, so a server
//! that stalls is charged for every event that waited meanwhile. Pure.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Events spread evenly over time, and in turn over streams.
#[derive(Debug)]
pub struct Schedule {
    begun: OnceLock<Instant>,
    gap: Duration,
    streams: u64,
}

/// One event: which stream's, and its number there from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The stream.
    pub stream: usize,
    /// Its step.
    pub step: u64,
}

impl Schedule {
    /// `rate` events a second over `streams` streams, once it has begun.
    pub fn new(rate: u32, streams: usize) -> Self {
        Self { begun: OnceLock::new(), gap: Duration::from_secs(1) / rate, streams: streams as u64 }
    }

    /// Begins, unless it has.
    pub fn begin(&self, at: Instant) {
        self.begun.get_or_init(|| at);
    }

    /// Event `number`, from 0.
    pub fn slot(&self, number: u64) -> Slot {
        let stream = usize::try_from(number % self.streams).unwrap_or_default();
        Slot { stream, step: number / self.streams + 1 }
    }

    /// When an event is due; `None` before the beginning, and for what is not on the schedule.
    pub fn due(&self, slot: Slot) -> Option<Instant> {
        let number = slot.step.checked_sub(1)? * self.streams + slot.stream as u64;
        let nanos = u64::try_from(self.gap.as_nanos()).ok()?.checked_mul(number)?;
        Some(*self.begun.get()? + Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_their_turns_and_events_their_times() {
        let schedule = Schedule::new(1_000, 3);
        assert_eq!(schedule.slot(0), Slot { stream: 0, step: 1 });
        assert_eq!(schedule.slot(4), Slot { stream: 1, step: 2 });
        assert_eq!(schedule.due(schedule.slot(4)), None);
        let now = Instant::now();
        schedule.begin(now);
        schedule.begin(now + Duration::from_secs(9));
        for number in [0, 4, 70_000] {
            assert_eq!(schedule.due(schedule.slot(number)), Some(now + Duration::from_millis(number)));
        }
        assert_eq!(schedule.due(Slot { stream: 0, step: 0 }), None);
    }
}
