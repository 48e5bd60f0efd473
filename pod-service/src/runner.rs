//! Runs accepted tasks: claims what waits in the store, a few at a time, and for each says one row of events that ends in
//! exactly one final event, whatever happens in between.
//!
//! Flow: the [`claimer`] claims as many tasks as there is room for -> each run parses its request, does the
//! [work](perform) and [speaks](speaker) -> the final event ends the claim. A run that is over before its task (the pod
//! drains, or another pod has the task by now) ends without a word: somebody else says the rest, under the same event
//! ids. What this pod accepted or runs is kept in [`recall`], for a store that forgets.

mod claimer;
mod perform;
pub mod recall;
mod speaker;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fundbond_protocol::TaskId;
use fundbond_store::{Attempt, Claimed, MOST_DEATHS};
use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    blocking::BrokeOff,
    intake::Intake,
    metrics::TaskLabels,
    pod::Pod,
    work::{Said, Stopped, Work, kind_label},
};
use perform::perform;
use speaker::Speaker;

pub use claimer::run as claim_and_run;
pub use speaker::cancelled;

/// The tasks of one pod.
#[derive(Debug, Default)]
pub struct Runner {
    /// What runs here.
    runs: Mutex<HashMap<TaskId, Arc<Run>>>,
    /// What it can say again.
    pub recall: recall::Recall,
    /// Tasks on their way into the store.
    accepting: AtomicUsize,
    /// There may be a task to claim.
    work: Notify,
    /// The store may not know what runs here.
    hold: Notify,
}

/// One run of a task on this pod.
#[derive(Debug)]
struct Run {
    claimed: Claimed,
    stop: CancellationToken,
    why: OnceLock<Stopped>,
}

impl Run {
    fn new(claimed: Claimed) -> Arc<Self> {
        Arc::new(Self { claimed, stop: CancellationToken::new(), why: OnceLock::new() })
    }

    /// Stops it. The first reason counts.
    fn stop(&self, why: Stopped) {
        let _ = self.why.set(why);
        self.stop.cancel();
    }

    fn why(&self) -> Stopped {
        self.why.get().cloned().unwrap_or(Stopped::Told)
    }

    fn attempt(&self) -> (TaskId, Attempt) {
        (self.claimed.submission.task.clone(), self.claimed.attempt)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Completed,
    Failed,
    /// Somebody else ended the task.
    Cancelled,
    /// The task goes on without this run.
    Left,
}

impl Ended {
    fn label(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Left => "LEFT",
        }
    }
}

/// Counts a task on its way into the store.
#[derive(Debug)]
pub struct Accepting<'a>(&'a AtomicUsize);

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Runner {
    fn runs(&self) -> MutexGuard<'_, HashMap<TaskId, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task is about to be accepted: a pod that ends with its store waits for it.
    pub fn accepting(&self) -> Accepting<'_> {
        self.accepting.fetch_add(1, Ordering::Acquire);
        Accepting(&self.accepting)
    }

    /// Somebody ended a task: its run stops, if it is here.
    pub fn ended(&self, task: &TaskId) {
        self.recall.told(task);
        self.stop(task, Stopped::Told);
    }

    fn stop(&self, task: &TaskId, why: Stopped) {
        if let Some(run) = self.runs().get(task) {
            run.stop(why);
        }
    }

    /// There may be a task to claim.
    pub fn wake(&self) {
        self.work.notify_one();
    }

    /// Repeats to the store what runs here, soon.
    pub fn hold_soon(&self) {
        self.hold.notify_one();
    }

    /// Tasks that run here.
    pub fn busy(&self) -> usize {
        self.runs().len()
    }

    fn attempts(&self) -> Vec<(TaskId, Attempt)> {
        self.runs().values().map(|run| run.attempt()).collect()
    }

    /// Whether this pod has nothing to do for any task. What waits in a store that others share is theirs as well.
    fn is_idle(&self, shared: bool) -> bool {
        self.busy() == 0
            && (shared || self.accepting.load(Ordering::Acquire) == 0 && self.recall.waiting() == 0)
    }
}

