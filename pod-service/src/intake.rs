//! Large requests, a few at a time.
//!
//! A request takes some ten times its length while it is parsed, so that many large ones at once would take all the memory of
//! a pod that has enough for each. They wait for their turn with their bodies unread, which holds back whoever sends them;
//! one that waits too long is told to come again.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::blocking::{BrokeOff, on_thread};

/// Requests above this wait for a turn, and are parsed on a thread of their own: a fund of 20,000 holdings takes tens of
/// milliseconds, for which no stream should wait.
pub const SMALL_REQUEST: usize = 64 * 1024;

/// Bytes of large requests that are read, parsed and written down at once: six funds of 20,000 holdings, of which slow
/// senders may hold up some.
const READING: usize = 32 * 1024 * 1024;

/// How long a request waits for its turn: shorter than gateways wait for a body to be read on.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns of one pod.
#[derive(Debug)]
pub struct Intake {
    /// Bytes that may be read.
    reading: Arc<Semaphore>,
    room: u32,
    /// One for each core: more would take memory and no less time.
    parsing: Semaphore,
}

/// There was no turn in time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many large requests at once")]
pub struct Crowded;

/// Holds the place of a request, where it is a large one, until it is dropped.
pub type Turn = Option<OwnedSemaphorePermit>;

impl Intake {
    /// For requests of at most `max_body` bytes.
    pub fn new(max_body: usize) -> Self {
        let room = u32::try_from(READING.max(max_body)).unwrap_or(u32::MAX);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { reading: Arc::new(Semaphore::new(room as usize)), room, parsing: Semaphore::new(cores) }
    }

    /// Waits until a request of so many bytes may be read.
    ///
    /// # Errors
    /// [`Crowded`] after ten seconds.
    pub async fn turn(&self, bytes: u64) -> Result<Turn, Crowded> {
        if bytes <= SMALL_REQUEST as u64 {
            return Ok(None);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.room);
        match timeout(PATIENCE, self.reading.clone().acquire_many_owned(bytes)).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Crowded),
        }
    }

    /// Parses a request of so many bytes: a large one on a thread of its own, after those that are being parsed.
    ///
    /// # Errors
    /// [`BrokeOff`].
    pub async fn parse<T: Send + 'static>(
        &self,
        bytes: usize,
        parse: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BrokeOff> {
        if bytes <= SMALL_REQUEST {
            return Ok(parse());
        }
        let _turn = self.parsing.acquire().await.map_err(|_| BrokeOff)?;
        on_thread(parse).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn large_requests_wait_for_room_and_small_ones_do_not() {
        let intake = Intake::new(8 * 1024 * 1024);
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(intake.turn(8 * MIB).await.unwrap());
        }
        assert!(intake.turn(1000).await.unwrap().is_none());
        assert_eq!(intake.turn(MIB).await.unwrap_err(), Crowded);
        let ((), turn) = tokio::join!(
            async {
                tokio::time::sleep(PATIENCE / 2).await;
                turns.pop();
            },
            intake.turn(8 * MIB)
        );
        assert!(turn.unwrap().is_some());
    }

    #[tokio::test]
    async fn one_request_always_has_room() {
        let intake = Intake::new(100 * 1024 * 1024);
        assert!(intake.turn(100 * MIB).await.is_ok());
        assert!(intake.turn(u64::MAX).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_are_parsed_at_once_than_there_are_cores() {
        let intake = Arc::new(Intake::new(0));
        let cores = std::thread::available_parallelism().unwrap().get();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all = (0..4 * cores).map(|_| {
            let (intake, now, most) = (intake.clone(), now.clone(), most.clone());
            tokio::spawn(async move {
                let parse = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                intake.parse(SMALL_REQUEST + 1, parse).await
            })
        });
        for one in futures::future::join_all(all).await {
            one.unwrap().unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= cores);
    }

    #[tokio::test]
    async fn a_panic_breaks_off_and_the_next_has_its_turn() {
        let intake = Intake::new(0);
        let large = SMALL_REQUEST + 1;
        for _ in 0..64 {
            assert_eq!(intake.parse(large, || panic!("as asked")).await, Err::<(), _>(BrokeOff));
        }
        assert_eq!(intake.parse(large, || 1).await, Ok(1));
    }
}
