//! Names of one request: `x-request-id` for people and logs, `traceparent` for tracing systems.

use std::fmt::Write as _;

use fundbond_protocol::{ConnectionId, headers};
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::RngExt;

/// `x-request-id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(headers::X_REQUEST_ID);
/// `traceparent`.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static(headers::TRACEPARENT);

/// What tracing systems add to a `traceparent`; means nothing without it.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The id of one request on every hop: what the client or the hop before chose, else 128 random bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes a valid one from `headers`, else draws one.
    pub(crate) fn of(headers: &HeaderMap, random: &mut impl RngExt) -> Self {
        let given = headers.get(REQUEST_ID).filter(|value| {
            // All ids share one alphabet and length, whatever they name.
            value.to_str().is_ok_and(|text| ConnectionId::parse(text).is_ok())
        });
        match given {
            // A copy: a clone would keep the memory of the whole head for as long as a stream lives.
            Some(value) => Self(own_value(value.to_str().unwrap_or_default())),
            None => Self(own_value(&format!("{:032x}", random.random::<u128>()))),
        }
    }

    /// As a header value.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        // Parsed from text or made from hexadecimal digits.
        self.0.to_str().unwrap_or_default()
    }
}

/// The position of this hop in a trace ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    /// The whole trace.
    pub(crate) trace: u128,
    /// This hop.
    pub(crate) span: u64,
    /// Flags, as they came.
    pub(crate) flags: u8,
}

impl TraceContext {
    /// Continues the trace in `headers` with a span of our own, or begins one where there is none that
    /// is well formed. The flag says whether it was continued.
    pub(crate) fn of(headers: &HeaderMap, random: &mut impl RngExt) -> (Self, bool) {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let parent = match (all.next(), all.next()) {
            (Some(one), None) => one.to_str().ok().and_then(parse),
            _ => None,
        };
        let span = random.random_range(1..=u64::MAX);
        match parent {
            Some((trace, flags)) => (Self { trace, span, flags }, true),
            // Not sampled: that is a decision of whoever runs a tracing system.
            None => (Self { trace: random.random_range(1..=u128::MAX), span, flags: 0 }, false),
        }
    }

    /// As a header value.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut text = String::with_capacity(55);
        // Writing to a string cannot fail.
        let _ = write!(text, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags);
        own_value(&text)
    }
}

/// Trace id and flags of a `traceparent`.
fn parse(text: &str) -> Option<(u128, u8)> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let span = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    // Version 0 has exactly four parts; later ones may have more; 255 is forbidden.
    let length_fits = if version == 0 { parts.next().is_none() } else { version != 0xff };
    (length_fits && trace != 0 && span != 0).then_some((trace, u8::try_from(flags).ok()?))
}

/// `text` as a number, where it is `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let legal = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if legal { u128::from_str_radix(text, 16).ok() } else { None }
}

fn own_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn head(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (name.clone(), HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn a_valid_request_id_is_kept_and_any_other_replaced() {
        let mut random = StdRng::seed_from_u64(1);
        assert_eq!(RequestId::of(&head(REQUEST_ID, &["desk-7~a.b_c"]), &mut random).as_str(), "desk-7~a.b_c");
        for bad in ["", "a b", "a:b", &"x".repeat(65)] {
            let id = RequestId::of(&head(REQUEST_ID, &[bad]), &mut random);
            assert_eq!(id.as_str().len(), 32, "{bad:?}");
            assert!(ConnectionId::parse(id.as_str()).is_ok());
        }
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let mut random = StdRng::seed_from_u64(1);
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (context, continued) = TraceContext::of(&head(TRACEPARENT, &[given]), &mut random);
        let sent = context.header();
        let sent = sent.to_str().unwrap();
        assert!(continued);
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{sent}");
        assert!(sent.ends_with("-01") && !sent.contains("00f067aa0ba902b7"), "{sent}");
        assert_eq!(sent.len(), 55);
    }

    #[test]
    fn a_malformed_trace_is_replaced() {
        let mut random = StdRng::seed_from_u64(1);
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for bad in [
            &[][..],
            &[""],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"],
            &[good, good],
        ] {
            let (context, continued) = TraceContext::of(&head(TRACEPARENT, bad), &mut random);
            assert!(!continued && context.trace != 0 && context.span != 0, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
