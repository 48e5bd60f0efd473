//! Housekeeping, leases and locks of a troubled store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fundbond_lease::{LeaseStore, Token};
use fundbond_protocol::{ClusterId, PodId};
use fundbond_store::{
    Buried, Forgotten, Housekeeping, Leases, Lock, Locked, Locks, Nodes, Order, Ordered, StoreError, Stray,
    StrayPage, StraySwept, Swept,
};

use super::TroubledStore;

#[async_trait]
impl Housekeeping for TroubledStore {
    async fn nodes(&self, cluster: &ClusterId) -> Result<Nodes, StoreError> {
        self.step("nodes", self.inner.nodes(cluster)).await
    }

    async fn bury_nodes(&self, order: &Order, pods: &[PodId]) -> Result<Ordered<Vec<Buried>>, StoreError> {
        self.step("bury_nodes", self.inner.bury_nodes(order, pods)).await
    }

    async fn sweep(&self, order: &Order, pod: &PodId, limit: usize) -> Result<Ordered<Swept>, StoreError> {
        self.step("sweep", self.inner.sweep(order, pod, limit)).await
    }

    async fn forget(&self, order: &Order, pod: &PodId) -> Result<Ordered<Forgotten>, StoreError> {
        self.step("forget", self.inner.forget(order, pod)).await
    }

    async fn strays(&self, cursor: u64, limit: usize) -> Result<StrayPage, StoreError> {
        self.step("strays", self.inner.strays(cursor, limit)).await
    }

    async fn sweep_strays(&self, order: &Order, strays: &[Stray]) -> Result<Ordered<StraySwept>, StoreError> {
        self.step("sweep_strays", self.inner.sweep_strays(order, strays)).await
    }

    async fn note_sweep(&self, order: &Order, note: &str) -> Result<Ordered<()>, StoreError> {
        self.step("note_sweep", self.inner.note_sweep(order, note)).await
    }

    async fn fence(&self, cluster: &ClusterId) -> Result<Option<Token>, StoreError> {
        self.step("fence", self.inner.fence(cluster)).await
    }

    async fn overrule(&self, order: &Order, greatest: Token) -> Result<bool, StoreError> {
        self.step("overrule", self.inner.overrule(order, greatest)).await
    }
}

impl Leases for TroubledStore {
    fn lease(&self, name: &str) -> Arc<dyn LeaseStore> {
        self.inner.lease(name)
    }
}

#[async_trait]
impl Locks for TroubledStore {
    async fn lock(&self, name: &str, owner: &str, time: Duration) -> Result<Locked, StoreError> {
        self.step("lock", self.inner.lock(name, owner, time)).await
    }

    async fn extend(&self, lock: &Lock, time: Duration) -> Result<bool, StoreError> {
        self.step("extend", self.inner.extend(lock, time)).await
    }

    async fn unlock(&self, lock: &Lock) -> Result<bool, StoreError> {
        self.step("unlock", self.inner.unlock(lock)).await
    }
}
