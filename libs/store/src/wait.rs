//! How long to leave a store alone that cannot be reached.

use std::time::Duration;

use rand::RngExt;

/// The first wait.
const FIRST: Duration = Duration::from_millis(50);

/// The longest wait: a store that is back is found within it, and thousands of streams that ask do not keep it down.
const LONGEST: Duration = Duration::from_secs(2);

/// The wait after so many failures before the last. Half of it by chance, or all pods of a cluster would come
/// back in one moment.
pub fn after(failures: u32) -> Duration {
    let wait = FIRST.saturating_mul(1 << failures.min(8)).min(LONGEST);
    wait.mul_f64(rand::rng().random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_about_twice_the_last_and_none_is_longer_than_the_longest() {
        for (failures, millis) in
            [(0, 50), (1, 100), (2, 200), (5, 1_600), (6, 2_000), (8, 2_000), (u32::MAX, 2_000)]
        {
            for _ in 0..50 {
                let wait = after(failures);
                let whole = Duration::from_millis(millis);
                assert!(wait >= whole / 2 && wait < whole, "{failures} failures: {wait:?}");
            }
        }
    }
}
