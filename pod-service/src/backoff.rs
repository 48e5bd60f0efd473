//! Waiting longer after each failure.

use std::time::Duration;

use fundbond_service_runtime::exit::chain;
use fundbond_store::StoreError;
use rand::RngExt as _;
use tokio::time::Instant;

/// First and longest wait. The longest is short enough that a stream catches up soon after the store is
/// back, and long enough that thousands of streams do not keep it down.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Exponential backoff with full jitter on the upper half.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    due: Option<Instant>,
}

impl Backoff {
    /// It worked.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// It failed: logs it at the first failure, and sets when to try again.
    pub fn failed(&mut self, what: &str, error: &StoreError) {
        if self.failures == 0 {
            tracing::warn!(what, error = chain(error), "store step failed; trying again");
        }
        self.failed_as_told();
    }

    /// It failed as somebody else has told already: sets when to try again.
    pub fn failed_as_told(&mut self) {
        let wait = SHORTEST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        self.due = Some(Instant::now() + wait.mul_f64(rand::rng().random_range(0.5..1.0)));
    }

    /// When to try again, if it failed.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to try now.
    pub fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }

    /// Waits until it is time to try again.
    pub async fn wait(&self) {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
    }
}
