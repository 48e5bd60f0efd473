//! What a pod remembers of its tasks, for a store that forgets.
//!
//! A server that loses its data loses who was accepted and how it ended. The pod that accepted a task remembers the
//! request until somebody runs it, and the pod that ran it how it ended; what runs now, [`super`] knows. All of it is
//! said again after a gap: every step is idempotent, so a store that lost nothing notices nothing.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fundbond_protocol::{TaskEvent, TaskId};
use fundbond_service_runtime::exit::chain;
use fundbond_store::{Attempt, Claimed, Emit, RETENTION, Restored, Standing, StoreError, Submission};
use futures::{TryStreamExt, stream};
use tokio::{sync::Notify, time::Instant};

use crate::{backoff::Backoff, pod::Pod};

/// Bytes of requests remembered that nobody runs yet. A pod that accepts much more than its cluster runs leaves the
/// rest to the store alone.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Tasks that ended whose end is remembered: the work of minutes at the highest rate a pod is built for, and
/// of days at the usual one.
const ENDS: usize = 4_096;

/// Bytes of them remembered, requests and final events; those of funds have tens of kilobytes.
const END_BYTES: usize = 16 * 1024 * 1024;

/// Steps under way at once while repeating: one write of the store's.
const AT_ONCE: usize = 64;

/// An end is not repeated into a store that may have forgotten it because it is old.
const OLDEST: Duration = RETENTION.saturating_sub(Duration::from_hours(1));

struct End {
    at: Instant,
    submission: Arc<Submission>,
    attempt: Attempt,
    event: Emit,
}

impl End {
    fn bytes(&self) -> usize {
        self.submission.body.len() + self.event.json.len()
    }
}

/// A task that somebody else ended: how, the store knows.
#[derive(Clone)]
struct Unread {
    submission: Arc<Submission>,
    attempt: Attempt,
}

#[derive(Default)]
struct Known {
    waiting: HashMap<TaskId, Arc<Submission>>,
    waiting_bytes: usize,
    ended: VecDeque<Arc<End>>,
    ended_bytes: usize,
    unread: VecDeque<Unread>,
}

impl Known {
    fn take_waiting(&mut self, task: &TaskId) -> Option<Arc<Submission>> {
        let submission = self.waiting.remove(task)?;
        self.waiting_bytes -= submission.body.len();
        Some(submission)
    }

    fn remember(&mut self, end: Arc<End>) {
        self.ended_bytes += end.bytes();
        self.ended.push_back(end);
        while self.ended.len() > ENDS || self.ended_bytes > END_BYTES {
            let Some(oldest) = self.ended.pop_front() else { break };
            self.ended_bytes -= oldest.bytes();
        }
    }

    fn read_later(&mut self, unread: Unread) {
        self.unread.push_back(unread);
        if self.unread.len() > ENDS {
            self.unread.pop_front();
        }
    }
}

/// The tasks of one pod.
#[derive(Default)]
pub struct Recall {
    known: Mutex<Known>,
    /// Everything is to be said again.
    wanted: Notify,
    /// There is an end to read.
    unread: Notify,
}

impl Recall {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task is accepted here. Comes before the store knows it, so that nobody can claim it unheard. False where it was
    /// remembered already, or cannot be.
    pub fn accepting(&self, submission: &Submission) -> bool {
        let mut known = self.lock();
        if known.waiting_bytes + submission.body.len() > WAITING_BYTES {
            return false;
        }
        let Entry::Vacant(place) = known.waiting.entry(submission.task.clone()) else { return false };
        place.insert(Arc::new(submission.clone()));
        known.waiting_bytes += submission.body.len();
        true
    }

    /// Somebody runs the task, or it was not accepted after all.
    pub fn taken(&self, task: &TaskId) {
        self.lock().take_waiting(task);
    }

    /// Somebody else ended a task; whoever still remembers its request remembers its end.
    pub(super) fn told(&self, task: &TaskId) {
        let mut known = self.lock();
        if let Some(submission) = known.take_waiting(task) {
            // It was never claimed, so any number is its latest.
            known.read_later(Unread { submission, attempt: Attempt(1) });
            self.unread.notify_one();
        }
    }

