//! Finds the mark in bytes that come in pieces.

use std::sync::Arc;

use memchr::memmem;

/// Looks for a mark; knows no more once it has found it.
#[derive(Debug)]
pub(crate) struct Search {
    mark: Option<Arc<[u8]>>,
    /// The end of what was looked at, where the mark may have begun.
    tail: Vec<u8>,
}

impl Search {
    /// A search for `mark`; for none, or an empty one, it never finds anything.
    pub(crate) fn new(mark: Option<Arc<[u8]>>) -> Self {
        Self { mark: mark.filter(|mark| !mark.is_empty()), tail: Vec::new() }
    }

    /// Takes the next piece. True once: with the piece that completes the mark.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> bool {
        let Some(mark) = &self.mark else { return false };
        self.tail.extend_from_slice(piece);
        if memmem::find(&self.tail, mark).is_some() {
            *self = Self::new(None);
            return true;
        }
        let keep = self.tail.len().min(mark.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mark: &str, pieces: &[&str]) -> Vec<bool> {
        let mut search = Search::new(Some(mark.as_bytes().into()));
        pieces.iter().map(|piece| search.feed(piece.as_bytes())).collect()
    }

    #[test]
    fn a_mark_is_found_once_wherever_it_is_cut() {
        assert_eq!(found("ab", &["xxab", "ab"]), [true, false]);
        assert_eq!(found("abc", &["xa", "b", "", "cx"]), [false, false, false, true]);
        assert_eq!(found("aab", &["aa", "ab"]), [false, true]);
        assert_eq!(found("abc", &["ab", "ab", "c"]), [false, false, true]);
        assert_eq!(found("abc", &["ab", "xc"]), [false, false]);
    }

    #[test]
    fn no_mark_is_never_found() {
        assert_eq!(found("", &["", "a"]), [false, false]);
        assert!(!Search::new(None).feed(b"a"));
    }

    #[test]
    fn no_more_is_kept_than_a_mark_can_begin_in() {
        let mut search = Search::new(Some(b"abcd".as_slice().into()));
        search.feed(&[b'x'; 10_000]);
        assert_eq!(search.tail.len(), 3);
    }
}
