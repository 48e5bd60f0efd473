//! Emits, many in one write: a step in a pipeline costs the server a third of a step alone.

use std::{sync::Arc, time::Duration};

use redis::Value;
use tokio::sync::{mpsc, oneshot};

use super::link::{Call, Commands};
use crate::StoreError;

/// Emits in one write. More would hold up the answer of the first without saving anything more.
const BATCH: usize = 64;

/// Emits that wait for their batch; who comes next waits for a place.
const CAPACITY: usize = 4_096;

struct Job {
    call: Call,
    answer: oneshot::Sender<Result<Value, StoreError>>,
}

/// The way into the batches. The task behind it ends with the last of these.
#[derive(Clone)]
pub(super) struct Emitter {
    jobs: mpsc::Sender<Job>,
}

impl Emitter {
    pub(super) fn new(commands: Arc<Commands>, gather: Duration) -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        tokio::spawn(run(commands, receiver, gather));
        Self { jobs: sender }
    }

    /// Makes one step together with others.
    pub(super) async fn step(&self, call: Call) -> Result<Value, StoreError> {
        let gone = || StoreError::Unreachable("the store is shut down".into());
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { call, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// One batch after another: while one is under way the next one gathers.
async fn run(commands: Arc<Commands>, mut receiver: mpsc::Receiver<Job>, gather_for: Duration) {
    let mut jobs = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut jobs, BATCH).await > 0 {
        if !gather_for.is_zero() {
            let gather = async {
                while jobs.len() < BATCH {
                    let room = BATCH - jobs.len();
                    if receiver.recv_many(&mut jobs, room).await == 0 {
                        break;
                    }
                }
            };
            // Taken or not, nothing is lost: what `recv_many` has taken it has put into `jobs`. With no time to
            // wait there is no timer either: it would take a millisecond of its own.
            let _ = tokio::time::timeout(gather_for, gather).await;
        }
        let (calls, waiting): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.call, job.answer)).unzip();
        for (waiting, answer) in waiting.into_iter().zip(commands.steps(&calls).await) {
            // Whoever gave up waiting repeats the step; it is idempotent.
            let _ = waiting.send(answer);
        }
    }
}
