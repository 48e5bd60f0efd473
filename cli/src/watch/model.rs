//! What is known about the tasks of one stream. Pure: signals in, changes out.

use std::collections::BTreeSet;

use fundbond_protocol::{
    ConnectionId, EventId, PodId, Status, TaskEvent, TaskId, api::TaskView, event::Progress, sse,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::stream::{Ended, Signal};

/// Something a person wants to hear about.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The stream is open (again).
    Connected {
        /// Which stream.
        connection: ConnectionId,
        /// Where its replay starts.
        position: String,
        /// The pod that holds it.
        pod: Option<PodId>,
    },
    /// A task took a step; the last one if the event is final.
    Step(Box<TaskEvent>),
    /// History was lost; the states of this many tasks were told anew.
    Reset {
        /// How many.
        tasks: usize,
    },
    /// Another stream took this task over; nothing more about it comes here.
    Moved(TaskId),
    /// The server makes its readers come back to another pod.
    Draining,
    /// The stream was lost and is opened again after a while.
    Lost {
        /// Which try comes next, from 1.
        try_number: u32,
        /// How many there are.
        tries: u32,
        /// How long until then.
        after: std::time::Duration,
        /// What happened.
        why: String,
    },
    /// The stream is open again.
    Reopened,
    /// The stream is over although somebody may still wait.
    Ended(Ended),
    /// An event that is not a task event of ours.
    Unreadable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The latest of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskState {
    /// The task.
    pub id: TaskId,
    /// Its latest status.
    pub status: Status,
    /// The same for people.
    pub message: String,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What it found out.
    pub result: Option<Value>,
    /// Whether it has ended.
    pub is_final: bool,
    /// Whether another stream took it over.
    pub moved: bool,
    /// When its latest event happened.
    pub updated_at: Timestamp,
    /// The pod that ran it.
    pub pod: Option<PodId>,
    latest: EventId,
}

/// How the watched tasks came out, the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All completed.
    Completed,
    /// All completed, but a result lacks something (holdings without a price).
    Incomplete,
    /// Some have not ended.
    Unfinished,
    /// At least one was cancelled.
    Cancelled,
    /// At least one failed.
    Failed,
}

/// What is known about the tasks of one stream.
#[derive(Clone, Debug)]
pub struct View {
    connection: ConnectionId,
    named: BTreeSet<TaskId>,
    tasks: Vec<TaskState>,
}

impl View {
    /// Of `connection`; done once all of `named` are. With none named, only the stream's end is the end.
    pub fn new(connection: ConnectionId, named: impl IntoIterator<Item = TaskId>) -> Self {
        Self { connection, named: named.into_iter().collect(), tasks: Vec::new() }
    }

    /// The stream.
    pub fn connection(&self) -> &ConnectionId {
        &self.connection
    }

    /// Tasks in the order in which they showed up.
    pub fn tasks(&self) -> &[TaskState] {
        &self.tasks
    }

    /// Whether nothing of interest can come any more.
    pub fn is_done(&self) -> bool {
        !self.named.is_empty()
            && self.named.iter().all(|task| self.find(task).is_some_and(TaskState::is_over))
    }

    /// Whether every task that showed up has come to its end.
    fn is_quiet(&self) -> bool {
        !self.tasks.is_empty() && self.tasks.iter().all(TaskState::is_over)
    }

    /// Named or seen tasks that have no final event yet.
    pub fn unfinished(&self) -> Vec<TaskId> {
        let seen = self.tasks.iter().map(|task| &task.id);
        let all: BTreeSet<&TaskId> = self.named.iter().chain(seen).collect();
        all.into_iter().filter(|task| self.find(task).is_none_or(|state| !state.is_final)).cloned().collect()
    }

    /// How it came out.
    pub fn outcome(&self) -> Outcome {
        let missing = self.named.iter().any(|task| self.find(task).is_none());
        let worst = self.tasks.iter().map(TaskState::outcome).max().unwrap_or(Outcome::Completed);
        if missing { worst.max(Outcome::Unfinished) } else { worst }
    }

    /// Takes in a signal of the stream.
    pub fn apply(&mut self, signal: &Signal) -> Vec<Change> {
        match signal {
            Signal::Event(event) => self.apply_event(event),
            // Everything was told and the server hung up: the next try only learns that this was the end.
            Signal::Lost { in_order: true, .. } if self.is_quiet() => Vec::new(),
            Signal::Lost { try_number, tries, after, why, .. } => {
                vec![Change::Lost { try_number: *try_number, tries: *tries, after: *after, why: why.clone() }]
            }
            Signal::Reopened => vec![Change::Reopened],
            Signal::Ended(Ended::Finished) => Vec::new(),
            Signal::Ended(ended) => vec![Change::Ended(*ended)],
        }
    }

