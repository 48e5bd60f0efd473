//! What the encoder writes, the parser reads, whatever the text and wherever the bytes are cut.

use fundbond_protocol::sse::{Event, Frame, Item, Parser, normalize_newlines, write_comment, write_retry};
use proptest::prelude::*;

/// Text with more line breaks, colons, spaces, byte order marks and NULs than chance would give.
pub fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        1 => "[\r\n]{1,3}",
        1 => Just("\r\n".to_owned()),
        1 => "[: \u{feff}\0\u{2028}\u{85}\u{b}\u{c}]{1,2}",
        1 => "(data|id|event|retry): ?",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[derive(Clone, Debug)]
enum Part {
    Event { id: Option<String>, name: Option<String>, data: String },
    Id(String),
    Comment(String),
    Retry(u64),
}

fn part() -> impl Strategy<Value = Part> {
    let field = || text().prop_map(|text| text.replace(['\r', '\n', '\0'], ""));
    let name = field().prop_filter("an empty name is refused", |name| !name.is_empty());
    prop_oneof![
        6 => (proptest::option::of(field()), proptest::option::of(name), text())
            .prop_map(|(id, name, data)| Part::Event { id, name, data }),
        1 => field().prop_map(Part::Id),
        1 => text().prop_map(Part::Comment),
        1 => (0_u64..1_000_000).prop_map(Part::Retry),
    ]
}

fn encode(parts: &[Part]) -> (Vec<u8>, Vec<Item>, String) {
    let (mut bytes, mut expected, mut last) = (Vec::new(), Vec::new(), String::new());
    for part in parts {
        match part {
            Part::Event { id, name, data } => {
                let frame = Frame { id: id.as_deref(), event: name.as_deref(), data: Some(data) };
                frame.write(&mut bytes).unwrap();
                if let Some(id) = id {
                    last.clone_from(id);
                }
                let data = normalize_newlines(data);
                if !data.is_empty() {
                    let name = name.clone().unwrap_or_else(|| "message".into());
                    expected.push(Item::Event(Event { id: last.clone(), name, data }));
                }
            }
            Part::Id(id) => {
                Frame { id: Some(id), ..Frame::default() }.write(&mut bytes).unwrap();
                last.clone_from(id);
            }
            Part::Comment(text) => write_comment(&mut bytes, text),
            Part::Retry(millis) => {
                write_retry(&mut bytes, *millis);
                expected.push(Item::Retry(*millis));
            }
        }
    }
    (bytes, expected, last)
}

proptest! {
    #[test]
    fn every_stream_is_read_as_it_was_written_however_it_is_cut(
        parts in proptest::collection::vec(part(), 0..12),
        cuts in proptest::collection::vec(1_usize..40, 1..20),
    ) {
        let (bytes, expected, last) = encode(&parts);
        let mut parser = Parser::new(1 << 16);
        let mut items = Vec::new();
        let (mut rest, mut sizes) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).min(rest.len());
            parser.feed(&rest[..size], &mut items).unwrap();
            rest = &rest[size..];
        }
        prop_assert_eq!(items, expected);
        prop_assert_eq!(parser.last_event_id(), last);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), size in 1_usize..50) {
        let mut parser = Parser::new(256);
        let mut items = Vec::new();
        for piece in bytes.chunks(size) {
            if parser.feed(piece, &mut items).is_err() {
                break;
            }
        }
    }
}
