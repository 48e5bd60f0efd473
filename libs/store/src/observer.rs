//! What a store tells of its own work, to whoever counts it.

use std::{sync::Arc, time::Duration};

use crate::StoreError;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// It was answered.
    Done,
    /// The server could not be reached, or not in time.
    Unreachable,
    /// It was answered out of contract.
    Contract,
}

impl StepOutcome {
    /// How `result` went.
    pub fn of<T>(result: &Result<T, StoreError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(StoreError::Unreachable(_)) => Self::Unreachable,
            Err(StoreError::Contract(_)) => Self::Contract,
        }
    }

    /// The value of a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unreachable => "unreachable",
            Self::Contract => "contract",
        }
    }
}

/// Hears of a store's work. Called where the work is done, so it must not wait.
pub trait Observer: Send + Sync {
    /// A step was answered or given up after `took`; of steps that went in one write, each took as long as the write.
    /// `step` is one of [`redis::STEPS`](crate::redis::STEPS).
    fn step(&self, step: &'static str, outcome: StepOutcome, took: Duration);

    /// A connection for steps was made.
    fn connected(&self);

    /// A connection for steps was given up.
    fn disconnected(&self);

    /// A subscription had broken and stands again; the pod is told to look for what it missed.
    fn subscribed_again(&self);

    /// A lock was asked for while somebody else had it.
    fn lock_contended(&self);
}

/// What can be observed.
pub trait Observed {
    /// Tells `observer` from now on; the first one stays. A store without a way to go has nothing to tell.
    fn observe(&self, observer: Arc<dyn Observer>) {
        drop(observer);
    }
}
