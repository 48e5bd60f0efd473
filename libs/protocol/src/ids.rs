//! Ids that travel through headers, Redis keys and SSE frames.
//!
//! All of them share one alphabet, `[A-Za-z0-9._~-]{1,64}`: no CR or LF (frames, headers), no `:` (keys),
//! no NUL. Parsing is the only way in, so a value that exists is valid.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest id, in bytes (each allowed character is one byte).
///
/// 64 keeps `Last-Event-ID`, keys and log lines short, and fits a UUID with a suffix.
pub const MAX_ID_LENGTH: usize = 64;

/// What [`is_id_byte`] and [`MAX_ID_LENGTH`] say, as a regular expression for documents.
pub const ID_PATTERN: &str = "^[A-Za-z0-9._~-]{1,64}$";

/// The same of an [`EventId`].
pub const EVENT_ID_PATTERN: &str = "^[A-Za-z0-9._~:-]{1,128}$";

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("is empty; give 1 to {MAX_ID_LENGTH} characters of A-Z a-z 0-9 . _ ~ -")]
    Empty,
    /// The text is longer than [`MAX_ID_LENGTH`].
    #[error("has {0} bytes; at most {MAX_ID_LENGTH} are allowed")]
    TooLong(usize),
    /// The text has a character outside the alphabet.
    #[error("has the character {found:?} at byte {at}; allowed are A-Z a-z 0-9 . _ ~ -")]
    Character {
        /// The first character that is not allowed.
        found: char,
        /// Its byte offset.
        at: usize,
    },
}

/// Whether `byte` may stand in an id.
pub const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-')
}

pub(crate) fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some((at, found)) = text.char_indices().find(|(_, c)| !c.is_ascii() || !is_id_byte(*c as u8)) {
        return Err(IdError::Character { found, at });
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(IdError::TooLong(text.len()));
    }
    Ok(())
}

