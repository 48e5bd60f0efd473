//! The guard before the HTTP library: however the bytes of a connection are cut, the same ones pass and the same rule
//! is broken; it holds back no more than a head may be long, and nothing passes behind a refusal.

use fundbond_gateway::guard::{Guard, Limits, Refusal};

/// Small enough that the fuzzer reaches them with the inputs it makes.
const LIMITS: Limits = Limits { head_bytes: 512, fields: 8 };

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let whole = feed(bytes, usize::MAX);
    for step in [1, 7] {
        assert_eq!(feed(bytes, step), whole, "in pieces of {step}");
    }
    if let Some(refusal) = whole.refusal {
        assert_eq!(Refusal::named(refusal.name()), Some(refusal));
        assert!(!refusal.to_string().is_empty() && refusal.status().is_client_error());
    }
}

#[derive(Debug, PartialEq)]
struct Verdict {
    passed: usize,
    refusal: Option<Refusal>,
    /// Whether all that passed are whole requests; of no meaning behind a refusal.
    whole_requests: bool,
}

/// Feeds the bytes of a connection in pieces; what did not pass is fed again with the next piece, as a socket does.
fn feed(bytes: &[u8], step: usize) -> Verdict {
    let mut guard = Guard::new(LIMITS);
    let (mut passed, mut fed) = (0, 0);
    while fed < bytes.len() {
        fed = fed.saturating_add(step).min(bytes.len());
        let answer = guard.feed(&bytes[passed..fed]);
        passed += answer.passed;
        assert!(passed <= fed);
        if answer.refusal.is_some() {
            let after = guard.feed(&bytes[passed..]);
            assert_eq!((after.passed, after.refusal), (0, answer.refusal), "nothing passes behind a refusal");
            return Verdict { passed, refusal: answer.refusal, whole_requests: false };
        }
        assert!(fed - passed < LIMITS.head_bytes as usize, "{} bytes held back", fed - passed);
    }
    Verdict { passed, refusal: None, whole_requests: guard.is_between_requests() }
}
