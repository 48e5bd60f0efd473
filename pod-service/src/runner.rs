//! Runs accepted tasks: a bounded queue, a few workers, and for each task one row of events that ends in
//! exactly one final event, whatever happens in between.

pub mod recall;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fundbond_protocol::{
    ConnectionId, PodId, Status, TaskEvent, TaskId,
    event::{MAX_EVENT_BYTES, Progress},
};
use fundbond_store::{Emit, Emitted, Submission};
use jiff::Timestamp;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{
    backoff::Backoff,
    metrics::TaskLabels,
    pod::Pod,
    work::{Said, Stopped, Work, portfolio::PortfolioWork},
};

/// A task on its way to a worker.
#[derive(Debug)]
pub struct Job {
    /// The task.
    pub task: TaskId,
    /// The connection it belongs to.
    pub connection: ConnectionId,
    /// What its log lines have in common.
    pub span: Span,
    /// How it was accepted.
    pub submission: Arc<Submission>,
    /// What to do.
    pub work: Work,
}

#[derive(Debug)]
struct Queued {
    job: Job,
    accepted: Instant,
    stop: CancellationToken,
}

/// The receiving end of the queue, for [`work`].
#[derive(Debug)]
pub struct Jobs(Arc<AsyncMutex<mpsc::Receiver<Queued>>>);

type Stops = HashMap<TaskId, CancellationToken>;

/// The queue of one pod.
#[derive(Debug)]
pub struct Runner {
    queue: mpsc::Sender<Queued>,
    /// Every task that waits or runs here, and how to stop it.
    stops: Mutex<Stops>,
    /// What it can say again.
    pub recall: recall::Recall,
    /// Acceptances named so far.
    acceptances: AtomicU64,
}

/// A place in the queue, taken before the task is accepted: what was answered 202 always has a place.
#[derive(Debug)]
pub struct Place<'a> {
    permit: mpsc::Permit<'a, Queued>,
    runner: &'a Runner,
}

impl Runner {
    /// A queue for `waiting` tasks.
    pub fn new(waiting: usize) -> (Self, Jobs) {
        let (queue, receiver) = mpsc::channel(waiting.max(1));
        let recall = recall::Recall::default();
        let runner = Self { queue, stops: Mutex::default(), recall, acceptances: AtomicU64::new(0) };
        (runner, Jobs(Arc::new(AsyncMutex::new(receiver))))
    }

    fn stops(&self) -> MutexGuard<'_, Stops> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name no other acceptance has: pod ids are never used twice.
    pub fn name_acceptance(&self, pod: &PodId) -> Arc<str> {
        format!("{pod}:{}", self.acceptances.fetch_add(1, Ordering::Relaxed)).into()
    }

    /// Takes a place; `None` where the queue is full.
    pub fn reserve(&self) -> Option<Place<'_>> {
        self.queue.try_reserve().ok().map(|permit| Place { permit, runner: self })
    }

    /// Tells the run of `task` to stop, if it is here.
    pub fn stop(&self, task: &TaskId) {
        if let Some(stop) = self.stops().get(task) {
            stop.cancel();
        }
    }

    /// Whether no task waits or runs, and nobody has taken a place for one.
    fn is_idle(&self) -> bool {
        // Places first: a task is listed before it leaves its place.
        self.queue.capacity() == self.queue.max_capacity() && self.busy() == 0
    }

    /// Tasks that wait or run.
    pub fn busy(&self) -> usize {
        self.stops().len()
    }
}

impl Place<'_> {
    /// Fills the place.
    pub fn fill(self, job: Job) {
        let stop = CancellationToken::new();
        self.runner.stops().insert(job.task.clone(), stop.clone());
        self.runner.recall.accepted(job.submission.clone());
        self.permit.send(Queued { job, accepted: Instant::now(), stop });
    }
}

/// Starts the workers. They end once the pod's `deadline` begins, after every task they know has its final
/// event.
pub fn start(pod: &Arc<Pod>, jobs: Jobs, deadline: &CancellationToken) -> tokio::task::JoinSet<()> {
    let default = std::thread::available_parallelism();
    let workers = pod.settings.task_concurrency.or(default.ok()).map_or(1, std::num::NonZeroUsize::get);
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..workers {
        set.spawn(work(pod.clone(), Jobs(jobs.0.clone()), deadline.clone()));
    }
    set
}

