//! Task events: what a task says while it works, and what a stream says about itself.

use std::{borrow::Cow, fmt, time::Duration};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ConnectionId, EventId, PodId, TaskId, UserId};

/// The largest event, in bytes of UTF-8 as we encode it.
///
/// 256 KiB is also the bound of a stream's queue, so no single event can make a healthy reader look slow.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Time between two heartbeats of a stream, unless its pod is configured otherwise. A client that hears nothing
/// for two and a half of them takes the stream for lost.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// The state an event announces: `[A-Z0-9_.-]{1,64}`. Open: other publishers have their own words. On the stream of a
/// user it is the name that the sender gave, which may have small letters too ([`Status::named`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Status(Cow<'static, str>);

/// The alphabet and length of a status, as a regular expression for documents.
pub const STATUS_PATTERN: &str = "^[A-Z0-9_.-]{1,64}$";

/// The longest status, in bytes: as long as an id.
pub const MAX_STATUS_LENGTH: usize = 64;

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Status {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let description = "What an event announces. Tasks: PROCESSING, SUBTASK_COMPLETED, then exactly one of \
            COMPLETED, FAILED, CANCELLED. Streams: CONNECTED, HEARTBEAT, RESET, REPLACED, CLOSED, DRAINING. Open: \
            other publishers have words of their own.";
        crate::schema::text(description, STATUS_PATTERN, MAX_STATUS_LENGTH)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Status {}

/// A text that is not a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status: expected 1 to 64 characters of A-Z 0-9 _ . -")]
pub struct StatusError(String);

/// A text that is not the name of an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of an event: expected 1 to 64 characters of A-Z a-z 0-9 _ . -")]
pub struct NameError(String);

impl Status {
    /// The task is taken and will end in one final event.
    pub const ACCEPTED: Self = Self(Cow::Borrowed("ACCEPTED"));
    /// The task has begun.
    pub const PROCESSING: Self = Self(Cow::Borrowed("PROCESSING"));
    /// One chunk of the task is done.
    pub const SUBTASK_COMPLETED: Self = Self(Cow::Borrowed("SUBTASK_COMPLETED"));
    /// Final: the task has its result.
    pub const COMPLETED: Self = Self(Cow::Borrowed("COMPLETED"));
    /// Final: the task ended without a result; `message` says why.
    pub const FAILED: Self = Self(Cow::Borrowed("FAILED"));
    /// Final: somebody asked the task to stop.
    pub const CANCELLED: Self = Self(Cow::Borrowed("CANCELLED"));
    /// About the stream: it is open, and replay starts at this event's id.
    pub const CONNECTED: Self = Self(Cow::Borrowed("CONNECTED"));
    /// About the stream: it lives.
    pub const HEARTBEAT: Self = Self(Cow::Borrowed("HEARTBEAT"));
    /// About the stream: history is gone; `tasks` holds the latest state of each task.
    pub const RESET: Self = Self(Cow::Borrowed("RESET"));
    /// About the stream or one task: another stream took it over.
    pub const REPLACED: Self = Self(Cow::Borrowed("REPLACED"));
    /// About the stream: it ends, and the client should stay away.
    pub const CLOSED: Self = Self(Cow::Borrowed("CLOSED"));
    /// About the stream: it ends and the client should come back.
    pub const DRAINING: Self = Self(Cow::Borrowed("DRAINING"));

    /// What a sender calls an event that it gave no name.
    pub const MESSAGE: Self = Self(Cow::Borrowed("MESSAGE"));

    /// What streams say about themselves, and nobody else does: a reader acts on it.
    pub const OF_STREAMS: [Self; 6] =
        [Self::CONNECTED, Self::HEARTBEAT, Self::RESET, Self::REPLACED, Self::CLOSED, Self::DRAINING];

    /// Reads the name of an event for a user: like a status, but small letters are as good.
    pub fn named(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if (1..=MAX_STATUS_LENGTH).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(NameError(text.chars().take(MAX_STATUS_LENGTH).collect()))
        }
    }

    /// Parses a status.
    pub fn parse(text: impl Into<String>) -> Result<Self, StatusError> {
        let text = text.into();
        let legal = |b: u8| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        if (1..=MAX_STATUS_LENGTH).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(StatusError(text))
        }
    }

    /// The status as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Status {
    type Error = StatusError;
    fn try_from(text: String) -> Result<Self, StatusError> {
        Self::parse(text)
    }
}

impl From<Status> for String {
    fn from(status: Status) -> String {
        status.0.into_owned()
    }
}

/// How many chunks of a task are done.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Chunks done.
    pub done: u64,
    /// Chunks in all.
    pub total: u64,
}

