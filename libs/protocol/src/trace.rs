//! The trace of a request over all hops ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).

use std::{fmt, str::FromStr};

/// The id of a trace: never nothing, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// A trace that begins, named by random bits. Nothing but zeros, which means no trace, becomes one.
    pub fn of_random(bits: u128) -> Self {
        Self(bits.max(1))
    }
}

/// Text that is no trace id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 lower-case hexadecimal digits, and not only zeros")]
pub struct TraceIdError;

impl FromStr for TraceId {
    type Err = TraceIdError;

    fn from_str(text: &str) -> Result<Self, TraceIdError> {
        hex(text, 32).filter(|bits| *bits != 0).map(Self).ok_or(TraceIdError)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The value of a `traceparent` header: a trace, and who continues it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The whole trace.
    pub trace: TraceId,
    /// The hop that sends it; never 0.
    pub span: u64,
    /// Flags, as they came.
    pub flags: u8,
}

impl TraceParent {
    /// Reads a header; `None` where it is not well formed, which means that there is no trace yet.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let span = hex(parts.next()?, 16)?;
        let flags = hex(parts.next()?, 2)?;
        // Version 0 has exactly four parts; later ones may have more; 255 is forbidden.
        let length_fits = if version == 0 { parts.next().is_none() } else { version != 0xff };
        (length_fits && trace != 0 && span != 0).then_some(Self {
            trace: TraceId(trace),
            span: u64::try_from(span).ok()?,
            flags: u8::try_from(flags).ok()?,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// `text` as a number, where it is `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let legal = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if legal { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_reads_as_it_is_written() {
        let parent = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(parent.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(TraceId::of_random(0).to_string().len(), 32);
    }

    #[test]
    fn what_is_malformed_is_no_trace() {
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad:?}");
        }
        assert!(
            TraceParent::parse(&format!("01{}-more", &GOOD[2..])).is_some(),
            "a later version may say more"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in ".{0,80}") {
            let _ = TraceParent::parse(&text);
        }
    }
}
