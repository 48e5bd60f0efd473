//! What a run says.

use std::sync::Arc;

use fundbond_protocol::{
    ConnectionId, Status, TaskEvent, TaskId,
    event::{MAX_EVENT_BYTES, Progress},
};
use fundbond_store::{Attempt, Claimed, Emit, Emitted, Submission};
use jiff::Timestamp;

use super::Ended;
use crate::{
    backoff::Backoff,
    pod::Pod,
    work::{Said, Stopped},
};

/// Emits the events of one run of a task, each until the store has it. A second run says the same under the same event
/// ids, and the store drops what it has.
pub(super) struct Speaker<'a> {
    pod: &'a Pod,
    pub(super) task: TaskId,
    connection: ConnectionId,
    attempt: Attempt,
    progress: Option<Progress>,
}

impl<'a> Speaker<'a> {
    pub(super) fn new(pod: &'a Pod, claimed: &Claimed) -> Self {
        let Submission { task, connection, .. } = &claimed.submission;
        let (task, connection) = (task.clone(), connection.clone());
        Self { pod, task, connection, attempt: claimed.attempt, progress: None }
    }

    fn event(&self, step: impl std::fmt::Display, status: Status) -> TaskEvent {
        TaskEvent::of_task(&self.task, step, status, Timestamp::now()).from_pod(&self.pod.identity.id())
    }

    pub(super) async fn begin(&mut self, message: &str) -> Result<(), Stopped> {
        let event = self.event("processing", Status::PROCESSING).with_message(message);
        self.emit(event).await
    }

    pub(super) async fn step(
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

    /// Emits the one final event, unless the task has ended, or goes on, without this run. Answers how the run ended, and
    /// the event if it is the task's last.
    pub(super) async fn conclude(&self, ended: Result<Said, Stopped>) -> (Ended, Option<Emit>) {
        let (status, ended, said) = match ended {
            Ok(said) => (Status::COMPLETED, Ended::Completed, said),
            // Whoever told it to stop has emitted the final event already.
            Err(Stopped::Told) => return (Ended::Cancelled, None),
            Err(Stopped::Left) => return (Ended::Left, None),
            Err(Stopped::Failed(message)) => {
                (Status::FAILED, Ended::Failed, Said { message, result: serde_json::Value::Null })
            }
        };
        let mut event = self.event("final", status).with_message(said.message).into_final();
        // Where it stood when it ended, for whoever asks later.
        event.progress = self.progress;
        if !said.result.is_null() {
            event.result = Some(said.result);
        }
        let event = emit_of(&event, &self.connection).by(self.attempt);
        match self.emit_encoded(&event).await {
            Ok(()) => (ended, Some(event)),
            Err(Stopped::Left) => (Ended::Left, None),
            Err(_) => (Ended::Cancelled, None),
        }
    }

    async fn emit(&self, event: TaskEvent) -> Result<(), Stopped> {
        self.emit_encoded(&emit_of(&event, &self.connection).by(self.attempt)).await
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
                Ok(Emitted::Superseded) => return Err(Stopped::Left),
                Err(error) => {
                    backoff.failed_again("emit", &error);
                    self.pod.doubt_store(&error);
                    backoff.wait().await;
                }
            }
        }
    }

    pub(super) async fn keep_rows(&self, rows: Vec<Arc<str>>) {
        let mut backoff = Backoff::default();
        while let Err(error) = self.pod.store.put_rows(&self.task, rows.clone()).await {
            backoff.failed_again("rows", &error);
            backoff.wait().await;
        }
    }
}

/// `event` on its way to the store. An event that would be too large loses its result, and says so.
fn emit_of(event: &TaskEvent, connection: &ConnectionId) -> Emit {
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
