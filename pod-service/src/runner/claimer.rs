//! Claims tasks, says which ones run here, and gives back what is not done when the pod drains.
//!
//! One task does all three, one after another: a claim whose answer is on its way must not look like one that was lost.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use fundbond_protocol::TaskId;
use fundbond_store::{Claims, Held, Restored, Standing, StoreError};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{begin, run as run_task};
use crate::{backoff::Backoff, pod::Pod, work::Stopped};

/// How often a pod with room asks for tasks, beside being told of them: a message may be lost, or go to a pod that has
/// just died. Each question costs the server some ten microseconds.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Why a task ends with its pod: only where its store does so, too.
const STOPPED: &str = "the pod stopped before the task was done; submit it again under a new id";

/// Claims and runs tasks. Ends once `deadline` has begun and every run has ended. Where others share the store, the
/// drain gives back at once what has not ended; where not, tasks have until the deadline, and then end as failed.
pub async fn run(pod: Arc<Pod>, deadline: CancellationToken) {
    let default = std::thread::available_parallelism();
    let room = pod.settings.task_concurrency.or(default.ok()).map_or(1, NonZeroUsize::get);
    let mut claimer = Claimer { pod, room, runs: JoinSet::new(), backoff: Backoff::default(), ask_at: None };
    claimer.until(&deadline).await;
    if claimer.pod.store.is_shared() {
        return;
    }
    // Out of time. What still waits was accepted, so it ends, and says why.
    claimer.room = usize::MAX;
    claimer.claim().await;
    claimer.stop_all(&Stopped::Failed(STOPPED.to_owned()));
    while claimer.runs.join_next().await.is_some() {}
}

struct Claimer {
    pod: Arc<Pod>,
    /// Runs at once.
    room: usize,
    runs: JoinSet<()>,
    backoff: Backoff,
    /// When to ask for tasks; none while there is no room.
    ask_at: Option<Instant>,
}

impl Claimer {
    async fn until(&mut self, deadline: &CancellationToken) {
        let pod = self.pod.clone();
        self.ask_at = Some(Instant::now());
        let mut given_back = false;
        loop {
            if given_back || self.runs.len() >= self.room {
                self.ask_at = None;
            } else if self.ask_at.is_some_and(|at| at <= Instant::now()) {
                self.claim().await;
            }
            let ask_at = self.ask_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = deadline.cancelled() => return,
                () = pod.draining.begun(), if !given_back && pod.store.is_shared() => {
                    given_back = true;
                    self.give_back().await;
                }
                Some(_) = self.runs.join_next(), if !self.runs.is_empty() => {
                    self.ask_at = Some(Instant::now());
                }
                () = pod.runner.hold.notified() => self.hold().await,
                () = pod.runner.work.notified(), if self.backoff.due().is_none() => {
                    self.ask_at = Some(Instant::now());
                }
                () = sleep_until(ask_at), if self.ask_at.is_some() => {}
            }
        }
    }

    /// Claims what there is room for.
    async fn claim(&mut self) {
        let (id, most) = (self.pod.identity.id(), self.room - self.runs.len());
        match self.pod.store.claim(&id, &self.pod.cluster, most).await {
            Ok(Claims::Tasks(tasks)) => {
                self.backoff.reset();
                for claimed in tasks {
                    let run = begin(&self.pod, claimed);
                    self.runs.spawn(run_task(self.pod.clone(), run));
                }
                self.ask_at = (self.runs.len() < self.room).then(|| Instant::now() + ASK_EVERY);
            }
            Ok(Claims::Buried | Claims::NoHealth) => {
                // The next heartbeat mends it.
                self.pod.reassert_soon();
                self.ask_at = Some(Instant::now() + ASK_EVERY);
            }
            Err(error) => {
                self.backoff.failed_again("claim", &error);
                self.pod.doubt_store(&error);
                self.ask_at = self.backoff.due();
                // The answer may have been lost, and tasks with it.
                self.pod.runner.hold_soon();
            }
        }
    }

    /// Repeats what runs here. Where the store cannot answer, the next heartbeat comes to it again.
    async fn hold(&mut self) {
        if self.backoff.due().is_some_and(|due| due > Instant::now()) {
            return;
        }
        match self.say_what_runs().await {
            Ok(()) => self.backoff.reset(),
            Err(error) => {
                self.backoff.failed_again("hold", &error);
                self.pod.doubt_store(&error);
            }
        }
    }

    async fn say_what_runs(&self) -> Result<(), StoreError> {
        let pod = &self.pod;
        match pod.store.hold(&pod.identity.id(), &pod.cluster, &pod.runner.attempts()).await? {
            Held::Claims { lost, forgotten } => {
                for task in lost {
                    tracing::info!(correlationId = %task, "a run has lost its task");
                    pod.runner.stop(&task, Stopped::Left);
                }
                for task in forgotten {
                    self.bring_back(&task).await?;
                }
            }
            Held::Buried | Held::NoHealth => pod.reassert_soon(),
        }
        // A store can forget without any connection breaking.
        if let Some(witness) = pod.runner.recall.witness()
            && pod.store.task(&witness).await?.is_none()
        {
            tracing::warn!(correlationId = %witness, "the store has forgotten a task; saying everything again");
            pod.runner.recall.repeat();
        }
        Ok(())
    }

    /// Tells a store that has forgotten a task that it runs here.
    async fn bring_back(&self, task: &TaskId) -> Result<(), StoreError> {
        let pod = &self.pod;
        let Some(run) = pod.runner.runs().get(task).cloned() else { return Ok(()) };
        let standing = Standing::Running(pod.identity.id(), run.claimed.attempt);
        match pod.store.restore(&run.claimed.submission, &standing).await? {
            Restored::Claimed | Restored::Waiting => {}
            Restored::Lost => run.stop(Stopped::Left),
            Restored::Ended => run.stop(Stopped::Told),
        }
        Ok(())
    }

    fn stop_all(&self, why: &Stopped) {
        for run in self.pod.runner.runs().values() {
            run.stop(why.clone());
        }
    }

    /// Stops every run and lets others have the tasks.
    async fn give_back(&mut self) {
        let attempts = self.pod.runner.attempts();
        self.stop_all(&Stopped::Left);
        while self.runs.join_next().await.is_some() {}
        let mut backoff = Backoff::default();
        while let Err(error) = self.pod.store.give_back(&self.pod.identity.id(), &attempts).await {
            backoff.failed_again("give back", &error);
            tokio::select! {
                () = backoff.wait() => {}
                () = self.pod.stopped.begun() => return,
            }
        }
        if !attempts.is_empty() {
            tracing::info!(tasks = attempts.len(), "gave unfinished tasks back");
        }
    }
}
