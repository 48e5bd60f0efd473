//! Where a reader stands in a connection's log.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Names one history of one connection: `[0-9a-z]{1,16}`. When history is lost there is a new one, so a
/// position can never be taken for a place in another history.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(Arc<str>);

/// A text that is not an epoch, a position or an SSE id of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a position: expected <epoch>.<offset> with an epoch of 1 to 16 characters of 0-9 a-z")]
pub struct PositionError;

impl Epoch {
    /// The epoch that begins at `micros` (microseconds since the Unix epoch), in base 36.
    ///
    /// Time and not a counter: a counter that is rolled back with the data would be used twice.
    pub fn from_micros(micros: u64) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut left = micros;
        let mut text = Vec::with_capacity(13);
        loop {
            text.push(char::from(DIGITS[(left % 36) as usize]));
            left /= 36;
            if left == 0 {
                break;
            }
        }
        Self(text.iter().rev().collect::<String>().into())
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Epoch {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let legal =
            (1..=16).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'));
        if legal { Ok(Self(text.into())) } else { Err(PositionError) }
    }
}

impl TryFrom<String> for Epoch {
    type Error = PositionError;
    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> String {
        epoch.0.as_ref().to_owned()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a connection's log: after the event with this offset. Offset 0 is before the first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which history.
    pub epoch: Epoch,
    /// How many events of it lie behind, counting from 1; rises by one a logged event.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.offset)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Position {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, offset) = text.split_once('.').ok_or(PositionError)?;
        // One spelling a number: `+1`, `01` and a 30-digit offset are somebody else's ids.
        let canonical =
            offset == "0" || !offset.starts_with('0') && offset.bytes().all(|b| b.is_ascii_digit());
        if !canonical {
            return Err(PositionError);
        }
        Ok(Self { epoch: epoch.parse()?, offset: offset.parse().map_err(|_| PositionError)? })
    }
}

/// What a client says it has read: the `Last-Event-ID` header or its query twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastEventId {
    /// Nothing: absent or empty. Reading starts at the start of the log.
    Start,
    /// A position, of whatever epoch.
    At(Position),
    /// The id of a whole-stream `REPLACED`: another stream took over, so this one must not come back.
    Replaced,
    /// Anything else. Told by `RESET`, never by silence.
    Unknown,
}

impl LastEventId {
    /// Reads the header's or query's raw text; never fails.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "" => Self::Start,
            text if text.starts_with("x.") => Self::Replaced,
            text => text.parse().map_or(Self::Unknown, Self::At),
        }
    }
}

/// The SSE id of a whole-stream `REPLACED` by the registration with generation `generation`.
pub fn replaced_id(generation: u64) -> String {
    format!("x.{generation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_time_in_base_36() {
        assert_eq!(Epoch::from_micros(0).as_str(), "0");
        assert_eq!(Epoch::from_micros(36 * 36 + 35).as_str(), "10z");
        assert_eq!(Epoch::from_micros(u64::MAX).as_str().len(), 13);
    }

    #[test]
    fn last_event_id_is_a_start_a_position_a_farewell_or_unknown() {
        let at = |epoch: &str, offset| LastEventId::At(Position { epoch: epoch.parse().unwrap(), offset });
        for (text, want) in [
            ("", LastEventId::Start),
            ("  ", LastEventId::Start),
            ("k3.0", at("k3", 0)),
            ("k3.12", at("k3", 12)),
            ("x.17", LastEventId::Replaced),
            ("k3.012", LastEventId::Unknown),
            ("k3.+1", LastEventId::Unknown),
            ("k3.", LastEventId::Unknown),
            ("K3.1", LastEventId::Unknown),
            (".1", LastEventId::Unknown),
            ("garbage", LastEventId::Unknown),
            ("k3.99999999999999999999", LastEventId::Unknown),
            ("01234567890123456.1", LastEventId::Unknown),
        ] {
            assert_eq!(LastEventId::parse(text), want, "{text:?}");
        }
    }
}
