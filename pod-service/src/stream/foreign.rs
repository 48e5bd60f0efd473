//! Events of publishers that are not ours: taken for a stream by the pod that holds it, one after another, and at most
//! once, as they were published. The log then brings them to the reader like any other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fundbond_protocol::Unusable;
use fundbond_service_runtime::exit::chain;
use fundbond_store::{Foreign, Taken};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    metrics::{Metrics, OutcomeLabels, ReasonLabels},
    pod::Pod,
};

/// Events that wait for the store. At a tenth of a millisecond each they are a tenth of a second behind at most; of
/// the largest size, a quarter of a gigabyte, which nobody's events are.
const WAITING: usize = 1_024;

/// Faults of other publishers are logged at most this often; all of them are counted.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// What the queue gives to [`run`].
pub type Receiver = mpsc::Receiver<Foreign>;

/// Where the hub leaves what this pod takes, and what cannot be taken.
#[derive(Debug)]
pub struct Desk {
    queue: mpsc::Sender<Foreign>,
    unusable: Mutex<Seldom>,
    dropped: Mutex<Seldom>,
}

impl Desk {
    /// A new one.
    pub fn new() -> (Self, Receiver) {
        let (queue, receiver) = mpsc::channel(WAITING);
        (Self { queue, unusable: Mutex::default(), dropped: Mutex::default() }, receiver)
    }

    /// Leaves an event to be logged, or drops it where too many wait.
    pub fn take(&self, metrics: &Metrics, event: Foreign) {
        if self.queue.try_send(event).is_err() {
            self.dropped(metrics, 1);
        }
    }

    /// More was published than this pod keeps up with.
    pub fn dropped(&self, metrics: &Metrics, events: u64) {
        if events == 0 {
            return;
        }
        count(metrics, "dropped", events);
        if let Some(before) = speak(&self.dropped) {
            tracing::warn!(
                events,
                suppressed = before,
                "foreign events were dropped: more are published than this pod can look at"
            );
        }
    }

    /// Somebody published what cannot become an event.
    pub fn unusable(&self, metrics: &Metrics, why: &Unusable) {
        metrics.foreign_unusable.get_or_create(&ReasonLabels { reason: why.reason() }).inc();
        if let Some(before) = speak(&self.unusable) {
            tracing::warn!(error = chain(why), suppressed = before, "a foreign event cannot be used");
        }
    }
}

fn speak(seldom: &Mutex<Seldom>) -> Option<u64> {
    seldom.lock().unwrap_or_else(PoisonError::into_inner).speak()
}

/// Logs what is taken, until the pod stops. In order, so that a publisher's events stay as it sent them.
pub async fn run(pod: Arc<Pod>, mut queue: Receiver) {
    let mut failures = Seldom::default();
    loop {
        let taken = tokio::select! {
            taken = queue.recv() => taken,
            () = pod.stopped.begun() => return,
        };
        let Some(foreign) = taken else { return };
        let outcome = match pod.store.foreign(&foreign).await {
            Ok(Taken::Logged) => "logged",
            Ok(Taken::Duplicate) => "duplicate",
            Ok(Taken::AfterFinal) => "after-final",
            Ok(Taken::NotHeld) => "not-held",
            Err(error) => {
                // Published at most once, so nobody expects it to be tried again.
                if let Some(before) = failures.speak() {
                    tracing::warn!(
                        correlationId = %foreign.event.task,
                        error = chain(&error),
                        suppressed = before,
                        "a foreign event was lost: the store did not take it"
                    );
                }
                "failed"
            }
        };
        count(&pod.metrics, outcome, 1);
    }
}

/// Counts foreign events by what became of them.
fn count(metrics: &Metrics, outcome: &'static str, events: u64) {
    metrics.foreign_events.get_or_create(&OutcomeLabels { outcome }).inc_by(events);
}

/// Lets a word through once a minute.
#[derive(Debug, Default)]
struct Seldom {
    last: Option<Instant>,
    silent: u64,
}

impl Seldom {
    /// How many times nothing was said since the last word, if now is the time for one.
    fn speak(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < COMPLAIN_EVERY) {
            self.silent += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_word_a_minute_says_how_many_were_kept_back() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.speak(), Some(0));
        for _ in 0..1_000 {
            assert_eq!(seldom.speak(), None);
        }
        tokio::time::advance(COMPLAIN_EVERY).await;
        assert_eq!(seldom.speak(), Some(1_000));
        assert_eq!(seldom.speak(), None);
    }
}
