//! Leases and locks: small things that live for a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_lease::{Expected, LeaseError, LeaseStore, Stored, Version, Written};
use fundbond_protocol::ClusterId;
use tokio::time::Instant;

use super::{MemoryStore, State, step};
use crate::{FENCE, Leases, Lock, Locked, Locks, RETENTION, StoreError};

/// What is known until a moment.
#[derive(Clone, Debug)]
pub(super) struct Until<T> {
    pub(super) value: T,
    pub(super) expires: Instant,
}

/// What housekeeping of a cluster wrote down.
#[derive(Clone, Debug)]
pub(super) struct SweepState {
    /// The life of the store, and since when it is known.
    pub(super) run: u64,
    pub(super) since: Instant,
    pub(super) note: Option<Arc<str>>,
}

/// What is not about streams and tasks. There is little of it, so whoever makes something looks through all of it for what
/// is past its time.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeping {
    leases: HashMap<String, Until<Stored>>,
    /// Owner and token.
    locks: HashMap<String, Until<(String, u64)>>,
    lock_fences: HashMap<String, Until<u64>>,
    pub(super) fences: HashMap<ClusterId, Until<u64>>,
    pub(super) sweeps: HashMap<ClusterId, Until<SweepState>>,
}

/// What is there under `key` at `now`.
pub(super) fn there<'a, K, T, Q>(map: &'a HashMap<K, Until<T>>, key: &Q, now: Instant) -> Option<&'a T>
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    map.get(key).filter(|known| known.expires > now).map(|known| &known.value)
}

/// Puts something there until `expires`, and frees what is past its time.
pub(super) fn put<K: std::hash::Hash + Eq, T>(
    map: &mut HashMap<K, Until<T>>,
    key: K,
    value: T,
    now: Instant,
    expires: Instant,
) {
    map.retain(|_, known| known.expires > now);
    map.insert(key, Until { value, expires });
}

impl State {
    fn read_lease(&self, name: &str) -> Option<Stored> {
        there(&self.data.keeping.leases, name, self.world.now).cloned()
    }

    fn write_lease(&mut self, name: &str, holder: Option<&str>, expected: Expected) -> Written {
        let known = self.read_lease(name).map(|stored| stored.version);
        if known.map_or(Expected::Absent, Expected::Version) != expected
            && !cfg!(feature = "bug-blind-renewal")
        {
            return Written::Conflict;
        }
        let version = Version(self.world.rising(known.map_or(0, |version| version.0)));
        let stored = Stored { holder: holder.map(Into::into), version };
        let now = self.world.now;
        put(&mut self.data.keeping.leases, name.to_owned(), stored, now, now + RETENTION);
        Written::Done(version)
    }

    fn take_lock(&mut self, name: &str, owner: &str, time: Duration) -> Option<Lock> {
        let now = self.world.now;
        if there(&self.data.keeping.locks, name, now).is_some() {
            return None;
        }
        let last = there(&self.data.keeping.lock_fences, name, now).copied().unwrap_or_default();
        let token = self.world.rising(last);
        let keeping = &mut self.data.keeping;
        put(&mut keeping.locks, name.to_owned(), (owner.to_owned(), token), now, now + time);
        put(&mut keeping.lock_fences, name.to_owned(), token, now, now + FENCE);
        Some(Lock { name: name.to_owned(), owner: owner.to_owned(), token })
    }

    fn has_lock(&self, lock: &Lock) -> bool {
        there(&self.data.keeping.locks, &*lock.name, self.world.now)
            .is_some_and(|(owner, token)| *owner == lock.owner && *token == lock.token)
    }

    fn extend_lock(&mut self, lock: &Lock, time: Duration) -> bool {
        let held = self.has_lock(lock);
        if held && let Some(known) = self.data.keeping.locks.get_mut(&lock.name) {
            known.expires = self.world.now + time;
        }
        held
    }

    fn free_lock(&mut self, lock: &Lock) -> bool {
        let held = self.has_lock(lock);
        if held {
            self.data.keeping.locks.remove(&lock.name);
        }
        held
    }
}

struct MemoryLease {
    state: Arc<Mutex<State>>,
    name: String,
}

impl Leases for MemoryStore {
    fn lease(&self, name: &str) -> Arc<dyn LeaseStore> {
        Arc::new(MemoryLease { state: self.state.clone(), name: name.to_owned() })
    }
}

#[async_trait]
impl LeaseStore for MemoryLease {
    async fn read(&self) -> Result<Option<Stored>, LeaseError> {
        Ok(step(&self.state).read_lease(&self.name))
    }

    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError> {
        Ok(step(&self.state).write_lease(&self.name, holder, expected))
    }
}

#[async_trait]
impl Locks for MemoryStore {
    async fn lock(&self, name: &str, owner: &str, time: Duration) -> Result<Locked, StoreError> {
        let taken = MemoryStore::lock(self).take_lock(name, owner, time);
        if taken.is_none()
            && let Some(observer) = self.observer.0.get()
        {
            observer.lock_contended();
        }
        Ok(taken.map_or(Locked::Held, Locked::Taken))
    }

    async fn extend(&self, lock: &Lock, time: Duration) -> Result<bool, StoreError> {
        Ok(MemoryStore::lock(self).extend_lock(lock, time))
    }

    async fn unlock(&self, lock: &Lock) -> Result<bool, StoreError> {
        Ok(MemoryStore::lock(self).free_lock(lock))
    }
}
