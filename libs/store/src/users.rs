//! What is said to people: events for the one stream of a user, wherever it is open, or for when it is opened next.
//!
//! A user's stream is a connection like any other ([`ConnectionId::of_user`]), with the same log and positions. It has
//! no tasks and never ends by itself; what is sent is a [`Note`](crate::EntryKind::Note) in its log.
//!
//! [`ConnectionId::of_user`]: fundbond_protocol::ConnectionId::of_user

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, EventId, PodId, Position, Status, UserId};
use jiff::Timestamp;

use crate::StoreError;

/// Ids that senders gave which are remembered for one user. A sender repeats what had no answer, soon after: far fewer
/// events than this come in between, and of 128 bytes each they are half a megabyte at most.
pub const NAMED_KEPT: usize = 4_096;

/// How long it is remembered how far a request that sends line by line has come: longer than its pod tries to log the
/// lines in hand.
pub const LINES_REMEMBERED: Duration = Duration::from_mins(2);

/// Something to say to a user.
#[derive(Clone, Debug)]
pub struct UserEvent {
    /// Which event it is.
    pub event_id: EventId,
    /// Whether the sender gave it its id: then it is logged once, however often it is sent.
    pub named: bool,
    /// The SSE event name.
    pub name: Status,
    /// The SSE data: one JSON value.
    pub json: Arc<str>,
}

/// How far a request has come that sends line by line.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Names the request: 1 to 32 characters of the id alphabet, never the same twice.
    pub request: Arc<str>,
    /// The last line that this step brings. A step whose last line is logged already is not done again, so that the pod
    /// may repeat one whose answer was lost.
    pub last: u64,
}

/// Some events for one user.
#[derive(Clone, Debug)]
pub struct UserSend {
    /// Who is to hear it.
    pub user: UserId,
    /// What, in order. All of it is logged or nothing; a hundred are a few milliseconds.
    pub events: Vec<UserEvent>,
    /// Set for lines of a request.
    pub lines: Option<Lines>,
    /// Log it only if a pod of this cluster holds the stream.
    pub only_in: Option<ClusterId>,
}

/// Answer to [`Users::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many events are new in the log.
    pub logged: usize,
    /// The end of the log.
    pub end: Position,
    /// Who holds the stream. Nobody: the events wait for its next open.
    pub holder: Option<(PodId, ClusterId)>,
}

/// What the store knows of a user's stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRecord {
    /// Who holds it.
    pub holder: Option<(PodId, ClusterId)>,
    /// The end of its log, if there is one.
    pub end: Option<Position>,
}

/// What one pod asks another about a stream that the other holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Comes back with the answer.
    pub number: u64,
    /// Who asks.
    pub from: PodId,
    /// About what.
    pub connection: ConnectionId,
}

/// What only the pod that holds a stream knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReport {
    /// Since when it is open here.
    pub since: Timestamp,
    /// What was written for its client.
    pub position: Position,
    /// How much of that waits for the client to take it.
    pub queued_bytes: u64,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// That of the question.
    pub number: u64,
    /// `None`: the stream is not here.
    pub report: Option<StreamReport>,
}

/// What is said to people. Every method is one atomic step.
#[async_trait]
pub trait Users: Send + Sync {
    /// Appends events to a user's log, and tells the holder.
    async fn send(&self, send: &UserSend) -> Result<Sent, StoreError>;

    /// Ends a user's stream: deletes the registration, tells the holder
    /// ([`Message::Closed`](crate::Message::Closed)), and lets nobody resume it, until it is opened from the start. Says
    /// who held it. Idempotent.
    async fn close_user(&self, user: &UserId) -> Result<Option<(PodId, ClusterId)>, StoreError>;

    /// What is known of a user's stream.
    async fn user(&self, user: &UserId) -> Result<UserRecord, StoreError>;

    /// Users whose streams the pods of a cluster hold, those that died a moment ago included. Streams that open or end
    /// meanwhile may be among them or not.
    async fn connected(&self, cluster: &ClusterId) -> Result<Vec<UserId>, StoreError>;

    /// Asks `pod`, which hears [`Message::Asked`](crate::Message::Asked) if it listens: nobody else knows whether an
    /// answer will come.
    async fn ask(&self, pod: &PodId, question: &Question) -> Result<(), StoreError>;

    /// Answers `pod`, which hears [`Message::Answered`](crate::Message::Answered).
    async fn answer(&self, pod: &PodId, answer: &Answer) -> Result<(), StoreError>;
}
