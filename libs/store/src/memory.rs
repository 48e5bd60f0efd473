//! The in-memory twin: the whole store in one process, for tests and for running without a server.
//!
//! One lock around one state machine. The files below hold the steps, each a plain function of the state;
//! the trait methods only lock and call, and never hold the lock over an await. There is no background
//! task: what has outlived its retention is freed a little at a time by later calls.
//!
//! The twin can be made to suffer what a server suffers ([`MemoryStore::restart`], [`MemoryStore::cut`]),
//! so that pods are tested against a store that forgets.

mod attach;
mod clock;
mod connection;
mod data;
mod emit;
mod housekeeping;
mod keeping;
mod nodes;
mod queue;
mod registry;
mod state;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod users;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, PodId, Position, TaskId};
use jiff::Timestamp;

use self::{data::Data, state::State};
use crate::{
    Assertion, Bus, Closed, Emit, Emitted, Finished, Foreign, Holder, LOG_FLOOR, LOG_PER_TASK, Node,
    Observed, Observer, ReadLimit, Reading, Reasserted, Register, Registered, Registry, StoreError,
    Subscription, Taken, TaskPage, TaskQuery, TaskRecord, Tasks,
};

/// What a [`MemoryStore`] is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The fewest events a connection's log keeps. Small in tests that want eviction.
    pub log_floor: usize,
    /// Events kept for each attached task, where that is more.
    pub log_per_task: usize,
    /// What the wall clock says now. From here on time follows `tokio::time`, so that paused time drives
    /// the store.
    pub started_at: Timestamp,
}

impl Default for Config {
    fn default() -> Self {
        Self { log_floor: LOG_FLOOR, log_per_task: LOG_PER_TASK, started_at: Timestamp::now() }
    }
}

/// What a restart leaves of the data.
#[derive(Clone, Debug)]
pub enum Restart {
    /// Everything. Nobody can know that, so histories end all the same.
    Keep,
    /// Nothing, not even who is alive.
    LoseEverything,
    /// What there was when the backup was taken: a failover to a replica that lagged.
    RollBackTo(Backup),
}

/// The data at one moment; see [`MemoryStore::backup`].
#[derive(Clone, Debug)]
pub struct Backup(Box<Data>);

/// The in-memory twin. Shared as an `Arc`; two stores share nothing.
#[derive(Debug)]
pub struct MemoryStore {
    /// Shared with the leases that were asked for.
    state: Arc<Mutex<State>>,
    observer: Watcher,
}

/// Whoever counts what a store does.
#[derive(Default)]
struct Watcher(OnceLock<Arc<dyn Observer>>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watcher").field(&self.0.get().is_some()).finish()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with(Config::default())
    }
}

impl MemoryStore {
    /// An empty store with the usual bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store with bounds of the caller's choice.
    pub fn with(config: Config) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(config))), observer: Watcher::default() }
    }

    /// Simulates a restart of the server. Every connection gets a new epoch when it is next touched, and
    /// every subscription was cut ([`Message::Gap`](crate::Message::Gap)).
    pub fn restart(&self, restart: Restart) {
        self.lock().restart(match restart {
            Restart::Keep => None,
            Restart::LoseEverything => Some(Data::default()),
            Restart::RollBackTo(backup) => Some(*backup.0),
        });
    }

    /// The data as it is now, for a later [`Restart::RollBackTo`].
    pub fn backup(&self) -> Backup {
        Backup(Box::new(self.lock().data.clone()))
    }

    /// Simulates a broken subscription of `pod` that is back at once: the pod hears of a gap.
    pub fn cut(&self, pod: &PodId) {
        self.lock().wires.cut(pod);
    }

    /// Publishes a message as somebody else does on the channel `task-events`: every pod hears it.
    pub fn publish_foreign(&self, message: &[u8]) {
        self.lock().publish_foreign(message);
    }

    /// Simulates a pod that says nothing for so long that its health is gone.
    pub fn silence(&self, pod: &PodId) {
        if let Some(node) = self.lock().data.nodes.get_mut(pod) {
            node.healthy_until = None;
        }
    }

    /// Registers a stream as no pod does: with whatever owner, past every check.
    pub fn plant(&self, connection: &ConnectionId, owner: &PodId, cluster: &ClusterId) {
        self.lock().plant(connection, owner, cluster);
    }

    /// The state at this moment. Each lock frees a little of what is past its retention.
    fn lock(&self) -> MutexGuard<'_, State> {
        step(&self.state)
    }
}