/// One event, as its JSON says it: at most 256 KiB of UTF-8.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskEvent {
    /// Deterministic for tasks (`{taskId}:{step}`): a second run after a crash repeats no event.
    pub event_id: EventId,
    /// The task, or the connection for an event about the stream itself.
    pub correlation_id: TaskId,
    /// What happened.
    pub status: Status,
    /// The same for people.
    pub message: String,
    /// What the task found out; on the final event its summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Whether this is the task's last event. Exactly one event of a task says so.
    pub final_event: bool,
    /// How far the task is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When it happened, UTC, milliseconds.
    pub timestamp: Timestamp,
    /// The pod that ran the task or holds the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_id: Option<PodId>,
    /// On `RESET` only: the latest event of each attached task that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub tasks: Option<Vec<TaskEvent>>,
}

impl TaskEvent {
    /// An event of `task` that is not final and carries nothing else.
    pub fn of_task(task: &TaskId, step: impl fmt::Display, status: Status, now: Timestamp) -> Self {
        Self {
            event_id: EventId::of_step(task, step),
            correlation_id: task.clone(),
            status,
            message: String::new(),
            result: None,
            final_event: false,
            progress: None,
            timestamp: millis(now),
            pod_id: None,
            tasks: None,
        }
    }

    /// An event about the stream `connection` itself; `step` tells events of one status apart.
    pub fn of_stream(
        connection: &ConnectionId,
        step: impl fmt::Display,
        status: Status,
        now: Timestamp,
    ) -> Self {
        let step = format!("{status}:{step}");
        Self::of_task(&connection.as_task_id(), step, status, now)
    }

    /// The same with a text for people.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same with a result.
    #[must_use]
    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// The same with progress.
    #[must_use]
    pub fn with_progress(mut self, done: u64, total: u64) -> Self {
        self.progress = Some(Progress { done, total });
        self
    }

    /// The same from `pod`.
    #[must_use]
    pub fn from_pod(mut self, pod: &PodId) -> Self {
        self.pod_id = Some(pod.clone());
        self
    }

    /// The same as the task's last event.
    #[must_use]
    pub fn into_final(mut self) -> Self {
        self.final_event = true;
        self
    }

    /// The event as its JSON. Infallible: every part has a JSON form.
    pub fn to_json(&self) -> String {
        // Most events fit, so most are written without growing.
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, self)
            .ok()
            .and_then(|()| String::from_utf8(json).ok())
            .unwrap_or_else(|| unreachable!("an event has a JSON form"))
    }
}

impl ConnectionId {
    /// The connection in the place of a task: events about the stream carry its id as `correlationId`, and on the
    /// stream of a user the user's.
    pub fn as_task_id(&self) -> TaskId {
        let user = self.user();
        let text = user.as_ref().map_or(self.as_str(), UserId::as_str);
        // All of them share one alphabet, so this parse cannot fail; the type system cannot know.
        TaskId::parse(text).unwrap_or_else(|_| unreachable!("a connection id is a valid task id"))
    }
}

/// `now` as the contract writes times: to the millisecond.
pub fn millis(now: Timestamp) -> Timestamp {
    // Rounding to milliseconds fails only at the very ends of representable time.
    now.round(Unit::Millisecond).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T10:00:00.123456789Z".parse().unwrap()
    }

    #[test]
    fn an_event_has_the_fields_of_the_contract() {
        let task = TaskId::parse("t1").unwrap();
        let event = TaskEvent::of_task(&task, 2, Status::SUBTASK_COMPLETED, now())
            .with_message("chunk 2 of 5")
            .with_progress(2, 5)
            .from_pod(&PodId::parse("pod-a-1~aaaaaaaa").unwrap());
        assert_eq!(
            event.to_json(),
            r#"{"eventId":"t1:2","correlationId":"t1","status":"SUBTASK_COMPLETED","message":"chunk 2 of 5","finalEvent":false,"progress":{"done":2,"total":5},"timestamp":"2026-11-21T10:00:00.123Z","podId":"pod-a-1~aaaaaaaa"}"#
        );
        assert_eq!(serde_json::from_str::<TaskEvent>(&event.to_json()).unwrap(), event);
    }

    #[test]
    fn a_status_is_open_but_safe() {
        assert_eq!(Status::parse("COMPLETED").unwrap(), Status::COMPLETED);
        assert!(Status::parse("MY.OWN-STATE_2").is_ok());
        for bad in ["", "lower", "A B", "A\nB", "É", &"A".repeat(65)] {
            assert!(Status::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_name_of_a_users_event_may_have_small_letters_and_nothing_that_breaks_a_frame() {
        for good in ["token", "order.created", "MESSAGE", &"a".repeat(64)] {
            assert_eq!(Status::named(good).unwrap().as_str(), good);
        }
        for bad in ["", "two words", "a\nb", "a\rb", "a\0", "a:b", "\u{e9}", &"a".repeat(65)] {
            assert!(Status::named(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stream_of_a_user_speaks_of_itself_under_the_users_id() {
        let connection = ConnectionId::of_user(&UserId::parse("maria").unwrap());
        let event = TaskEvent::of_stream(&connection, 7, Status::CONNECTED, now());
        assert_eq!((event.correlation_id.as_str(), event.event_id.as_str()), ("maria", "maria:CONNECTED:7"));
    }
}
