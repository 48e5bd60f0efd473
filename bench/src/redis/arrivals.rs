//! Which events have come where they belong. Pure counting, with a bell for whoever waits.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Arrivals by stream.
#[derive(Debug)]
pub struct Arrivals {
    streams: Box<[Arrival]>,
    /// How many must report an event before it has arrived.
    reports: u64,
}

#[derive(Debug, Default)]
struct Arrival {
    reported: AtomicU64,
    bell: Notify,
}

impl Arrivals {
    /// Arrivals on so many streams; an event has arrived once so many have reported it.
    pub fn new(streams: usize, reports: usize) -> Self {
        let streams = (0..streams).map(|_| Arrival::default()).collect();
        Self { streams, reports: reports as u64 }
    }

    /// Reports one event of a stream.
    pub fn report(&self, stream: usize) {
        let arrival = &self.streams[stream];
        let reported = arrival.reported.fetch_add(1, Ordering::AcqRel) + 1;
        if reported.is_multiple_of(self.reports) {
            arrival.bell.notify_one();
        }
    }

    /// Waits until `events` of a stream have arrived. One waits for a stream at a time.
    pub async fn wait(&self, stream: usize, events: u64) {
        let arrival = &self.streams[stream];
        while arrival.reported.load(Ordering::Acquire) < events * self.reports {
            arrival.bell.notified().await;
        }
    }

    /// Events of all streams that have arrived whole.
    pub fn total(&self) -> u64 {
        self.streams.iter().map(|arrival| arrival.reported.load(Ordering::Acquire) / self.reports).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn an_event_has_arrived_once_everybody_reported_it() {
        let arrivals = Arrivals::new(2, 3);
        for _ in 0..3 {
            assert!(arrivals.wait(1, 1).now_or_never().is_none());
            arrivals.report(1);
        }
        assert!(arrivals.wait(1, 1).now_or_never().is_some());
        assert!(arrivals.wait(0, 1).now_or_never().is_none());
        assert_eq!(arrivals.total(), 1);
    }
}
