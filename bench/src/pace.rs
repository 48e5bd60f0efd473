//! Gives each task its turns by a [`Schedule`], on a thread of its own: the runtime's timers know whole
//! milliseconds only.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{error::RunError, schedule::Schedule};

/// Events of one task that may be due and not yet sent: seconds of them. More means that nothing moves.
const BEHIND: usize = 64;

/// The giving end.
#[derive(Debug)]
pub struct Pace {
    schedule: Arc<Schedule>,
    turns: Vec<mpsc::Sender<u64>>,
}

/// One task's turns.
#[derive(Debug)]
pub struct Turns(mpsc::Receiver<u64>);

impl Turns {
    /// Waits for the next one: the number of the step that is due. `None` after the last.
    pub async fn next(&mut self) -> Option<u64> {
        self.0.recv().await
    }
}

impl Pace {
    /// Turns for `tasks` tasks.
    pub fn new(schedule: Arc<Schedule>, tasks: usize) -> (Self, Vec<Turns>) {
        let (turns, takers) = (0..tasks).map(|_| mpsc::channel(BEHIND)).map(|(s, r)| (s, Turns(r))).unzip();
        (Self { schedule, turns }, takers)
    }

    /// Begins, and goes on for so long. Blocks its thread.
    ///
    /// # Errors
    /// Where a task does not take its turns.
    pub fn keep(self, time: Duration) -> Result<(), RunError> {
        let begin = Instant::now();
        self.schedule.begin(begin);
        for number in 0.. {
            let slot = self.schedule.slot(number);
            let Some(due) = self.schedule.due(slot) else { break };
            if due.duration_since(begin) >= time {
                break;
            }
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                thread::sleep(wait);
            }
            let given = self.turns[slot.stream].try_send(slot.step);
            given.map_err(|_| RunError::Behind { events: BEHIND })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_task_has_its_turns_in_order_and_then_no_more() {
        let (pace, mut turns) = Pace::new(Arc::new(Schedule::new(100_000, 2)), 2);
        let pacing = tokio::task::spawn_blocking(move || pace.keep(Duration::from_micros(60)));
        let mut taken = Vec::new();
        for turns in &mut turns {
            while let Some(step) = turns.next().await {
                taken.push(step);
            }
        }
        pacing.await.unwrap().unwrap();
        assert_eq!(taken, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_task_that_takes_no_turns_ends_it() {
        let (pace, _turns) = Pace::new(Arc::new(Schedule::new(100_000, 1)), 1);
        let error = pace.keep(Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, RunError::Behind { .. }), "{error:?}");
    }
}
