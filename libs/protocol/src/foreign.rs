//! Events of publishers that are not ours, as they arrive on the channel `task-events`.
//!
//! Only `correlationId` and `status` are required of them; what a stream's reader relies on and they leave out is
//! filled in here, so that on a stream every event looks alike. Fields with names of their own are passed on.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    EventId, PodId, Status, TaskId,
    event::{MAX_EVENT_BYTES, Progress, millis},
};

/// The largest message that is looked at: the largest event with every byte of it escaped, and no more.
const MAX_MESSAGE_BYTES: usize = 6 * MAX_EVENT_BYTES;

/// An event of somebody else's, ready for a log.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignEvent {
    /// The task or connection it is about.
    pub task: TaskId,
    /// Its id: the publisher's, or one made here.
    pub event_id: EventId,
    /// Whether the publisher named it, so that the same event may arrive twice and must not be logged twice.
    pub named: bool,
    /// What happened.
    pub status: Status,
    /// Whether it is the task's last.
    pub is_final: bool,
    /// The event, encoded: every field of a [`TaskEvent`](crate::TaskEvent), then the publisher's own.
    pub json: Arc<str>,
}

impl fmt::Debug for ForeignEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest may be a quarter of a megabyte.
        f.debug_struct("ForeignEvent")
            .field("task", &self.task)
            .field("event_id", &self.event_id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why a message cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// More bytes than an event may have.
    #[error("{0} bytes; an event has at most {MAX_EVENT_BYTES}")]
    TooLarge(usize),
    /// No JSON object.
    #[error("not a JSON object: {0}")]
    NotJson(String),
    /// A required field is not there.
    #[error("no `{0}`")]
    Missing(&'static str),
    /// A field that says what it cannot say.
    #[error("`{field}` {why}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong with it; at most about 200 bytes.
        why: String,
    },
}

impl Unusable {
    /// The kind of fault, for counting.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too-large",
            Self::NotJson(_) => "not-json",
            Self::Missing(_) => "missing-field",
            Self::Field { .. } => "bad-field",
        }
    }
}

impl ForeignEvent {
    /// Reads a message. `nonce` makes the id of an event whose publisher gave it none: 1 to 32 characters that an
    /// event id may have, another for each message. `now` is the time of an event that says none.
    ///
    /// # Errors
    /// What is wrong with it, in few words: the message may be of any size and hold anything.
    pub fn parse(message: &[u8], nonce: &str, now: Timestamp) -> Result<Self, Unusable> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(Unusable::TooLarge(message.len()));
        }
        let mut fields: Map<String, Value> =
            serde_json::from_slice(message).map_err(|error| Unusable::NotJson(short(&error.to_string())))?;

        let task = match required(&mut fields, "correlationId")? {
            Value::String(text) => TaskId::parse(text).map_err(|error| bad("correlationId", error))?,
            other => return Err(not_a("correlationId", "text", &other)),
        };
        let status = match required(&mut fields, "status")? {
            Value::String(text) => Status::parse(text).map_err(|error| bad("status", error))?,
            other => return Err(not_a("status", "text", &other)),
        };
        if Status::OF_STREAMS.contains(&status) {
            return Err(bad("status", format_args!("is {status}, which only a stream says of itself")));
        }
        if fields.contains_key("tasks") {
            return Err(bad("tasks", "is what only RESET has"));
        }
        let named = text(&mut fields, "eventId")?
            .map(|text| EventId::parse(text).map_err(|error| bad("eventId", error)))
            .transpose()?;
        let is_final = match optional(&mut fields, "finalEvent") {
            None => false,
            Some(Value::Bool(is_final)) => is_final,
            Some(other) => return Err(not_a("finalEvent", "true or false", &other)),
        };
        let message = text(&mut fields, "message")?.unwrap_or_default();
        let result = optional(&mut fields, "result");
        let progress = optional(&mut fields, "progress")
            .map(|value| serde_json::from_value::<Progress>(value).map_err(|error| bad("progress", error)))
            .transpose()?;
        let timestamp = text(&mut fields, "timestamp")?
            .map(|text| text.parse::<Timestamp>().map_err(|error| bad("timestamp", error)))
            .transpose()?
            .unwrap_or(now);
        let pod = text(&mut fields, "podId")?
            .map(|text| PodId::parse(text).map_err(|error| bad("podId", error)))
            .transpose()?;

        let event_id = named.clone().unwrap_or_else(|| {
            EventId::parse(format!("{task}:foreign:{nonce}"))
                .unwrap_or_else(|error| unreachable!("the nonce {nonce:?} {error}"))
        });
        let event = crate::TaskEvent {
            event_id: event_id.clone(),
            correlation_id: task.clone(),
            status: status.clone(),
            message,
            result,
            final_event: is_final,
            progress,
            timestamp: millis(timestamp),
            pod_id: pod,
            tasks: None,
        };
        let json = with_own_fields(event.to_json(), fields);
        if json.len() > MAX_EVENT_BYTES {
            return Err(Unusable::TooLarge(json.len()));
        }
        Ok(Self { task, event_id, named: named.is_some(), status, is_final, json: json.into() })
    }
}

/// `event`, an object in JSON, with the members of `fields` behind its own.
fn with_own_fields(mut event: String, fields: Map<String, Value>) -> String {
    if !fields.is_empty() {
        let own = Value::Object(fields).to_string();
        event.truncate(event.len() - 1);
        event.push(',');
        event.push_str(&own[1..]);
    }
    event
}

