//! What happened: emitting events, and hearing of them.

use std::sync::Arc;

use async_trait::async_trait;
use fundbond_protocol::{ConnectionId, EventId, ForeignEvent, PodId, Status, TaskEvent, TaskId};

use crate::{Attempt, Generation, StoreError, Subscription};

/// An event on its way into the log.
#[derive(Clone, Debug)]
pub struct Emit {
    /// Whose event it is.
    pub task: TaskId,
    /// Makes the emit idempotent.
    pub event_id: EventId,
    /// The SSE event name.
    pub status: Status,
    /// Whether it is the task's last.
    pub is_final: bool,
    /// The event, encoded.
    pub json: Arc<str>,
    /// Where the task belongs if the store has forgotten it.
    pub connection: ConnectionId,
    /// Which run of the task says so; none where it is not said by a run.
    pub attempt: Option<Attempt>,
}

impl Emit {
    /// `event`, which belongs to `connection` if the store has forgotten where its task does.
    pub fn of(event: &TaskEvent, connection: &ConnectionId) -> Self {
        Self {
            task: event.correlation_id.clone(),
            event_id: event.event_id.clone(),
            status: event.status.clone(),
            is_final: event.final_event,
            json: event.to_json().into(),
            connection: connection.clone(),
            attempt: None,
        }
    }

    /// The same, said by a run of the task.
    #[must_use]
    pub fn by(mut self, attempt: Attempt) -> Self {
        self.attempt = Some(attempt);
        self
    }
}

/// Answer to [`Bus::emit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emitted {
    /// It is in the log.
    Logged,
    /// It was there already; nothing happened.
    Duplicate,
    /// The task has ended with another event; nothing happened, and nothing will.
    AfterFinal,
    /// A later run of the task has begun; nothing happened, and this run is over.
    Superseded,
}

/// An event of a publisher that is not ours, taken by the pod that holds its stream.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The event. Its `connection` is the stream that takes it: the one its task belongs to, or the one it names.
    pub event: Emit,
    /// Whether the publisher gave it its id: then it is logged once however often it is published.
    pub named: bool,
    /// With which the pod holds the stream.
    pub generation: Generation,
}

impl Foreign {
    /// `event`, taken for the stream `connection` that is held with `generation`.
    pub fn of(event: &ForeignEvent, connection: &ConnectionId, generation: Generation) -> Self {
        let emit = Emit {
            task: event.task.clone(),
            event_id: event.event_id.clone(),
            status: event.status.clone(),
            is_final: event.is_final,
            json: event.json.clone(),
            connection: connection.clone(),
            attempt: None,
        };
        Self { event: emit, named: event.named, generation }
    }
}

/// Answer to [`Bus::foreign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the log.
    Logged,
    /// It was there already; nothing happened.
    Duplicate,
    /// The task has ended; nothing happened, and nothing will.
    AfterFinal,
    /// The stream is held with another generation, or the task belongs to another: not this pod's to take.
    NotHeld,
}

/// What happened.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hears everything meant for `pod`. One subscription a pod: a second one takes over.
    async fn subscribe(&self, pod: &PodId) -> Result<Subscription, StoreError>;

    /// Appends an event to the log of the connection its task belongs to, makes it the task's latest, and
    /// tells the holder. Refused after the task's final event, and where a later run of the task has begun. One run's
    /// emits are made one after another. The final event ends the task's claim, too.
    async fn emit(&self, event: &Emit) -> Result<Emitted, StoreError>;

    /// Emits the final event of a task on behalf of somebody else than its runner, and tells every pod
    /// ([`Message::Ended`](crate::Message::Ended)) so that the runner stops. Idempotent.
    async fn end(&self, event: &Emit) -> Result<Emitted, StoreError>;

    /// Appends an event of a foreign publisher, if its stream is held with the generation given: every pod hears of it,
    /// and one of them takes it. Without a task to belong to it is about the connection itself.
    async fn foreign(&self, foreign: &Foreign) -> Result<Taken, StoreError>;
}