async fn work(pod: Arc<Pod>, jobs: Jobs, deadline: CancellationToken) {
    loop {
        let next = async { jobs.0.lock().await.recv().await };
        let queued = tokio::select! {
            biased;
            () = deadline.cancelled() => break,
            queued = next => queued,
        };
        let Some(queued) = queued else { return };
        run_in_span(&pod, queued, &deadline).await;
    }
    // Out of time: what still waits was accepted, so it ends, and says why.
    loop {
        let queued = {
            let mut jobs = jobs.0.lock().await;
            // No new place from here on; those that were taken are waited for.
            jobs.close();
            jobs.recv().await
        };
        let Some(queued) = queued else { return };
        run_in_span(&pod, queued, &deadline).await;
    }
}

async fn run_in_span(pod: &Arc<Pod>, queued: Queued, deadline: &CancellationToken) {
    let span = queued.job.span.clone();
    run(pod, queued, deadline).instrument(span).await;
}

async fn run(pod: &Arc<Pod>, queued: Queued, deadline: &CancellationToken) {
    let Queued { job, accepted, stop } = queued;
    let kind = job.work.kind();
    let mut speaker = Speaker { pod, task: job.task, connection: job.connection, progress: None };
    pod.metrics.tasks_running.inc();
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Stopped::Told),
        () = deadline.cancelled() => {
            stop.cancel();
            Err(Stopped::Failed("the pod stopped before the task was done; submit it again under a new id".into()))
        }
        ended = perform(&mut speaker, job.work, &stop) => ended,
    };
    let (status, end) = speaker.conclude(ended).await;
    pod.runner.recall.ended(&speaker.task, end);
    pod.metrics.tasks_running.dec();
    let seconds = accepted.elapsed().as_secs_f64();
    pod.metrics.task_seconds.get_or_create(&TaskLabels { kind, status }).observe(seconds);
    tracing::info!(kind, status, seconds, "task ended");
    pod.runner.stops().remove(&speaker.task);
}

/// Runs the work and says each step; the final event is the caller's.
async fn perform(speaker: &mut Speaker<'_>, work: Work, stop: &CancellationToken) -> Result<Said, Stopped> {
    match work {
        Work::Steps(steps) => {
            speaker.begin(&format!("counting to {}", steps.count)).await?;
            for step in 1..=steps.count {
                if !steps.delay.is_zero() {
                    tokio::time::sleep(steps.delay).await;
                }
                speaker
                    .step(&format!("step {step} of {}", steps.count), step.into(), steps.count.into(), None)
                    .await?;
            }
            Ok(steps.said())
        }
        Work::Portfolio(portfolio) => {
            let portfolio: Arc<PortfolioWork> = Arc::from(portfolio);
            speaker.begin(&portfolio.opening()).await?;
            let total = portfolio.chunks();
            let mut done = Vec::with_capacity(total);
            for index in 0..total {
                let (work, stop) = (portfolio.clone(), stop.clone());
                // Calculation has threads of its own, so that streams never wait for it.
                let chunk = on_thread(move || work.chunk(index, &|| !stop.is_cancelled())).await??;
                let Said { message, result } = PortfolioWork::said_of(&chunk);
                done.push(chunk);
                speaker.step(&message, index as u64 + 1, total as u64, Some(result)).await?;
            }
            let task = speaker.task.clone();
            let finish = on_thread(move || portfolio.finish(done, &task)).await??;
            speaker.keep_rows(finish.rows).await;
            Ok(finish.said)
        }
    }
}

async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopped> {
    let span = Span::current();
    // A panic has told itself, in the span of its task.
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.map_err(|_| {
        Stopped::Failed("the calculation broke off by an internal error; it is in the pod's log".into())
    })
}

/// Emits the events of one task, each until the store has it.
struct Speaker<'a> {
    pod: &'a Arc<Pod>,
    task: TaskId,
    connection: ConnectionId,
    progress: Option<Progress>,
}