fn optional(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    fields.remove(name).filter(|value| !value.is_null())
}

fn required(fields: &mut Map<String, Value>, name: &'static str) -> Result<Value, Unusable> {
    optional(fields, name).ok_or(Unusable::Missing(name))
}

fn text(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, Unusable> {
    match optional(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(not_a(name, "text", &other)),
    }
}

fn bad(field: &'static str, why: impl fmt::Display) -> Unusable {
    Unusable::Field { field, why: short(&why.to_string()) }
}

fn not_a(field: &'static str, wanted: &str, found: &Value) -> Unusable {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    bad(field, format_args!("is {found}; expected {wanted}"))
}

/// At most 200 bytes of a reason, which may quote what it is about.
fn short(why: &str) -> String {
    let mut end = why.len().min(200);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskEvent;

    fn now() -> Timestamp {
        "2026-11-21T10:00:00.123456789Z".parse().unwrap()
    }

    fn parse(message: &str) -> Result<ForeignEvent, Unusable> {
        ForeignEvent::parse(message.as_bytes(), "n1", now())
    }

    #[test]
    fn two_fields_are_enough_and_the_rest_is_filled_in() {
        let event = parse(r#"{"correlationId":"test","status":"TEST"}"#).unwrap();
        assert_eq!(
            &*event.json,
            r#"{"eventId":"test:foreign:n1","correlationId":"test","status":"TEST","message":"","finalEvent":false,"timestamp":"2026-11-21T10:00:00.123Z"}"#
        );
        assert!(!event.named && !event.is_final);
    }

    #[test]
    fn what_the_publisher_says_is_kept_with_fields_of_its_own() {
        let event = parse(
            r#" {"status":"DONE","correlationId":"t","eventId":"e:1","finalEvent":true,"message":"é\n",
                "result":{"nav":1.50},"progress":{"done":2,"total":2},"timestamp":"2026-01-02T03:04:05+01:00",
                "podId":"desk","desk":{"id":[7,null]},"message2":null} "#,
        )
        .unwrap();
        assert_eq!((event.event_id.as_str(), event.named, event.is_final), ("e:1", true, true));
        assert_eq!(
            &*event.json,
            r#"{"eventId":"e:1","correlationId":"t","status":"DONE","message":"é\n","result":{"nav":1.5},"finalEvent":true,"progress":{"done":2,"total":2},"timestamp":"2026-01-02T02:04:05Z","podId":"desk","desk":{"id":[7,null]},"message2":null}"#
        );
        let read: TaskEvent = serde_json::from_str(&event.json).unwrap();
        assert_eq!(read.event_id, event.event_id);
    }

    #[test]
    fn what_is_null_is_not_there() {
        let text = r#"{"correlationId":"t","status":"A","eventId":null,"result":null,"finalEvent":null}"#;
        assert!(!parse(text).unwrap().named);
        assert_eq!(parse(r#"{"correlationId":null,"status":"A"}"#), Err(Unusable::Missing("correlationId")));
    }

    #[test]
    fn every_kind_of_unusable_message_is_named() {
        let bombs = ["[".repeat(200_000), r#"{"a":"#.repeat(100_000)];
        let huge = format!(
            r#"{{"correlationId":"t","status":"A","message":"{}"}}"#,
            "x".repeat(MAX_EVENT_BYTES - 100)
        );
        let cases = [
            ("", "not-json"),
            ("null", "not-json"),
            ("[]", "not-json"),
            (r#"{"correlationId":"t","status":"A""#, "not-json"),
            (r#"{"correlationId":"t","status":"A"} x"#, "not-json"),
            (r#"{"correlationId":"t","status":"A","n":1e999}"#, "not-json"),
            (&bombs[0], "not-json"),
            (&bombs[1], "not-json"),
            ("{}", "missing-field"),
            (r#"{"correlationId":"t"}"#, "missing-field"),
            (r#"{"status":"A"}"#, "missing-field"),
            (r#"{"correlationId":"","status":"A"}"#, "bad-field"),
            (r#"{"correlationId":"a:b","status":"A"}"#, "bad-field"),
            (r#"{"correlationId":"a\r\nb","status":"A"}"#, "bad-field"),
            (r#"{"correlationId":7,"status":"A"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"lower"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A\nid: 1.9"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":["A"]}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"RESET"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","tasks":[]}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","eventId":"a b"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","finalEvent":"yes"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","message":{}}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","progress":{"done":-1,"total":2}}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","timestamp":"yesterday"}"#, "bad-field"),
            (r#"{"correlationId":"t","status":"A","podId":"a:b"}"#, "bad-field"),
            (&huge, "too-large"),
            (&" ".repeat(MAX_MESSAGE_BYTES + 1), "too-large"),
        ];
        for (message, reason) in cases {
            let start: String = message.chars().take(80).collect();
            let error = parse(message).expect_err(&start);
            assert_eq!(error.reason(), reason, "{start}: {error}");
            assert!(error.to_string().len() < 300, "{error}");
        }
        assert_eq!(ForeignEvent::parse(b"{\"a\":\"\xff\"}", "n", now()).unwrap_err().reason(), "not-json");
    }

    #[test]
    fn the_size_counts_as_we_encode_it() {
        // Spaces around and escapes that need none are not part of the event.
        let message = format!(
            r#"{{"correlationId":"t","status":"A","message":"{}"}}{}"#,
            r"\u0041".repeat(200_000),
            " ".repeat(200_000)
        );
        assert!(parse(&message).unwrap().json.len() < 210_000);
    }
}
