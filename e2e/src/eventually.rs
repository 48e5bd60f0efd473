//! Waits for what has to come true.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Between two looks: the API server answers in milliseconds, and has others to answer.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What `look` finds once it finds something, and how long that took. Until then it says what is still wrong; what it said
/// last is the error where `within` is over. An error of its own ends the waiting only then, too: a server that is away
/// for a moment is no answer.
///
/// # Errors
/// It did not come true in time.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Result<T, String>>,
) -> Result<(T, Duration)> {
    let begun = Instant::now();
    loop {
        let wrong = match look().await {
            Ok(Ok(found)) => return Ok((found, begun.elapsed())),
            Ok(Err(wrong)) => wrong,
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > within {
            bail!("{what}: not within {} s: {wrong}", within.as_secs());
        }
        // sleep-ok: between two looks at a condition that has a deadline
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits until `holds` says nothing against it; how long that took.
///
/// # Errors
/// It did not come true in time.
pub async fn until(
    what: &str,
    within: Duration,
    mut holds: impl AsyncFnMut() -> Result<Option<String>>,
) -> Result<Duration> {
    let look = async || Ok(holds().await?.map_or(Ok(()), Err));
    Ok(eventually(what, within, look).await?.1)
}