/// Waits until this pod has nothing to do for any task.
pub async fn idle(pod: &Pod) {
    // Asked rather than signalled: this runs once in a process's life, and only while it drains.
    while !pod.runner.is_idle(pod.store.is_shared()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lists the run before anything else happens to it.
fn begin(pod: &Pod, claimed: Claimed) -> Arc<Run> {
    let run = Run::new(claimed);
    let task = run.claimed.submission.task.clone();
    // An earlier run of it here has lost the task, and may not have noticed.
    if let Some(earlier) = pod.runner.runs().insert(task, run.clone()) {
        earlier.stop(Stopped::Left);
    }
    run
}

async fn run(pod: Arc<Pod>, run: Arc<Run>) {
    let submission = &run.claimed.submission;
    let span = tracing::error_span!(
        "task",
        traceId = %submission.trace,
        correlationId = %submission.task,
        connectionId = %submission.connection,
    );
    run_to_its_end(&pod, &run).instrument(span).await;
    let mut runs = pod.runner.runs();
    if runs.get(&submission.task).is_some_and(|listed| Arc::ptr_eq(listed, &run)) {
        runs.remove(&submission.task);
    }
}

async fn run_to_its_end(pod: &Pod, run: &Run) {
    let Claimed { submission, deaths, .. } = &run.claimed;
    if *deaths > 0 {
        tracing::info!(deaths, "running a task again whose pod died");
    }
    pod.metrics.tasks_running.inc();
    let mut speaker = Speaker::new(pod, &run.claimed);
    let ended = tokio::select! {
        biased;
        () = run.stop.cancelled() => Err(run.why()),
        // A panic has told itself, in the span of its task.
        ended = AssertUnwindSafe(work(&pod.intake, &mut speaker, run)).catch_unwind() => ended.unwrap_or_else(|_| Err(BrokeOff.into())),
    };
    let (ended, event) = speaker.conclude(ended).await;
    if ended != Ended::Left {
        pod.runner.recall.ended(&run.claimed, event);
    }
    pod.metrics.tasks_running.dec();
    let seconds = Timestamp::now().duration_since(submission.accepted_at).as_secs_f64().max(0.0);
    if ended == Ended::Left {
        tracing::info!(kind = submission.kind, seconds, "run ended before its task");
        pod.metrics.task_runs_left.inc();
    } else {
        tracing::info!(kind = submission.kind, status = ended.label(), seconds, "task ended");
        let labels = TaskLabels { kind: kind_label(&submission.kind), status: ended.label() };
        pod.metrics.task_seconds.get_or_create(&labels).observe(seconds);
    }
}

/// Reads what is to be done and does it.
async fn work(intake: &Intake, speaker: &mut Speaker<'_>, run: &Run) -> Result<Said, Stopped> {
    let work = read(intake, &run.claimed).await?;
    perform(speaker, work, &run.stop).await
}

impl From<BrokeOff> for Stopped {
    fn from(broke_off: BrokeOff) -> Self {
        Self::Failed(format!("the calculation {broke_off}"))
    }
}

/// The work of a claimed task; an error says why it cannot be done.
async fn read(intake: &Intake, claimed: &Claimed) -> Result<Work, Stopped> {
    if claimed.deaths >= MOST_DEATHS {
        let message = format!(
            "{} pods died while they ran this task, so it is not given to another; look at their logs before it is \
             submitted again under a new id",
            claimed.deaths
        );
        return Err(Stopped::Failed(message));
    }
    let body = claimed.submission.body.clone();
    if body.is_empty() {
        let message = "the store has lost the request of this task; submit it again under a new id";
        return Err(Stopped::Failed(message.to_owned()));
    }
    let kind = claimed.submission.kind.clone();
    let parse = move || {
        let fields = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let parsed = Work::parse(&kind, fields).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
            problems.join("; ")
        })?;
        Ok(parsed.work)
    };
    let bytes = claimed.submission.body.len();
    let parsed: Result<Work, String> = intake.parse(bytes, parse).await?;
    // Another version of this program accepted it.
    parsed.map_err(|why| Stopped::Failed(format!("this pod cannot read the request of the task: {why}")))
}

#[cfg(test)]
mod tests {
    use fundbond_protocol::{ClusterId, ConnectionId, PodId, TraceId};
    use fundbond_store::Submission;

    use super::*;

    fn claimed(kind: &str, body: &str, deaths: u32) -> Claimed {
        let submission = Submission {
            task: TaskId::parse("t").unwrap(),
            connection: ConnectionId::parse("c").unwrap(),
            cluster: ClusterId::parse("k").unwrap(),
            pod: PodId::parse("pod-a-1~aaaaaaaa").unwrap(),
            kind: kind.into(),
            fingerprint: [0; 32],
            accepted_at: Timestamp::UNIX_EPOCH,
            trace: TraceId::of_random(1),
            body: body.into(),
        };
        Claimed { submission, attempt: Attempt(1), deaths }
    }

    async fn refusal(claimed: Claimed) -> String {
        match read(&Intake::new(0), &claimed).await {
            Err(Stopped::Failed(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_task_is_given_to_three_pods_and_not_to_a_fourth() {
        let body = r#"{"count":1}"#;
        assert!(read(&Intake::new(0), &claimed("steps", body, MOST_DEATHS - 1)).await.is_ok());
        let message = refusal(claimed("steps", body, MOST_DEATHS)).await;
        assert!(message.starts_with("3 pods died while they ran this task"), "{message}");
    }

    #[tokio::test]
    async fn a_task_that_cannot_be_read_fails_and_says_why() {
        let lost = refusal(claimed("steps", "", 0)).await;
        assert!(lost.contains("the store has lost the request"), "{lost}");
        let unknown = refusal(claimed("of-tomorrow", "{}", 0)).await;
        assert!(unknown.contains("\"of-tomorrow\" is not a kind of task"), "{unknown}");
        let wrong = refusal(claimed("steps", r#"{"count":0}"#, 0)).await;
        assert!(wrong.contains("count: must be 1 to"), "{wrong}");
        let broken = refusal(claimed("steps", "{", 0)).await;
        assert!(broken.contains("EOF"), "{broken}");
    }

    #[test]
    fn the_first_reason_to_stop_counts() {
        let run = Run::new(claimed("steps", "{}", 0));
        run.stop(Stopped::Left);
        run.stop(Stopped::Told);
        assert!(run.stop.is_cancelled());
        assert_eq!(run.why(), Stopped::Left);
    }
}
