//! Locks by name, for what must not be done twice at once.
//!
//! A lock keeps others out for a time and no longer; whoever slept over its end is kept out by the token, which whatever
//! the lock guards has to check.

use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

/// A lock that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Of what.
    pub name: String,
    /// By whom.
    pub owner: String,
    /// Greater than that of every lock of this name before, even where the store lost them.
    pub token: u64,
}

/// Answer to [`Locks::lock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// It is had for as long as was asked.
    Taken(Lock),
    /// Somebody has it: perhaps this owner, whose answer was lost.
    Held,
}

/// Locks by name. Every method is one atomic step.
#[async_trait]
pub trait Locks: Send + Sync {
    /// Takes the lock `name` for `time`, if nobody has it. See [`LOCK_TIME`](crate::LOCK_TIME).
    async fn lock(&self, name: &str, owner: &str, time: Duration) -> Result<Locked, StoreError>;

    /// Has it for `time` from now; false where it is somebody else's by now, or nobody's.
    async fn extend(&self, lock: &Lock, time: Duration) -> Result<bool, StoreError>;

    /// Gives it back; false where it is somebody else's by now, or nobody's.
    async fn unlock(&self, lock: &Lock) -> Result<bool, StoreError>;
}
