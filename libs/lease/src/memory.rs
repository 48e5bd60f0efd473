//! Leases in one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{Expected, LeaseError, LeaseStore, Stored, Version, Written};

/// One lease, in memory. It is there from the beginning and belongs to nobody, so the first who looks may have it.
#[derive(Debug)]
pub struct MemoryLeases {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stored: Option<Stored>,
    last: Version,
}

impl Default for MemoryLeases {
    fn default() -> Self {
        let last = Version(1);
        Self { state: Mutex::new(State { stored: Some(Stored { holder: None, version: last }), last }) }
    }
}

impl MemoryLeases {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes the lease, as somebody might.
    pub fn delete(&self) {
        self.lock().stored = None;
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn read(&self) -> Result<Option<Stored>, LeaseError> {
        Ok(self.lock().stored.clone())
    }

    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError> {
        let mut state = self.lock();
        let here = state.stored.as_ref().map_or(Expected::Absent, |stored| Expected::Version(stored.version));
        if here != expected {
            return Ok(Written::Conflict);
        }
        state.last = Version(state.last.0 + 1);
        state.stored = Some(Stored { holder: holder.map(Into::into), version: state.last });
        Ok(Written::Done(state.last))
    }
}
