//! Leases that are kept where everything else is.

use std::sync::Arc;

use fundbond_lease::{LeaseError, LeaseStore};

use crate::StoreError;

/// Where leases are kept. A writing of a lease is numbered by the store's clock and above the one before it, so that
/// tokens rise even where leases were lost or rolled back.
pub trait Leases: Send + Sync {
    /// The lease of that name. Each attempt on it is one step, made once.
    fn lease(&self, name: &str) -> Arc<dyn LeaseStore>;
}

impl From<StoreError> for LeaseError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}
