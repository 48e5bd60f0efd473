//! What a sender says: bodies, checked, and never written anew.

use std::sync::Arc;

use fundbond_protocol::{
    EventId, Status, UserId,
    event::{MAX_EVENT_BYTES, NameError},
};
use fundbond_store::UserEvent;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{http::error::ApiError, users::new_event_id};

/// The largest body, and the longest line: an event of the largest size, with as much again for the rest, in which a
/// sender may be generous with spaces.
pub const MAX_MESSAGE_BYTES: usize = 2 * MAX_EVENT_BYTES;

/// The name of an event: what `addEventListener` of an `EventSource` takes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,64}$")]
pub struct Name(Status);

/// Why a text is not the name of an event that somebody may send.
#[derive(Debug, thiserror::Error)]
pub enum BadName {
    #[error(transparent)]
    Shape(#[from] NameError),
    #[error("{0} is what a stream says of itself; choose another name")]
    OfStreams(Status),
    #[error("{0:?} is what an EventSource calls an event of its own; choose another name")]
    OfReaders(String),
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let same = |of_stream: &&Status| of_stream.as_str().eq_ignore_ascii_case(&text);
        if let Some(of_stream) = Status::OF_STREAMS.iter().find(same) {
            return Err(BadName::OfStreams(of_stream.clone()));
        }
        // Their listeners are called when a connection opens or breaks.
        if ["open", "error"].contains(&text.as_str()) {
            return Err(BadName::OfReaders(text));
        }
        Ok(Self(Status::named(text)?))
    }
}

/// One event for one user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserMessage {
    /// Who is to hear it.
    pub user_id: UserId,
    /// The name of the event; else `MESSAGE`. Not what a stream says of itself (`CONNECTED`, `RESET` ...), nor `open` or
    /// `error`.
    #[schema(inline)]
    event: Option<Name>,
    /// Any JSON value of at most 256 KiB.
    #[schema(value_type = serde_json::Value)]
    data: Box<RawValue>,
    /// Makes it idempotent: sent twice with one id, it is logged once.
    id: Option<EventId>,
}

/// One event for everybody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Announcement {
    /// The name of the event; else `MESSAGE`. Not what a stream says of itself (`CONNECTED`, `RESET` ...), nor `open` or
    /// `error`.
    #[schema(inline)]
    event: Option<Name>,
    /// Any JSON value of at most 256 KiB.
    #[schema(value_type = serde_json::Value)]
    data: Box<RawValue>,
    /// Makes it idempotent: sent twice with one id, each stream has it once.
    id: Option<EventId>,
}

impl UserMessage {
    /// Who is to hear what.
    pub fn into_event(self) -> Result<(UserId, UserEvent), ApiError> {
        let event = event(self.event, &self.data, self.id)?;
        Ok((self.user_id, event))
    }
}

impl Announcement {
    /// What everybody is to hear.
    pub fn into_event(self) -> Result<UserEvent, ApiError> {
        event(self.event, &self.data, self.id)
    }
}

fn event(name: Option<Name>, data: &RawValue, id: Option<EventId>) -> Result<UserEvent, ApiError> {
    let json: Arc<str> = data.get().into();
    if json.len() > MAX_EVENT_BYTES {
        let message = format!("has {} bytes; an event has at most {MAX_EVENT_BYTES}", json.len());
        return Err(ApiError::field("data", message));
    }
    let named = id.is_some();
    let event_id = id.unwrap_or_else(new_event_id);
    Ok(UserEvent { event_id, named, name: name.map_or(Status::MESSAGE, |name| name.0), json })
}
