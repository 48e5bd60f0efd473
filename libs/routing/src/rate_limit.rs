//! How often each client may ask.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// How often one client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// A bucket fills by one this often.
    interval: Duration,
    /// What a full bucket takes at once beyond the first request, as time.
    tolerance: Duration,
}

impl Rate {
    /// `per_second` requests a second in the long run, `burst` at once; both at least 1, which is what less
    /// is taken for.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, tolerance: interval.saturating_mul(burst.max(1) - 1) }
    }

    /// A bucket that nobody touches is full again after this long.
    fn fills_within(self) -> Duration {
        self.tolerance + self.interval
    }
}

/// Token buckets, one a client, of which only so many are remembered.
///
/// A bucket is one number: the time from which on it is full (the generic cell rate algorithm of ITU-T
/// I.371, which decides exactly like a bucket of tokens). Buckets live in two generations: one that is asked
/// moves to the young one, and when that is half of what is allowed or as old as a bucket takes to fill, the
/// old one is dropped and takes its place. By age nothing is lost, for the buckets dropped are full; by number,
/// clients get a full bucket who were not heard of while half of all others that are remembered came.
///
/// Every time given is one on a clock of the caller's that never goes back.
#[derive(Debug)]
pub struct RateLimiter<K> {
    rate: Rate,
    half: usize,
    young: HashMap<K, Duration>,
    old: HashMap<K, Duration>,
    turned: Duration,
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// One that remembers at most `clients` of them, at least two.
    pub fn new(rate: Rate, clients: usize) -> Self {
        let half = (clients / 2).max(1);
        Self { rate, half, young: HashMap::new(), old: HashMap::new(), turned: Duration::ZERO }
    }

    /// Whether `client` may ask now.
    ///
    /// # Errors
    /// How long it should wait; asking in vain costs nothing.
    pub fn take(&mut self, client: K, now: Duration) -> Result<(), Duration> {
        self.turn(now);
        let known = self.young.get(&client).copied().or_else(|| self.old.remove(&client));
        let full_from = known.unwrap_or_default().max(now);
        let wait = full_from.saturating_sub(now).saturating_sub(self.rate.tolerance);
        let taken = wait.is_zero();
        let next = if taken { full_from + self.rate.interval } else { full_from };
        self.young.insert(client, next);
        if taken { Ok(()) } else { Err(wait) }
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn turn(&mut self, now: Duration) {
        if self.young.len() >= self.half || now.saturating_sub(self.turned) >= self.rate.fills_within() {
            // A new map, not a cleared one: after a flood its room is given back.
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_then_the_rate_and_a_refusal_says_how_long_to_wait() {
        let mut limiter = RateLimiter::new(Rate::new(10, 3), 100);
        for _ in 0..3 {
            assert_eq!(limiter.take("a", Duration::ZERO), Ok(()));
        }
        assert_eq!(limiter.take("a", Duration::ZERO), Err(100 * MILLI));
        assert_eq!(limiter.take("a", 60 * MILLI), Err(40 * MILLI), "asking in vain costs nothing");
        assert_eq!(limiter.take("b", 60 * MILLI), Ok(()), "each client has a bucket of its own");
        assert_eq!(limiter.take("a", 100 * MILLI), Ok(()));
        assert_eq!(limiter.take("a", 100 * MILLI), Err(100 * MILLI));
    }

    #[test]
    fn a_flood_of_clients_is_not_remembered() {
        let mut limiter = RateLimiter::new(Rate::new(1, 1000), 20_000);
        for client in 0..200_000_u32 {
            let _ = limiter.take(client, Duration::ZERO);
            assert!(limiter.len() <= 20_000);
        }
        // And when it is over, the room is given back.
        for second in [2_000, 4_000, 6_000] {
            let _ = limiter.take(0, Duration::from_secs(second));
        }
        assert_eq!(limiter.len(), 1);
    }

    #[test]
    fn a_client_that_keeps_asking_is_remembered_through_a_flood() {
        let mut limiter = RateLimiter::new(Rate::new(1, 1), 100);
        assert_eq!(limiter.take(0, Duration::ZERO), Ok(()));
        for client in 1..10_000_u32 {
            let _ = limiter.take(client, Duration::ZERO);
            if client % 40 == 0 {
                assert!(limiter.take(0, Duration::ZERO).is_err(), "after {client}");
            }
        }
    }

    proptest! {
        /// The same decisions as a bucket of tokens that is filled drop by drop.
        #[test]
        fn it_decides_like_a_bucket_of_tokens(
            per_second in 1_u32..50,
            burst in 1_u32..20,
            steps in prop::collection::vec((0_u64..400, 0_u8..3), 0..200),
        ) {
            let rate = Rate::new(per_second, burst);
            let mut limiter = RateLimiter::new(rate, 100);
            // Tokens in nanoseconds of filling, and when they were counted.
            let interval = rate.interval.as_nanos();
            let full = interval * u128::from(burst);
            let mut buckets = [(full, Duration::ZERO); 3];
            let mut now = Duration::ZERO;
            for (millis, client) in steps {
                now += Duration::from_millis(millis);
                let (tokens, counted) = &mut buckets[usize::from(client)];
                *tokens = (*tokens + now.saturating_sub(*counted).as_nanos()).min(full);
                *counted = now;
                let expected = *tokens >= interval;
                if expected {
                    *tokens -= interval;
                }
                let taken = limiter.take(client, now);
                prop_assert_eq!(taken.is_ok(), expected);
                if let Err(wait) = taken {
                    prop_assert_eq!(wait.as_nanos(), interval - *tokens);
                }
            }
        }
    }
}
