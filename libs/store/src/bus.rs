//! What happened: emitting events, and hearing of them.

use std::sync::Arc;

use async_trait::async_trait;
use fundbond_protocol::{ConnectionId, EventId, PodId, Status, TaskId};

use crate::{StoreError, Subscription};

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
}

/// What happened.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hears everything meant for `pod`. One subscription a pod: a second one takes over.
    async fn subscribe(&self, pod: &PodId) -> Result<Subscription, StoreError>;

    /// Appends an event to the log of the connection its task belongs to, makes it the task's latest, and
    /// tells the holder. Refused after the task's final event. One task's emits are made one after another.
    async fn emit(&self, event: &Emit) -> Result<Emitted, StoreError>;

    /// Emits the final event of a task on behalf of somebody else than its runner, and tells every pod
    /// ([`Message::Ended`](crate::Message::Ended)) so that the runner stops. Idempotent.
    async fn end(&self, event: &Emit) -> Result<Emitted, StoreError>;
}
