//! The incremental parser.

/// A dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The last event id in force, of this event or an earlier one; empty before the first.
    pub id: String,
    /// The event's name, `message` where it had none.
    pub name: String,
    /// The data, lines joined by LF.
    pub data: String,
}

/// What the parser found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event to act on.
    Event(Event),
    /// The server's wish for the delay before a reconnect, in milliseconds.
    Retry(u64),
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line or an event outgrew the limit.
    #[error("an event of more than {0} bytes: not a stream of ours")]
    TooLarge(usize),
}

/// Reads a byte stream in pieces of any size, with no assumption where the pieces are cut.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    /// The last byte was CR: a LF that follows belongs to it.
    after_cr: bool,
    /// Nothing was read yet: a byte order mark may come.
    at_start: bool,
    last_event_id: String,
    id_buffer: String,
    name: String,
    data: String,
    has_data: bool,
}

impl Parser {
    /// A parser that refuses lines and events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            last_event_id: String::new(),
            id_buffer: String::new(),
            name: String::new(),
            data: String::new(),
            has_data: false,
        }
    }

    /// What to send as `Last-Event-ID` on the next open. An id counts once its frame is whole.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Takes the next piece and appends what it completes to `items`.
    pub fn feed(&mut self, mut bytes: &[u8], items: &mut Vec<Item>) -> Result<(), ParseError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + part.len() > self.limit {
                return Err(ParseError::TooLarge(self.limit));
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, items)?;
            // Keep the allocation for the next line.
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], items: &mut Vec<Item>) -> Result<(), ParseError> {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(items);
            return Ok(());
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.data.len() + value.len() >= self.limit {
                    return Err(ParseError::TooLarge(self.limit));
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id_buffer),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                if let Ok(millis) = value.parse() {
                    items.push(Item::Retry(millis));
                }
            }
            // Comments have an empty field name; unknown fields are for later versions.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, items: &mut Vec<Item>) {
        self.id_buffer.clone_into(&mut self.last_event_id);
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        // The standard drops an event whose data is empty, whether or not it had a `data:` line.
        if std::mem::take(&mut self.has_data) && !data.is_empty() {
            let name = if name.is_empty() { "message".to_owned() } else { name };
            items.push(Item::Event(Event { id: self.last_event_id.clone(), name, data }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, step: usize) -> (Vec<Item>, String) {
        let mut parser = Parser::new(1024);
        let mut items = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            parser.feed(piece, &mut items).unwrap();
        }
        (items, parser.last_event_id().to_owned())
    }

    fn event(id: &str, name: &str, data: &str) -> Item {
        Item::Event(Event { id: id.into(), name: name.into(), data: data.into() })
    }

    #[test]
    fn the_examples_of_the_standard_hold_however_the_bytes_are_cut() {
        for step in 1..40 {
            let (items, _) = parse("data: YHOO\ndata: +2\ndata: 10\n\n", step);
            assert_eq!(items, [event("", "message", "YHOO\n+2\n10")]);
            let (items, last) = parse(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
                step,
            );
            assert_eq!(
                items,
                [
                    event("1", "message", "first event"),
                    event("", "message", "second event"),
                    event("", "message", " third event")
                ]
            );
            assert_eq!(last, "");
            let (items, last) =
                parse("\u{feff}retry: 1500\r\rid: k.2\r\n\r\nevent: é\ndata: x\r\ndata\r\n\ndata: cut", step);
            assert_eq!(items, [Item::Retry(1500), event("k.2", "é", "x\n")]);
            assert_eq!(last, "k.2");
        }
    }

    #[test]
    fn an_event_past_the_limit_is_an_error_and_not_memory() {
        let mut parser = Parser::new(16);
        assert_eq!(parser.feed(&[b'x'; 17], &mut Vec::new()), Err(ParseError::TooLarge(16)));
        let mut parser = Parser::new(16);
        assert_eq!(
            parser.feed(b"data: 12345678\ndata: 12345678\n", &mut Vec::new()),
            Err(ParseError::TooLarge(16))
        );
    }
}
