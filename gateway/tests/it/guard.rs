//! The guard alone: bytes in, verdicts out, however they are split.

use fundbond_gateway::guard::{Guard, Limits, Refusal};
use proptest::prelude::*;

use crate::corpus::{CHUNKS, GOOD, HEADS};

const CODED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Feeds `pieces`; which bytes passed, and the refusal.
fn fed<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Option<Refusal>, bool) {
    let mut guard = Guard::new(limits);
    let (mut unread, mut passed, mut refusal) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        unread.extend_from_slice(piece);
        let fed = guard.feed(&unread);
        passed.extend(unread.drain(..fed.passed));
        assert!(
            refusal.is_none() || (fed.passed == 0 && fed.refusal == refusal),
            "it goes on behind a refusal"
        );
        refusal = refusal.or(fed.refusal);
    }
    (passed, refusal, guard.is_between_requests() && unread.is_empty())
}

fn whole(bytes: &[u8]) -> (Vec<u8>, Option<Refusal>, bool) {
    fed(Limits::USUAL, [bytes])
}

/// Checks that `bytes` are treated alike whole, byte by byte, and in two pieces of any length.
fn same_however_split(bytes: &[u8]) -> (Vec<u8>, Option<Refusal>, bool) {
    let expected = whole(bytes);
    assert_eq!(fed(Limits::USUAL, bytes.chunks(1)), expected, "{:?}", String::from_utf8_lossy(bytes));
    for at in 0..=bytes.len() {
        let (one, other) = bytes.split_at(at);
        assert_eq!(fed(Limits::USUAL, [one, other]), expected, "{at}: {:?}", String::from_utf8_lossy(bytes));
    }
    expected
}

#[test]
fn nothing_of_a_hostile_head_passes_whatever_came_before_it_and_however_it_is_split() {
    assert!(HEADS.len() >= 40);
    for (head, rule) in HEADS {
        for before in [&[][..], GOOD].concat().iter().chain([&""]) {
            let bytes = format!("{before}{head}");
            let (passed, refusal, _) = whole(bytes.as_bytes());
            assert_eq!((passed.as_slice(), refusal), (before.as_bytes(), Some(*rule)), "{bytes:?}");
        }
        let (passed, refusal, _) = same_however_split(head.as_bytes());
        assert_eq!((passed.len(), refusal), (0, Some(*rule)), "{head:?}");
        same_however_split(format!("{}{head}", GOOD[0]).as_bytes());
    }
}

#[test]
fn a_malformed_chunk_ends_what_passes() {
    for (body, rule) in CHUNKS {
        let bytes = format!("{CODED}{body}");
        let (passed, refusal, _) = same_however_split(bytes.as_bytes());
        assert_eq!(refusal, Some(*rule), "{body:?}");
        assert!(passed.len() >= CODED.len() && passed.len() < bytes.len(), "{body:?}");
        assert!(rule.is_in_body());
    }
}

#[test]
fn good_requests_pass_whole_however_they_are_split() {
    for bytes in GOOD {
        let (passed, refusal, is_between) = same_however_split(bytes.as_bytes());
        assert_eq!((passed.as_slice(), refusal, is_between), (bytes.as_bytes(), None, true), "{bytes:?}");
    }
    let all = GOOD.concat().repeat(3);
    assert_eq!(same_however_split(all.as_bytes()), (all.clone().into_bytes(), None, true));
}

#[test]
fn a_head_passes_only_once_its_last_byte_is_there() {
    let head = GOOD[0].as_bytes();
    for at in 0..head.len() {
        assert_eq!(whole(&head[..at]).0, b"", "{at}");
    }
    // Of a body, each byte passes as it comes.
    let body = format!("{CODED}5\r\nab");
    assert_eq!(whole(body.as_bytes()), (body.clone().into_bytes(), None, false));
}

#[test]
fn a_head_may_be_as_large_as_its_limits_and_not_larger() {
    let limits = Limits { head_bytes: 64, fields: 3 };
    let check = |head: &str, expected| {
        let split = fed(limits, head.as_bytes().chunks(1));
        assert_eq!(fed(limits, [head.as_bytes()]), split, "{head:?}");
        assert_eq!(split.1, expected, "{head:?}");
    };
    let sized = |bytes: usize| {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{head}{}\r\n\r\n", "x".repeat(bytes - head.len() - 4))
    };
    check(&sized(64), None);
    check(&sized(65), Some(Refusal::HeadTooLarge));
    check(&"\r\n".repeat(33), Some(Refusal::HeadTooLarge));
    check("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n", None);
    check("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n\r\n", Some(Refusal::TooManyFields));
    let limits = Limits { head_bytes: 64, fields: 2 };
    let coded = |body: &str| fed(limits, [format!("{CODED}{body}").as_bytes()]).1;
    assert_eq!(coded(&format!("1;{}\r\n", "x".repeat(64))), None);
    assert_eq!(coded(&format!("1;{}\r\n", "x".repeat(65))), Some(Refusal::ChunkLimits));
    assert_eq!(coded(&"1;xxxxxxxx\r\na\r\n".repeat(9)), Some(Refusal::ChunkLimits));
    assert_eq!(coded(&"0".repeat(66)), Some(Refusal::ChunkLimits));
    assert_eq!(coded("0\r\nA:\r\nB:\r\n\r\n"), None);
    assert_eq!(coded("0\r\nA:\r\nB:\r\nC:\r\n\r\n"), Some(Refusal::ChunkLimits));
    assert_eq!(coded(&format!("0\r\nA:{}\r\n\r\n", "x".repeat(64))), Some(Refusal::ChunkLimits));
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    for rule in Refusal::ALL {
        assert_eq!(Refusal::named(rule.name()), Some(rule));
    }
    assert_eq!(Refusal::named("nothing"), None);
}

#[test]
fn a_guard_is_small() {
    assert!(size_of::<Guard>() <= 48, "{}", size_of::<Guard>());
}

/// What requests are made of, right and wrong.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"host:b\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: +3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"X-Cluster-Route: a\r\n",
        b"a_b: c\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"a;b=c\r\n",
        b"X: y\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let known = prop::sample::select(pieces).prop_map(<[u8]>::to_vec);
    let any = prop::collection::vec(any::<u8>(), 0..4);
    prop::collection::vec(prop_oneof![12 => known, 1 => any], 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_same_bytes_pass_however_they_are_split(bytes in soup(), cuts in prop::collection::vec(0_usize..200, 0..12)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        for limits in [Limits::USUAL, Limits { head_bytes: 70, fields: 2 }] {
            let expected = fed(limits, [bytes.as_slice()]);
            prop_assert_eq!(&fed(limits, pieces.clone()), &expected);
            prop_assert_eq!(&fed(limits, bytes.chunks(1)), &expected);
            prop_assert!(bytes.starts_with(&expected.0));
        }
    }
}
