//! Children whose FundCluster is gone.
//!
//! The API server's own garbage collector deletes them. What it leaves is deleted here after a while; routes at once, since
//! what they lead to is going, and somebody may wait for the same route.
//!
//! What has no owner any more is left: whoever deletes with `--cascade=orphan` wants it to stay. A FundCluster of that name that
//! is made later takes it over, for it is the operator's still.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Next, Reconciler};
use crate::{cache::Known, failure::Failure, kinds::Kind, seen::Key};

/// The garbage collector needs a moment where much is deleted.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the server still has a FundCluster that no watch tells of.
const LAG: Duration = Duration::from_secs(1);

impl Reconciler {
    pub(super) async fn orphans(
        &self,
        key: &Key,
        known: Known,
        touched: &(impl Fn(Key) + Sync),
    ) -> Result<Next, Failure> {
        let left: Vec<_> =
            known.children.iter().filter(|child| !child.leaving && child.owner.is_some()).collect();
        if left.is_empty() {
            self.waiting().remove(key);
            return Ok(Next::Done);
        }
        let since = *self.waiting().entry(key.clone()).or_insert_with(Instant::now);
        let patience = PATIENCE.saturating_sub(since.elapsed());
        let is_due = |kind| patience.is_zero() || kind == Kind::GatewayRoute;
        let due: Vec<_> = left.into_iter().filter(|child| is_due(child.kind)).collect();
        if !due.is_empty() {
            // Watches do not tell in order: the children may be news, and not the FundCluster old.
            if self.fresh(key, touched).await?.is_some() {
                self.waiting().remove(key);
                return Ok(Next::After(LAG));
            }
            for child in due {
                tracing::info!(
                    cluster = %key, kind = child.kind.as_str(), name = &*child.name,
                    "deleting what a FundCluster left"
                );
                self.remove(key, child.kind, &child.name, &child.uid, child.version).await?;
            }
        }
        Ok(if patience.is_zero() { Next::Done } else { Next::After(patience) })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.orphaned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