    /// Takes in a state that was asked for.
    pub fn apply_state(&mut self, state: TaskView) -> Vec<Change> {
        let told = |known: &TaskState| known.updated_at == state.updated_at && known.status == state.status;
        if state.status == Status::ACCEPTED || self.find(&state.correlation_id).is_some_and(told) {
            return Vec::new();
        }
        // A state has no event id; what can differ between two states of a task makes one.
        let done = state.progress.map_or(0, |progress| progress.done);
        let step = format!("{}:{done}", state.status);
        let event = TaskEvent {
            result: state.result,
            final_event: state.final_event,
            progress: state.progress,
            pod_id: state.pod_id,
            ..TaskEvent::of_task(&state.correlation_id, step, state.status, state.updated_at)
                .with_message(state.message)
        };
        self.step(event).into_iter().collect()
    }

    fn apply_event(&mut self, raw: &sse::Event) -> Vec<Change> {
        let event: TaskEvent = match serde_json::from_str(&raw.data) {
            Ok(event) => event,
            Err(error) => return vec![Change::Unreadable { name: raw.name.clone(), why: error.to_string() }],
        };
        if event.status == Status::CONNECTED {
            let position = raw.id.clone();
            return vec![Change::Connected {
                connection: self.connection.clone(),
                position,
                pod: event.pod_id,
            }];
        }
        if event.status == Status::HEARTBEAT || event.status == Status::CLOSED {
            // A closed stream is told by the signal that follows.
            return Vec::new();
        }
        if event.status == Status::DRAINING {
            return vec![Change::Draining];
        }
        if event.status == Status::RESET {
            return self.reset(event.tasks.unwrap_or_default());
        }
        if event.status == Status::REPLACED {
            return self.replaced(&event.correlation_id, &raw.id);
        }
        self.step(event).into_iter().collect()
    }

    fn reset(&mut self, states: Vec<TaskEvent>) -> Vec<Change> {
        let mut changes = vec![Change::Reset { tasks: states.len() }];
        changes.extend(states.into_iter().filter_map(|event| self.step(event)));
        changes
    }

    fn replaced(&mut self, task: &TaskId, id: &str) -> Vec<Change> {
        // A whole stream that is replaced has an id of its own kind, and a signal of its own.
        if id.starts_with("x.") {
            return Vec::new();
        }
        if let Some(state) = self.tasks.iter_mut().find(|state| state.id == *task) {
            state.moved = true;
        } else if self.named.contains(task) {
            self.tasks.push(TaskState::moved(task));
        }
        vec![Change::Moved(task.clone())]
    }

    fn step(&mut self, event: TaskEvent) -> Option<Change> {
        let known = self.tasks.iter_mut().find(|state| state.id == event.correlation_id);
        match known {
            // A RESET repeats what may have been seen; the contract allows a second final only there.
            Some(state) if state.is_final || state.latest == event.event_id => return None,
            Some(state) => state.take(&event),
            None => self.tasks.push(TaskState::of(&event)),
        }
        Some(Change::Step(Box::new(event)))
    }

    fn find(&self, task: &TaskId) -> Option<&TaskState> {
        self.tasks.iter().find(|state| state.id == *task)
    }
}

impl TaskState {
    fn of(event: &TaskEvent) -> Self {
        let mut state = Self::blank(&event.correlation_id, event.event_id.clone());
        state.take(event);
        state
    }

    fn moved(task: &TaskId) -> Self {
        let mut state = Self::blank(task, EventId::of_step(task, Status::REPLACED));
        state.moved = true;
        state
    }

    fn blank(task: &TaskId, latest: EventId) -> Self {
        Self {
            id: task.clone(),
            status: Status::ACCEPTED,
            message: String::new(),
            progress: None,
            result: None,
            is_final: false,
            moved: false,
            updated_at: Timestamp::UNIX_EPOCH,
            pod: None,
            latest,
        }
    }

    fn take(&mut self, event: &TaskEvent) {
        self.status = event.status.clone();
        self.message.clone_from(&event.message);
        // A status between two chunks does not take the task's progress back.
        self.progress = event.progress.or(self.progress);
        self.result.clone_from(&event.result);
        self.is_final = event.final_event;
        // An event of a task that had moved away says that it came back.
        self.moved = false;
        self.updated_at = event.timestamp;
        self.pod = event.pod_id.clone().or(self.pod.take());
        self.latest = event.event_id.clone();
    }

    fn is_over(&self) -> bool {
        self.is_final || self.moved
    }

    fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            _ if !self.is_final => Outcome::Unfinished,
            "CANCELLED" => Outcome::Cancelled,
            "COMPLETED" if self.result.as_ref().is_some_and(lacks_something) => Outcome::Incomplete,
            "COMPLETED" => Outcome::Completed,
            // FAILED, and whatever else another publisher calls its end.
            _ => Outcome::Failed,
        }
    }
}

/// A portfolio's summary counts the holdings that could not be priced.
fn lacks_something(result: &Value) -> bool {
    crate::render::unpriced(result) > 0
}

#[cfg(test)]
mod tests;
