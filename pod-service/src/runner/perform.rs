//! Doing the work of one run.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::speaker::Speaker;
use crate::blocking::on_thread;
use crate::work::{Said, Stopped, Work, portfolio::PortfolioWork};

/// Runs the work and says each step; the final event is the caller's.
pub(super) async fn perform(
    speaker: &mut Speaker<'_>,
    work: Work,
    stop: &CancellationToken,
) -> Result<Said, Stopped> {
    match work {
        Work::Steps(steps) => {
            speaker.begin(&format!("counting to {}", steps.count)).await?;
            for step in 1..=steps.count {
                if !steps.delay.is_zero() {
                    tokio::time::sleep(steps.delay).await;
                }
                speaker
                    .step(&format!("step {step} of {}", steps.count), step.into(), steps.count.into(), None)
                    .await?;
            }
            Ok(steps.said())
        }
        Work::Portfolio(portfolio) => {
            let portfolio: Arc<PortfolioWork> = Arc::from(portfolio);
            speaker.begin(&portfolio.opening()).await?;
            let total = portfolio.chunks();
            let mut done = Vec::with_capacity(total);
            for index in 0..total {
                let (work, stop) = (portfolio.clone(), stop.clone());
                // Calculation has threads of its own, so that streams never wait for it.
                let chunk = on_thread(move || work.chunk(index, &|| !stop.is_cancelled())).await??;
                let Said { message, result } = PortfolioWork::said_of(&chunk);
                done.push(chunk);
                speaker.step(&message, index as u64 + 1, total as u64, Some(result)).await?;
            }
            let task = speaker.task.clone();
            let finish = on_thread(move || portfolio.finish(done, &task)).await??;
            speaker.keep_rows(finish.rows).await;
            Ok(finish.said)
        }
    }
}
