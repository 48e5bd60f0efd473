//! Waiting longer after each failure.

use std::time::Duration;

use fundbond_service_runtime::exit::chain;
use fundbond_store::{StoreError, wait};
use tokio::time::Instant;

/// How often a failure that lasts is told again: whoever looks at the last minutes of a log is to see it.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Exponential backoff, each wait as the store's own ([`wait::after`]).
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    due: Option<Instant>,
    told: Option<Instant>,
}

impl Backoff {
    /// It worked.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// It failed: logs it at the first failure, and sets when to try again.
    pub fn failed(&mut self, what: &str, error: &StoreError) {
        if self.failures == 0 {
            self.tell(what, error);
        }
        self.failed_as_told();
    }

    /// It failed: logs it at the first failure and once a minute from then on, and sets when to try again. For what a pod
    /// has few of: thousands of streams that wait for the same store would say the same.
    pub fn failed_again(&mut self, what: &str, error: &StoreError) {
        if self.is_news(Instant::now()) {
            self.tell(what, error);
        }
        self.failed_as_told();
    }

    fn tell(&self, what: &str, error: &StoreError) {
        tracing::warn!(
            what,
            failures = self.failures + 1,
            error = chain(error),
            "store step failed; trying again"
        );
    }

    /// Whether a failure now is one to tell; then it counts as told.
    fn is_news(&mut self, now: Instant) -> bool {
        let news = match self.told {
            None => self.failures == 0,
            Some(told) => now.duration_since(told) >= TOLD_EVERY,
        };
        if news {
            self.told = Some(now);
        }
        news
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

#[cfg(test)]
mod tests {
    use super::*;
    use fundbond_service_runtime::telemetry::captured::Log;

    #[tokio::test(start_paused = true)]
    async fn each_failure_waits_longer_up_to_two_seconds_and_a_success_forgets_them() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_due(), "nothing failed");
        assert_eq!(backoff.due(), None);
        let mut waited = Vec::new();
        for _ in 0..10 {
            backoff.failed_as_told();
            let begun = Instant::now();
            assert!(!backoff.is_due());
            let due = backoff.due().unwrap();
            backoff.wait().await;
            // Timers are as fine as a millisecond.
            assert!(Instant::now() >= due && begun.elapsed() <= due - begun + Duration::from_millis(1));
            assert!(backoff.is_due());
            waited.push(begun.elapsed());
        }
        assert!(waited[0] <= Duration::from_millis(51), "{waited:?}");
        assert!(
            waited[9] >= Duration::from_secs(1) && waited[9] <= Duration::from_millis(2_001),
            "{waited:?}"
        );
        backoff.reset();
        assert!(backoff.is_due());
        backoff.failed_as_told();
        assert!(backoff.due().unwrap() <= Instant::now() + Duration::from_millis(50), "as at first");
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_told_with_how_often_and_why() {
        let (log, _listening) = Log::listen();
        let error = StoreError::Unreachable("nobody there".into());
        let mut once = Backoff::default();
        for _ in 0..3 {
            once.failed("register", &error);
            assert!(!once.is_due());
        }
        let mut often = Backoff::default();
        for _ in 0..3 {
            often.failed_again("heartbeat", &error);
            assert!(!often.is_due());
            // sleep-ok: of paused time.
            tokio::time::sleep(TOLD_EVERY / 2).await;
        }
        let said: Vec<_> =
            log.said().iter().map(|line| (line["what"].clone(), line["failures"].clone())).collect();
        let told = |what: &str, failures: u32| (what.into(), failures.into());
        assert_eq!(said, [told("register", 1), told("heartbeat", 1), told("heartbeat", 3)]);
        once.reset();
        once.failed("register", &error);
        let [line] = &log.said()[..] else { panic!("the first of another failure") };
        assert_eq!((&line["level"], &line["what"]), (&"warn".into(), &"register".into()));
        assert!(line["error"].as_str().unwrap().contains("nobody there"), "{line}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_is_told_at_first_and_once_a_minute() {
        let mut backoff = Backoff::default();
        let mut told = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(150) {
            if backoff.is_news(Instant::now()) {
                told.push(begun.elapsed().as_secs());
            }
            backoff.failed_as_told();
            backoff.wait().await;
        }
        let gaps: Vec<_> = told.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(told.first(), Some(&0));
        assert_eq!(gaps.len(), 2, "{told:?}");
        assert!(gaps.iter().all(|gap| (60..70).contains(gap)), "{told:?}");
        backoff.reset();
        assert!(backoff.is_news(Instant::now()), "the first of another failure");
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_has_told_is_not_told_again() {
        let mut backoff = Backoff::default();
        backoff.failed_as_told();
        assert!(!backoff.is_news(Instant::now()));
    }
}