    /// Tasks that were accepted here and that nobody is known to run.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// A run has ended its task with `event`, or, without one, somebody else has.
    pub(super) fn ended(&self, claimed: &Claimed, event: Option<Emit>) {
        let (submission, attempt) = (Arc::new(claimed.submission.clone()), claimed.attempt);
        let mut known = self.lock();
        if let Some(event) = event {
            known.remember(Arc::new(End { at: Instant::now(), submission, attempt, event }));
        } else {
            known.read_later(Unread { submission, attempt });
            self.unread.notify_one();
        }
    }

    /// A task that a store which has forgotten nothing knows.
    pub(super) fn witness(&self) -> Option<TaskId> {
        let known = self.lock();
        let end = known.ended.back().filter(|end| end.at.elapsed() < OLDEST);
        end.map(|end| end.submission.task.clone()).or_else(|| known.waiting.keys().next().cloned())
    }

    /// The store may have forgotten: says everything again, soon.
    pub fn repeat(&self) {
        self.wanted.notify_one();
    }

    /// What there is to say again, ends first: somebody waits for them.
    fn all(&self) -> Vec<Said> {
        let known = self.lock();
        let recent = known.ended.iter().filter(|end| end.at.elapsed() < OLDEST);
        let ended = recent.map(|end| Said::Ended(end.clone()));
        ended.chain(known.waiting.values().map(|submission| Said::Waits(submission.clone()))).collect()
    }
}

/// One thing to say again.
enum Said {
    Waits(Arc<Submission>),
    Ended(Arc<End>),
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.lock();
        f.debug_struct("Recall")
            .field("waiting", &known.waiting.len())
            .field("ended", &known.ended.len())
            .finish()
    }
}

/// Says everything again whenever that is wanted, until the pod stops.
pub async fn run(pod: Arc<Pod>) {
    loop {
        let reads = tokio::select! {
            () = pod.runner.recall.wanted.notified() => false,
            () = pod.runner.recall.unread.notified() => true,
            () = pod.stopped.begun() => return,
        };
        let mut backoff = Backoff::default();
        // The bus may be back before the steps are: what was not said or read is later, or nobody would do it.
        while let Err(error) = if reads { read_ends(&pod).await } else { say_all_again(&pod).await } {
            backoff.failed_again("recall", &error);
            tokio::select! {
                () = backoff.wait() => {}
                () = pod.stopped.begun() => return,
            }
        }
    }
}

/// Reads how tasks ended that others ended.
async fn read_ends(pod: &Pod) -> Result<(), StoreError> {
    loop {
        let Some(unread) = pod.runner.recall.lock().unread.pop_front() else { return Ok(()) };
        let task = &unread.submission.task;
        let record = match pod.store.task(task).await {
            Ok(record) => record,
            Err(error @ StoreError::Unreachable(_)) => {
                pod.doubt_store(&error);
                pod.runner.recall.lock().unread.push_front(unread);
                return Err(error);
            }
            // Nobody can read it, and the others are not to wait for it.
            Err(error @ StoreError::Contract(_)) => {
                tracing::error!(correlationId = %task, error = chain(&error), "the end of a task cannot be read");
                continue;
            }
        };
        let json = record.filter(|record| record.is_final).and_then(|record| record.latest);
        let event = json.and_then(|json| serde_json::from_str::<TaskEvent>(&json).ok());
        // One that is not there was lost a moment ago, with everything else.
        let Some(event) = event else { continue };
        let Unread { submission, attempt } = unread;
        let event = Emit::of(&event, &submission.connection);
        pod.runner.recall.lock().remember(Arc::new(End { at: Instant::now(), submission, attempt, event }));
    }
}

async fn say_all_again(pod: &Pod) -> Result<(), StoreError> {
    let all = pod.runner.recall.all();
    let steps = stream::iter(all.into_iter().map(Ok));
    steps.try_for_each_concurrent(AT_ONCE, |said| say_again(pod, said)).await
}

async fn say_again(pod: &Pod, said: Said) -> Result<(), StoreError> {
    match said {
        Said::Waits(submission) => {
            if pod.store.restore(&submission, &Standing::Waiting).await? != Restored::Waiting {
                pod.runner.recall.taken(&submission.task);
            }
        }
        Said::Ended(end) => {
            // Known again as the run that it was, so that nobody begins another before its end is told.
            let standing = Standing::Running(pod.identity.id(), end.attempt);
            if pod.store.restore(&end.submission, &standing).await? != Restored::Lost {
                pod.store.emit(&end.event).await?;
            }
        }
    }
    Ok(())
}
