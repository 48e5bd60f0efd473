//! Cuts a body into lines as it arrives.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

/// A line that is longer than one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Bytes that have come, and lines that are whole. Holds one unfinished line of at most `longest` bytes, and the piece
/// that came last.
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line end.
    looked_at: usize,
    number: u64,
}

impl Lines {
    /// No bytes yet.
    pub fn new(longest: usize) -> Self {
        Self { longest, buffer: BytesMut::new(), looked_at: 0, number: 0 }
    }

    /// The number of the line that was given last, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// More has come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line with something on it, without its end. Empty lines count, and say nothing.
    pub fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        while let Some(at) = memchr(b'\n', &self.buffer[self.looked_at..]) {
            let line = self.buffer.split_to(self.looked_at + at).freeze();
            self.buffer.advance(1);
            self.looked_at = 0;
            if let Some(line) = self.count(line)? {
                return Ok(Some(line));
            }
        }
        self.looked_at = self.buffer.len();
        if self.buffer.len() > self.longest {
            self.number += 1;
            return Err(TooLong);
        }
        Ok(None)
    }

    /// What came after the last line end, at the end of the body.
    pub fn rest(&mut self) -> Result<Option<Bytes>, TooLong> {
        self.looked_at = 0;
        let line = std::mem::take(&mut self.buffer).freeze();
        if line.is_empty() { Ok(None) } else { self.count(line) }
    }

    fn count(&mut self, line: Bytes) -> Result<Option<Bytes>, TooLong> {
        self.number += 1;
        if line.len() > self.longest {
            return Err(TooLong);
        }
        Ok((!line.trim_ascii().is_empty()).then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every line with its number, and what ends them.
    fn cut(pieces: &[&[u8]], longest: usize) -> (Vec<(u64, String)>, Option<u64>) {
        let mut lines = Lines::new(longest);
        let mut found = Vec::new();
        for piece in pieces {
            lines.feed(piece);
            loop {
                match lines.next() {
                    Ok(Some(line)) => found.push((lines.number(), String::from_utf8(line.to_vec()).unwrap())),
                    Ok(None) => break,
                    Err(TooLong) => return (found, Some(lines.number())),
                }
            }
        }
        match lines.rest() {
            Ok(Some(line)) => found.push((lines.number(), String::from_utf8(line.to_vec()).unwrap())),
            Ok(None) => {}
            Err(TooLong) => return (found, Some(lines.number())),
        }
        (found, None)
    }

    fn numbered(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        lines.iter().map(|(number, line)| (*number, (*line).to_owned())).collect()
    }

    #[test]
    fn lines_are_numbered_from_one_and_empty_ones_count() {
        assert_eq!(cut(&[b"a\n\n  \r\nb\r\nc"], 9), (numbered(&[(1, "a"), (4, "b\r"), (5, "c")]), None));
        assert_eq!(cut(&[b"a\n"], 9), (numbered(&[(1, "a")]), None), "nothing comes after the last end");
        assert_eq!(cut(&[], 9), (vec![], None));
    }

    #[test]
    fn a_line_has_a_longest_length_whether_it_ends_or_not() {
        assert_eq!(cut(&[b"abc\nabcd\n"], 3), (numbered(&[(1, "abc")]), Some(2)));
        assert_eq!(cut(&[b"abc\nab", b"cd"], 3), (numbered(&[(1, "abc")]), Some(2)), "it is not waited for");
        assert_eq!(cut(&[b"abc\nabc"], 3), (numbered(&[(1, "abc"), (2, "abc")]), None));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_body_is_cut_into_pieces(
            text in "[a-c\n]{0,60}",
            cuts in proptest::collection::vec(0_usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|at| *at <= text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
            let expected: Vec<(u64, String)> =
                (1..).zip(text.split('\n')).filter(|(_, line)| !line.is_empty()).map(|(n, l)| (n, l.to_owned())).collect();
            prop_assert_eq!(cut(&pieces, 60), (expected, None));
        }
    }
}
