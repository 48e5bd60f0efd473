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
