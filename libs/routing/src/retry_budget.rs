//! How many requests may be sent twice.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What a request pays in: a fifth of what a repetition costs, so that repetitions are at most 20 % of requests.
/// Without a bound, endpoints that fail under load get the more load the more they fail.
const DEPOSIT: u32 = 1;
/// What a repetition costs.
const PRICE: u32 = 5;

/// How many repetitions a route has before its first request: a quiet route has nothing saved up when its
/// endpoint restarts.
const INITIAL: u32 = 10;

/// At most this many are saved up: a long quiet time pays for no storm of repetitions.
const MOST: u32 = 100;

/// The budget of one route: every request pays in, every repetition takes out.
#[derive(Debug)]
pub struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(INITIAL * PRICE))
    }
}

impl RetryBudget {
    /// A request came.
    pub fn deposit(&self) {
        // One number that guards no other data: no order is needed.
        let add = |saved: u32| (saved < MOST * PRICE).then(|| (saved + DEPOSIT).min(MOST * PRICE));
        // Full: what does not fit is forgotten.
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }

    /// Whether one may be repeated now; if so, that is paid for.
    pub fn withdraw(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(PRICE)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_route_has_a_few_and_then_one_in_five() {
        let budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10);
        let granted = (0..100).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(granted.count(), 20);
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let budget = RetryBudget::default();
        for _ in 0..100_000 {
            budget.deposit();
        }
        assert_eq!((0..1000).filter(|_| budget.withdraw()).count(), 100);
    }

    proptest! {
        #[test]
        fn repetitions_never_exceed_a_fifth_of_requests_beyond_the_first_few(steps in prop::collection::vec(any::<bool>(), 0..500)) {
            let budget = RetryBudget::default();
            let (mut requests, mut repeated) = (0_u32, 0_u32);
            for request in steps {
                if request {
                    budget.deposit();
                    requests += 1;
                } else if budget.withdraw() {
                    repeated += 1;
                }
                prop_assert!(repeated * PRICE <= INITIAL * PRICE + requests);
            }
        }
    }
}