/// A type of id: parsed, cheap to clone, and text everywhere outside.
macro_rules! id {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses `text`; see [`IdError`]($crate::ids::IdError) for what is refused.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, $crate::ids::IdError> {
                let text = text.as_ref();
                $crate::ids::check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::IdError;
            fn from_str(text: &str) -> Result<Self, $crate::ids::IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::ids::IdError;
            fn try_from(text: String) -> Result<Self, $crate::ids::IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::schema::text(concat!($($doc),*), $crate::ids::ID_PATTERN, $crate::ids::MAX_ID_LENGTH)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}
pub(crate) use id;

id! {
    /// Names one stream: what a client opens, loses and opens again.
    ConnectionId
}
id! {
    /// Names one task, for ever; the `correlationId` of its events.
    TaskId
}
id! {
    /// Names a person or system that owns streams.
    UserId
}
id! {
    /// Names a cluster: the value of the route header, and the scope of Redis keys.
    ClusterId
}

/// Names one event of one task, so that emitting it twice logs it once.
///
/// Tasks use `{taskId}:{step}`; an event id therefore may hold `:` besides the id alphabet, and is longer
/// than an id. It never becomes a key, a header or an SSE `id:` field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Arc<str>);

/// The longest event id, in bytes: an id, a colon and a step name with room to spare.
pub const MAX_EVENT_ID_LENGTH: usize = 128;

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for EventId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let description = "Names one event of one task, so that an event emitted twice is logged once.";
        crate::schema::text(description, EVENT_ID_PATTERN, MAX_EVENT_ID_LENGTH)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for EventId {}

impl EventId {
    /// Parses `text`: 1 to 128 characters of the id alphabet or `:`.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, IdError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        let bad = |c: char| !c.is_ascii() || !(is_id_byte(c as u8) || c == ':');
        if let Some((at, found)) = text.char_indices().find(|(_, c)| bad(*c)) {
            return Err(IdError::Character { found, at });
        }
        if text.len() > MAX_EVENT_ID_LENGTH {
            return Err(IdError::TooLong(text.len()));
        }
        Ok(Self(text.into()))
    }

    /// The id of step `step` of `task`: the same step of a second run has the same id.
    pub fn of_step(task: &TaskId, step: impl fmt::Display) -> Self {
        Self(format!("{task}:{step}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for EventId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> String {
        id.0.as_ref().to_owned()
    }
}

/// What the connection of a user begins with. No id holds a colon, so none of a client's can be taken for one.
const OF_USER: &str = "user:";

impl ConnectionId {
    /// The connection of a user's one stream. [`parse`](Self::parse) refuses its text: nobody can open somebody's
    /// stream by another way than the one for it.
    pub fn of_user(user: &UserId) -> Self {
        Self(format!("{OF_USER}{user}").into())
    }

    /// Whose stream it is, where it is a user's.
    pub fn user(&self) -> Option<UserId> {
        self.0.strip_prefix(OF_USER).map(|user| UserId(user.into()))
    }

    /// Reads a connection where a store has kept it: also that of a user.
    pub fn parse_kept(text: &str) -> Result<Self, IdError> {
        match text.strip_prefix(OF_USER) {
            Some(user) => UserId::parse(user).map(|user| Self::of_user(&user)),
            None => Self::parse(text),
        }
    }

    /// The connection a task belongs to when its request names none: the part before a last `-fund-<n>`
    /// or `-bond-<n>`, else the task id itself (`desk7-fund-3` -> `desk7`).
    pub fn of_task(task: &TaskId) -> Self {
        let text = task.as_str();
        for marker in ["-fund-", "-bond-"] {
            if let Some((head, number)) = text.rsplit_once(marker)
                && !head.is_empty()
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
            {
                return Self(head.into());
            }
        }
        Self(task.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_alphabet_and_length() {
        for good in ["a", "A-Z_a.z~0-9", &"x".repeat(64)] {
            assert_eq!(TaskId::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(TaskId::parse(""), Err(IdError::Empty));
        assert_eq!(TaskId::parse("x".repeat(65)), Err(IdError::TooLong(65)));
        for (bad, found, at) in
            [("a:b", ':', 1), ("a\r\nb", '\r', 1), ("\0", '\0', 0), ("aé", 'é', 1), (" ", ' ', 0)]
        {
            assert_eq!(TaskId::parse(bad), Err(IdError::Character { found, at }), "{bad:?}");
        }
    }

    #[test]
    fn an_event_id_may_hold_a_colon_and_is_bounded() {
        let task = TaskId::parse("t1").unwrap();
        assert_eq!(EventId::of_step(&task, 3).as_str(), "t1:3");
        assert_eq!(EventId::parse("t1:3").unwrap(), EventId::of_step(&task, 3));
        assert!(EventId::parse("a\nb").is_err());
        assert_eq!(EventId::parse("x".repeat(129)), Err(IdError::TooLong(129)));
    }

    #[test]
    fn the_connection_of_a_user_is_nobody_elses() {
        let user = UserId::parse("maria").unwrap();
        let connection = ConnectionId::of_user(&user);
        assert_eq!(connection.as_str(), "user:maria");
        assert_eq!(connection.user(), Some(user));
        assert_eq!(ConnectionId::parse("user:maria"), Err(IdError::Character { found: ':', at: 4 }));
        assert!(serde_json::from_str::<ConnectionId>("\"user:maria\"").is_err());
        assert_eq!(ConnectionId::parse_kept("user:maria"), Ok(connection));
        assert_eq!(ConnectionId::parse_kept("desk7").unwrap().user(), None);
        for bad in ["user:", "user:a:b", "users:a", ":a", "user:a\n"] {
            assert!(ConnectionId::parse_kept(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_task_without_a_connection_belongs_to_the_part_before_its_number() {
        for (task, connection) in [
            ("desk7-fund-3", "desk7"),
            ("desk7-bond-12", "desk7"),
            ("a-fund-1-bond-2", "a-fund-1"),
            ("a-bond-1-fund-2", "a-bond-1"),
            ("desk7", "desk7"),
            ("desk7-fund-", "desk7-fund-"),
            ("desk7-fund-3x", "desk7-fund-3x"),
            ("-fund-3", "-fund-3"),
        ] {
            assert_eq!(ConnectionId::of_task(&TaskId::parse(task).unwrap()).as_str(), connection, "{task}");
        }
    }
}
