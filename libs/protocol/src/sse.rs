//! Server-sent events: an encoder that cannot be made to break a frame, and an incremental parser that
//! follows the [WHATWG algorithm](https://html.spec.whatwg.org/multipage/server-sent-events.html).

mod encode;
mod parse;

pub use encode::{Frame, FrameError, write_comment, write_retry};
pub use parse::{Event, Item, ParseError, Parser};

/// How a parser sees `data` that an encoder was given: CR and CRLF become LF, for the wire has only lines.
pub fn normalize_newlines(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}
