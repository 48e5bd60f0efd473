//! How long to wait after a failure: longer each time, and never all at the same moment.

use std::time::Duration;

use rand::RngExt as _;

use crate::failure::Failure;

/// The first wait after a failure that may be over in a moment.
const SHORT: Duration = Duration::from_millis(250);

/// Nobody waits longer for a server that was away: within ten seconds of its return everything goes on.
const AWAY: Duration = Duration::from_secs(5);

/// Nor does a watch, and what it waits for is waited for by everything else. A server that has just come back refuses the
/// first who ask it, for it does not know yet who may do what; so there is room for several waits within the ten seconds.
const UNWATCHED: Duration = Duration::from_secs(2);

/// The first wait after a refusal: somebody may be about to mend it.
const REFUSED: Duration = Duration::from_secs(1);

/// How often it is tried again where the server refused. What it refuses for is often changed elsewhere, so that nobody
/// tells the operator: a quota, a right, a webhook.
const REFUSED_LONGEST: Duration = Duration::from_mins(2);

/// How long to wait after the `failures`th failure in a row, give or take a fifth.
pub(crate) fn after(failure: &Failure, failures: u32) -> Duration {
    let (first, longest) = match failure {
        Failure::Refused(_) => (REFUSED, REFUSED_LONGEST),
        _ => (SHORT, AWAY),
    };
    let wait = exponential(first, longest, failures);
    match failure {
        Failure::Unreachable { again: Some(again), .. } => wait.max(*again),
        _ => wait,
    }
}

/// How long to wait before the server is watched again, after the `failures`th failure in a row.
pub(crate) fn watching(failures: u32) -> Duration {
    exponential(SHORT, UNWATCHED, failures)
}

fn exponential(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(longest).mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<_> = (1..20).map(watching).collect();
        assert!(waits[0] <= SHORT.mul_f64(1.2));
        assert!(waits[3] > waits[0]);
        assert!(waits.iter().all(|wait| *wait <= UNWATCHED.mul_f64(1.2)));
    }

    #[test]
    fn a_server_that_says_when_is_not_asked_earlier() {
        let failure = Failure::Unreachable { again: Some(Duration::from_secs(30)), source: "busy".into() };
        assert_eq!(after(&failure, 1), Duration::from_secs(30));
        assert!(after(&Failure::late(Duration::ZERO), 9) <= AWAY.mul_f64(1.2));
    }
}
