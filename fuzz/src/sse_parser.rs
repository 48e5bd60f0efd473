//! The SSE codec: however bytes are cut they parse alike, as the standard says, within bounds; and what the encoder
//! writes is read back.

use fundbond_protocol::sse::{
    Event, Frame, Item, ParseError, Parser, normalize_newlines, write_comment, write_retry,
};

/// Small enough that the fuzzer reaches it with the inputs it makes.
const TIGHT: usize = 64;
/// Larger than any input, so that only the rules of the standard decide.
const WIDE: usize = 1 << 24;
/// Ends a frame, and a field of a frame, where the input is read as frames: control characters that no JSON has.
const FRAME_END: char = '\u{1e}';
const FIELD_END: char = '\u{1f}';

/// Checks one input.
pub fn check(bytes: &[u8]) {
    for limit in [TIGHT, WIDE] {
        let whole = parse([bytes], limit);
        assert_eq!(parse(bytes.chunks(1), limit), whole, "byte by byte, limit {limit}");
        assert_eq!(parse(pieces(bytes), limit), whole, "in pieces, limit {limit}");
        bounded(&whole.items, limit, bytes.len());
    }
    let wide = parse([bytes], WIDE);
    assert_eq!(wide.end, Ok(()));
    assert_eq!((wide.items, wide.last_event_id), by_the_standard(bytes));
    round_trip(&String::from_utf8_lossy(bytes));
}

#[derive(Debug, PartialEq)]
struct Read {
    items: Vec<Item>,
    last_event_id: String,
    end: Result<(), ParseError>,
}

fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Read {
    let mut parser = Parser::new(limit);
    let mut items = Vec::new();
    let end = pieces.into_iter().try_for_each(|piece| parser.feed(piece, &mut items));
    Read { items, last_event_id: parser.last_event_id().to_owned(), end }
}

/// Cuts that the input itself decides: any change of it also moves them.
fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    // FNV-1a, then xorshift: both only have to scatter.
    let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    }) | 1;
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Pieces of 0 to 15 bytes: an empty read changes nothing either.
        let (piece, after) = rest.split_at(rest.len().min((state & 15) as usize));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn bounded(items: &[Item], limit: usize, input: usize) {
    let mut data = 0;
    for item in items {
        if let Item::Event(event) = item {
            assert!(
                !event.data.is_empty() && event.data.len() <= limit,
                "{} bytes of data",
                event.data.len()
            );
            // A byte that is no UTF-8 becomes a replacement character of three.
            assert!(event.name.len() <= 3 * limit && event.id.len() <= 3 * limit);
            assert!(!event.id.contains(['\r', '\n', '\0']) && !event.name.contains(['\r', '\n']));
            data += event.data.len();
        }
    }
    assert!(data <= 3 * input, "{data} bytes of data from {input} bytes");
}

/// The algorithm of the standard in its own words, on a text that is whole: slow, and too plain to be wrong in the
/// same way.
fn by_the_standard(bytes: &[u8]) -> (Vec<Item>, String) {
    let text = String::from_utf8_lossy(bytes);
    let text = normalize_newlines(text.strip_prefix('\u{feff}').unwrap_or(&text));
    let (mut items, mut id, mut dispatched_id) = (Vec::new(), String::new(), String::new());
    let (mut name, mut data) = (String::new(), String::new());
    let mut lines: Vec<&str> = text.split('\n').collect();
    // What follows the last line end is no line yet.
    lines.pop();
    for line in lines {
        if line.is_empty() {
            dispatched_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n').filter(|data| !data.is_empty()) {
                let name = if name.is_empty() { "message" } else { &name };
                items.push(Item::Event(Event {
                    id: id.clone(),
                    name: name.to_owned(),
                    data: data.to_owned(),
                }));
            }
            name.clear();
            data.clear();
            continue;
        }
        let (field, value) = match line.split_once(':') {
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line, ""),
        };
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data = format!("{data}{value}\n"),
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if value.chars().all(|sign| sign.is_ascii_digit()) => {
                // Longer than a u64 of milliseconds is for ever: ours ignores it, the standard does not say.
                items.extend(value.parse().ok().map(Item::Retry));
            }
            _ => {}
        }
    }
    (items, dispatched_id)
}

/// Reads the input as frames, writes them, and reads them back.
fn round_trip(text: &str) {
    let (mut wire, mut expected, mut last_id) = (Vec::new(), Vec::new(), String::new());
    for (index, part) in text.split(FRAME_END).enumerate() {
        let mut fields = part.splitn(3, FIELD_END);
        let data = fields.next();
        let frame = Frame { data, event: fields.next(), id: fields.next() };
        let before = wire.len();
        if frame.write(&mut wire).is_err() {
            assert_eq!(wire.len(), before, "a refused frame writes nothing");
            continue;
        }
        if let Some(id) = frame.id {
            id.clone_into(&mut last_id);
        }
        let data = normalize_newlines(data.unwrap_or_default());
        if !data.is_empty() {
            let name = frame.event.unwrap_or("message").to_owned();
            expected.push(Item::Event(Event { id: last_id.clone(), name, data }));
        }
        write_comment(&mut wire, part);
        write_retry(&mut wire, index as u64);
        expected.push(Item::Retry(index as u64));
    }
    let read = parse([wire.as_slice()], WIDE);
    assert_eq!((read.items, read.last_event_id, read.end), (expected, last_id, Ok(())));
}