impl Speaker<'_> {
    fn event(&self, step: impl std::fmt::Display, status: Status) -> TaskEvent {
        TaskEvent::of_task(&self.task, step, status, Timestamp::now()).from_pod(&self.pod.identity.id())
    }

    async fn begin(&mut self, message: &str) -> Result<(), Stopped> {
        let event = self.event("processing", Status::PROCESSING).with_message(message);
        self.emit(event).await
    }

    async fn step(
        &mut self,
        message: &str,
        done: u64,
        total: u64,
        result: Option<serde_json::Value>,
    ) -> Result<(), Stopped> {
        let mut event =
            self.event(done, Status::SUBTASK_COMPLETED).with_message(message).with_progress(done, total);
        event.result = result;
        self.progress = event.progress;
        self.emit(event).await
    }

    /// Emits the one final event, unless somebody else ended the task. Returns the metric's status and the event.
    async fn conclude(&self, ended: Result<Said, Stopped>) -> (&'static str, Option<Emit>) {
        let (status, label, said) = match ended {
            Ok(said) => (Status::COMPLETED, "COMPLETED", said),
            // Whoever told it to stop has emitted the final event already.
            Err(Stopped::Told) => return ("CANCELLED", None),
            Err(Stopped::Failed(message)) => {
                (Status::FAILED, "FAILED", Said { message, result: serde_json::Value::Null })
            }
        };
        let mut event = self.event("final", status).with_message(said.message).into_final();
        // Where it stood when it ended, for whoever asks later.
        event.progress = self.progress;
        if !said.result.is_null() {
            event.result = Some(said.result);
        }
        let event = emit_of(&event, &self.connection);
        match self.emit_encoded(&event).await {
            Ok(()) => (label, Some(event)),
            Err(_) => ("CANCELLED", None),
        }
    }

    async fn emit(&self, event: TaskEvent) -> Result<(), Stopped> {
        self.emit_encoded(&emit_of(&event, &self.connection)).await
    }

    async fn emit_encoded(&self, emit: &Emit) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        loop {
            match self.pod.store.emit(emit).await {
                Ok(Emitted::Logged | Emitted::Duplicate) => {
                    // A store in memory never makes anybody wait: without this a task of many small steps would
                    // hold its thread, and neither a cancel nor its own reader would get a turn.
                    tokio::task::coop::consume_budget().await;
                    return Ok(());
                }
                Ok(Emitted::AfterFinal) => return Err(Stopped::Told),
                Err(error) => {
                    backoff.failed("emit", &error);
                    self.pod.doubt_store(&error);
                    backoff.wait().await;
                }
            }
        }
    }

    async fn keep_rows(&self, rows: Vec<Arc<str>>) {
        let mut backoff = Backoff::default();
        while let Err(error) = self.pod.store.put_rows(&self.task, rows.clone()).await {
            backoff.failed("rows", &error);
            backoff.wait().await;
        }
    }
}

/// `event` on its way to the store. An event that would be too large loses its result, and says so.
pub fn emit_of(event: &TaskEvent, connection: &ConnectionId) -> Emit {
    let emit = Emit::of(event, connection);
    if emit.json.len() <= MAX_EVENT_BYTES {
        return emit;
    }
    let mut small = event.clone();
    small.result = None;
    small.message = format!("{} (the result is too large for an event; fetch its rows)", small.message);
    Emit::of(&small, connection)
}

/// The final event of a task that somebody asked to stop.
pub fn cancelled(pod: &Pod, task: &TaskId, connection: &ConnectionId) -> Emit {
    let event = TaskEvent::of_task(task, "cancelled", Status::CANCELLED, Timestamp::now())
        .with_message("cancelled on request")
        .from_pod(&pod.identity.id())
        .into_final();
    emit_of(&event, connection)
}

/// Waits until no task waits, runs or is about to be accepted.
pub async fn idle(runner: &Runner) {
    // Asked rather than signalled: this runs once in a process's life, and only while it drains.
    while !runner.is_idle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
