//! Names of one request: `x-request-id` for people and logs, `traceparent` for tracing systems.

use fundbond_protocol::{ConnectionId, TraceId, TraceParent, headers};
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

/// Continues the trace in `headers` with a span of our own, or begins one where there is none that is well formed. The
/// flag says whether it was continued.
pub(crate) fn trace_of(headers: &HeaderMap, random: &mut impl RngExt) -> (TraceParent, bool) {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let parent = match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok().and_then(TraceParent::parse),
        _ => None,
    };
    let span = random.random_range(1..=u64::MAX);
    match parent {
        Some(parent) => (TraceParent { span, ..parent }, true),
        // Not sampled: that is a decision of whoever runs a tracing system.
        None => (TraceParent { trace: TraceId::of_random(random.random()), span, flags: 0 }, false),
    }
}

/// `trace` as a header value.
pub(crate) fn trace_header(trace: TraceParent) -> HeaderValue {
    own_value(&trace.to_string())
}

fn own_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
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
        let (trace, continued) = trace_of(&head(TRACEPARENT, &[given]), &mut random);
        let sent = trace_header(trace);
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
        for bad in [&[][..], &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], &[good, good]] {
            let (trace, continued) = trace_of(&head(TRACEPARENT, bad), &mut random);
            assert!(
                !continued && trace.span != 0 && TraceParent::parse(&trace.to_string()).is_some(),
                "{bad:?}"
            );
        }
    }
}