/// Begins a step.
fn step(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic under the lock leaves a half-done step: to go on would be to serve a broken promise.
    let mut state = state.lock().expect("no step of the store panics");
    state.begin();
    state
}

#[async_trait]
impl Registry for MemoryStore {
    async fn lives(&self, pod: &PodId, cluster: &ClusterId, lasts: Duration) -> Result<Node, StoreError> {
        Ok(self.lock().lives(pod, cluster, lasts))
    }

    async fn leave(&self, pod: &PodId, cluster: &ClusterId) -> Result<(), StoreError> {
        self.lock().leave(pod, cluster);
        Ok(())
    }

    async fn bury(&self, pod: &PodId) -> Result<bool, StoreError> {
        Ok(self.lock().bury(pod))
    }

    async fn register(&self, request: &Register) -> Result<Registered, StoreError> {
        Ok(self.lock().register(request))
    }

    async fn catch_up(
        &self,
        connection: &ConnectionId,
        after: &Position,
        limit: ReadLimit,
    ) -> Result<Reading, StoreError> {
        Ok(self.lock().catch_up(connection, after, limit))
    }

    async fn finish(&self, holder: &Holder, position: &Position) -> Result<Finished, StoreError> {
        Ok(self.lock().finish(holder, position))
    }

    async fn close(&self, holder: &Holder) -> Result<Closed, StoreError> {
        Ok(self.lock().close(holder))
    }

    async fn reassert(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        streams: &[Assertion],
    ) -> Result<Reasserted, StoreError> {
        Ok(self.lock().reassert(pod, cluster, streams))
    }

    async fn held(&self, pod: &PodId, known: usize) -> Result<Vec<Holder>, StoreError> {
        Ok(self.lock().held(pod, known))
    }

    async fn holder(&self, connection: &ConnectionId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        Ok(self.lock().holder(connection))
    }
}

impl Observed for MemoryStore {
    fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.0.set(observer);
    }
}

#[async_trait]
impl Bus for MemoryStore {
    async fn subscribe(&self, pod: &PodId) -> Result<Subscription, StoreError> {
        Ok(self.lock().wires.subscribe(pod))
    }

    async fn emit(&self, event: &Emit) -> Result<Emitted, StoreError> {
        Ok(self.lock().emit(event))
    }

    async fn end(&self, event: &Emit) -> Result<Emitted, StoreError> {
        Ok(self.lock().end(event))
    }

    async fn foreign(&self, foreign: &Foreign) -> Result<Taken, StoreError> {
        Ok(self.lock().foreign(foreign))
    }
}

#[async_trait]
impl Tasks for MemoryStore {
    async fn task(&self, task: &TaskId) -> Result<Option<TaskRecord>, StoreError> {
        Ok(self.lock().record(task))
    }

    async fn list(&self, query: &TaskQuery) -> Result<TaskPage, StoreError> {
        Ok(self.lock().list(query))
    }

    async fn put_rows(&self, task: &TaskId, rows: Vec<Arc<str>>) -> Result<(), StoreError> {
        self.lock().put_rows(task, rows);
        Ok(())
    }

    async fn rows(
        &self,
        task: &TaskId,
        from: usize,
        limit: usize,
    ) -> Result<Option<(Vec<Arc<str>>, usize)>, StoreError> {
        Ok(self.lock().rows(task, from, limit))
    }
}
