//! Waiting longer after each failure.

use fundbond_service_runtime::exit::chain;
use fundbond_store::{StoreError, wait};
use tokio::time::Instant;

/// Exponential backoff, each wait as the store's own ([`wait::after`]).
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
        self.due = Some(Instant::now() + wait::after(self.failures));
        self.failures += 1;
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
