//! The encoder.

use std::fmt;

use memchr::memchr2;

/// One frame: an event with data, or an id alone (which moves a reader's position and dispatches nothing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Becomes the reader's last event id.
    pub id: Option<&'a str>,
    /// The event's name; readers take an absent one as `message`.
    pub event: Option<&'a str>,
    /// The event's data; split over `data:` lines at CR, LF and CRLF.
    pub data: Option<&'a str>,
}

/// A field that would break out of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The id holds CR, LF or NUL.
    #[error("an SSE id cannot hold CR, LF or NUL")]
    Id,
    /// The event name holds CR or LF, or is empty (a reader would take it as absent).
    #[error("an SSE event name cannot be empty or hold CR or LF")]
    Event,
}

impl Frame<'_> {
    /// Appends the frame to `out`, or nothing where a field is not legal.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        if self.id.is_some_and(|id| id.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0))) {
            return Err(FrameError::Id);
        }
        if self.event.is_some_and(|name| name.is_empty() || name.bytes().any(|b| matches!(b, b'\r' | b'\n')))
        {
            return Err(FrameError::Event);
        }
        // One growth a frame at most: fields, names and the usual number of line ends.
        let fields = [self.id, self.event, self.data].into_iter().flatten().map(str::len).sum::<usize>();
        out.reserve(fields + FRAMING);
        if let Some(id) = self.id {
            line(out, "id", id);
        }
        if let Some(event) = self.event {
            line(out, "event", event);
        }
        if let Some(data) = self.data {
            write_data(out, data);
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Bytes of field names, colons, spaces and line ends in a frame with one line of data.
const FRAMING: usize = "id: \nevent: \ndata: \n\n".len();

/// Appends a comment, which readers ignore; newlines in `text` become spaces.
pub fn write_comment(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b": ");
    out.extend(text.bytes().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
    out.extend_from_slice(b"\n\n");
}

/// Appends the delay in milliseconds after which a reader that lost the stream opens it again.
pub fn write_retry(out: &mut Vec<u8>, millis: u64) {
    line(out, "retry", &fmt::format(format_args!("{millis}")));
    out.push(b'\n');
}

fn line(out: &mut Vec<u8>, field: &str, value: &str) {
    out.extend_from_slice(field.as_bytes());
    // The space is part of the framing: a reader strips exactly one, so a value may begin with its own.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

fn write_data(out: &mut Vec<u8>, data: &str) {
    // Our JSON has no line break, so the common case is one scan and one copy.
    let mut rest = data;
    while let Some(at) = memchr2(b'\r', b'\n', rest.as_bytes()) {
        line(out, "data", &rest[..at]);
        let width = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[at + width..];
    }
    line(out, "data", rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(frame: Frame<'_>) -> String {
        let mut out = Vec::new();
        frame.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_frame_is_id_event_and_data_lines() {
        let frame = Frame { id: Some("k.1"), event: Some("COMPLETED"), data: Some("{}") };
        assert_eq!(encoded(frame), "id: k.1\nevent: COMPLETED\ndata: {}\n\n");
        assert_eq!(encoded(Frame { id: Some("k.2"), ..Frame::default() }), "id: k.2\n\n");
        assert_eq!(
            encoded(Frame { data: Some("a\r\nb\rc\n"), ..Frame::default() }),
            "data: a\ndata: b\ndata: c\ndata: \n\n"
        );
    }

    #[test]
    fn no_field_breaks_out_of_its_line() {
        let mut out = Vec::new();
        assert_eq!(Frame { id: Some("a\nb"), ..Frame::default() }.write(&mut out), Err(FrameError::Id));
        assert_eq!(Frame { id: Some("a\0"), ..Frame::default() }.write(&mut out), Err(FrameError::Id));
        assert_eq!(Frame { event: Some("a\rb"), ..Frame::default() }.write(&mut out), Err(FrameError::Event));
        assert_eq!(Frame { event: Some(""), ..Frame::default() }.write(&mut out), Err(FrameError::Event));
        assert!(out.is_empty());
        write_comment(&mut out, "two\nlines");
        write_retry(&mut out, 1000);
        assert_eq!(out, b": two lines\n\nretry: 1000\n\n");
    }
}
