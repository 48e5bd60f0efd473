//! What a pod remembers of the tasks it accepted, for a store that forgets.
//!
//! A server that loses its data loses who was accepted and how it ended. The pod says it again: every step is
//! idempotent, so a store that lost nothing notices nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fundbond_protocol::TaskId;
use fundbond_store::{Emit, RETENTION, StoreError, Submission};
use futures::{TryStreamExt, stream};
use tokio::{sync::Notify, time::Instant};

use crate::{backoff::Backoff, pod::Pod};

/// Tasks that ended whose end is remembered: the work of minutes at the highest rate a pod is built for, and
/// of days at the usual one.
const ENDS: usize = 4_096;

/// Bytes of final events remembered; results of funds have tens of kilobytes.
const END_BYTES: usize = 16 * 1024 * 1024;

/// Steps under way at once while repeating: one write of the store's.
const AT_ONCE: usize = 64;

/// An end is not repeated into a store that may have forgotten it because it is old.
const OLDEST: Duration = RETENTION.saturating_sub(Duration::from_hours(1));

struct End {
    at: Instant,
    submission: Arc<Submission>,
    event: Emit,
}

#[derive(Default)]
struct Known {
    running: HashMap<TaskId, Arc<Submission>>,
    ended: VecDeque<Arc<End>>,
    bytes: usize,
}

/// The tasks of one pod.
#[derive(Default)]
pub struct Recall {
    known: Mutex<Known>,
    wanted: Notify,
}

impl Recall {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task was accepted here.
    pub(super) fn accepted(&self, submission: Arc<Submission>) {
        self.lock().running.insert(submission.task.clone(), submission);
    }

    /// A task's run is over; `event` is its end, if it was the run that ended it.
    pub(super) fn ended(&self, task: &TaskId, event: Option<Emit>) {
        let mut known = self.lock();
        let (Some(submission), Some(event)) = (known.running.remove(task), event) else { return };
        known.bytes += event.json.len();
        known.ended.push_back(Arc::new(End { at: Instant::now(), submission, event }));
        while known.ended.len() > ENDS || known.bytes > END_BYTES {
            let Some(oldest) = known.ended.pop_front() else { break };
            known.bytes -= oldest.event.json.len();
        }
    }

    /// The store may have forgotten: says everything again, soon.
    pub fn repeat(&self) {
        self.wanted.notify_one();
    }

    /// What there is to say again, ends first: somebody waits for them.
    fn all(&self) -> Vec<(Arc<Submission>, Option<Arc<End>>)> {
        let known = self.lock();
        let recent = known.ended.iter().filter(|end| end.at.elapsed() < OLDEST);
        let ended = recent.map(|end| (end.submission.clone(), Some(end.clone())));
        ended.chain(known.running.values().map(|submission| (submission.clone(), None))).collect()
    }
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.lock();
        f.debug_struct("Recall")
            .field("running", &known.running.len())
            .field("ended", &known.ended.len())
            .finish()
    }
}

/// Says everything again whenever that is wanted, until the pod stops.
pub async fn run(pod: Arc<Pod>) {
    loop {
        tokio::select! {
            () = pod.runner.recall.wanted.notified() => {}
            () = pod.stopped.begun() => return,
        }
        let mut backoff = Backoff::default();
        // The bus may be back before the steps are: what was not said is said later, or nobody would say it.
        while let Err(error) = say_all_again(&pod).await {
            backoff.failed("recall", &error);
            tokio::select! {
                () = backoff.wait() => {}
                () = pod.stopped.begun() => return,
            }
        }
    }
}

async fn say_all_again(pod: &Pod) -> Result<(), StoreError> {
    let all = pod.runner.recall.all();
    let steps = stream::iter(all.into_iter().map(Ok));
    steps.try_for_each_concurrent(AT_ONCE, |known| say_again(pod, known)).await
}

async fn say_again(pod: &Pod, known: (Arc<Submission>, Option<Arc<End>>)) -> Result<(), StoreError> {
    let (submission, end) = known;
    pod.store.submit(&submission).await?;
    if let Some(end) = end {
        pod.store.emit(&end.event).await?;
    }
    Ok(())
}
