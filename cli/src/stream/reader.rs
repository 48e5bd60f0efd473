//! Bytes to events: each event once, and the place to continue after. Pure.

use std::time::Duration;

use fundbond_protocol::{
    LastEventId, Position, Status,
    api::MAX_TASK_IDS,
    event::MAX_EVENT_BYTES,
    sse::{Event, Item, ParseError, Parser},
};

use super::Ended;

/// The largest event is a RESET with the latest event of each attached task, and its own few bytes.
const MAX_FRAME_BYTES: usize = (MAX_TASK_IDS + 1) * MAX_EVENT_BYTES;

/// What a piece of a stream held.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// Events that were not seen before.
    pub events: Vec<Event>,
    /// What the server wishes for as reconnect delay.
    pub wishes: Vec<Duration>,
    /// The last of the events ends the stream for good.
    pub ended: Option<Ended>,
}

/// Reads one stream over all its connections.
#[derive(Debug)]
pub struct Reader {
    parser: Parser,
    last_event_id: String,
    seen: Option<Position>,
}

impl Reader {
    /// A reader that continues after `last_event_id`; empty: from the start.
    pub fn new(last_event_id: &str) -> Self {
        let seen = match LastEventId::parse(last_event_id) {
            LastEventId::At(position) => Some(position),
            _ => None,
        };
        Self { parser: Parser::new(MAX_FRAME_BYTES), last_event_id: last_event_id.to_owned(), seen }
    }

    /// What to send as `Last-Event-ID`.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// A new connection begins: half an event of the old one is nobody's.
    pub fn reopened(&mut self) {
        self.parser = Parser::new(MAX_FRAME_BYTES);
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Found, ParseError> {
        let mut items = Vec::new();
        self.parser.feed(piece, &mut items)?;
        let mut found = Found::default();
        for item in items {
            match item {
                Item::Retry(millis) => found.wishes.push(Duration::from_millis(millis)),
                // What follows the end is not for us.
                Item::Event(_) if found.ended.is_some() => {}
                Item::Event(event) => self.take(event, &mut found),
            }
        }
        // Also without an event: a frame with an id alone moves the place to continue after.
        if !self.parser.last_event_id().is_empty() {
            self.parser.last_event_id().clone_into(&mut self.last_event_id);
            self.advance(LastEventId::parse(&self.last_event_id));
        }
        Ok(found)
    }

    fn take(&mut self, event: Event, found: &mut Found) {
        let id = LastEventId::parse(&event.id);
        match event.name.as_str() {
            name if name == Status::CLOSED.as_str() => found.ended = Some(Ended::Closed),
            // Without such an id REPLACED is about one task, and the stream goes on.
            name if name == Status::REPLACED.as_str() && id == LastEventId::Replaced => {
                found.ended = Some(Ended::Replaced);
            }
            name if name == Status::RESET.as_str() => self.seen = None,
            name if !is_about_the_stream(name) && self.is_repeated(&id) => return,
            _ => {}
        }
        self.advance(id);
        found.events.push(event);
    }

    fn is_repeated(&self, id: &LastEventId) -> bool {
        matches!(id, LastEventId::At(position) if !self.is_ahead(position))
    }

    fn is_ahead(&self, position: &Position) -> bool {
        self.seen.as_ref().is_none_or(|seen| position.epoch != seen.epoch || position.offset > seen.offset)
    }

    fn advance(&mut self, id: LastEventId) {
        // CONNECTED names where replay starts, which may lie before what was seen.
        if let LastEventId::At(position) = id
            && self.is_ahead(&position)
        {
            self.seen = Some(position);
        }
    }
}

/// Events that have no place in the log: they carry another's id or inherit the one before them, which
/// must not make them look repeated.
fn is_about_the_stream(name: &str) -> bool {
    [Status::CONNECTED, Status::HEARTBEAT, Status::DRAINING, Status::REPLACED]
        .iter()
        .any(|s| s.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found) -> Vec<&str> {
        found.events.iter().map(|event| event.name.as_str()).collect()
    }

    #[test]
    fn an_event_is_told_once_and_a_new_epoch_starts_anew() {
        let mut reader = Reader::new("");
        let found =
            reader.feed(b"id: k.0\nevent: CONNECTED\ndata: {}\n\nid: k.1\nevent: A\ndata: {}\n\n").unwrap();
        assert_eq!(names(&found), ["CONNECTED", "A"]);
        reader.reopened();
        let again = b"id: k.1\nevent: CONNECTED\ndata: {}\n\nid: k.1\nevent: A\ndata: {}\n\nevent: HEARTBEAT\ndata: {}\n\nid: k.2\nevent: B\ndata: {}\n\n";
        assert_eq!(names(&reader.feed(again).unwrap()), ["CONNECTED", "HEARTBEAT", "B"]);
        let reset = b"id: m.1\nevent: RESET\ndata: {}\n\nid: m.2\nevent: C\ndata: {}\n\n";
        assert_eq!(names(&reader.feed(reset).unwrap()), ["RESET", "C"]);
        assert_eq!(reader.last_event_id(), "m.2");
    }

    #[test]
    fn an_id_alone_moves_the_place_to_continue_after() {
        let mut reader = Reader::new("k.3");
        assert_eq!(reader.feed(b"id: k.9\n\n").unwrap(), Found::default());
        assert_eq!(reader.last_event_id(), "k.9");
        assert_eq!(names(&reader.feed(b"id: k.9\nevent: A\ndata: {}\n\n").unwrap()), [] as [&str; 0]);
    }

    #[test]
    fn half_an_event_is_forgotten_with_its_connection() {
        let mut reader = Reader::new("k.3");
        reader.feed(b"id: k.4\nevent: A\ndata: {").unwrap();
        assert_eq!(reader.last_event_id(), "k.3");
        reader.reopened();
        assert_eq!(names(&reader.feed(b"id: k.4\nevent: A\ndata: {}\n\n").unwrap()), ["A"]);
    }

    #[test]
    fn replaced_and_closed_end_the_stream_and_replaced_for_a_task_does_not() {
        let task = b"id: k.1\nevent: REPLACED\ndata: {}\n\n";
        assert_eq!(Reader::new("").feed(task).unwrap().ended, None);
        let stream = b"id: x.7\nevent: REPLACED\ndata: {}\n\nid: x.8\nevent: LATE\ndata: {}\n\n";
        let found = Reader::new("").feed(stream).unwrap();
        assert_eq!((names(&found), found.ended), (vec!["REPLACED"], Some(Ended::Replaced)));
        assert_eq!(Reader::new("").feed(b"event: CLOSED\ndata: {}\n\n").unwrap().ended, Some(Ended::Closed));
    }
}
