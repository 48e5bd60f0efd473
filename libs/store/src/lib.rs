//! How a task on any pod reaches a stream on any other: who holds which stream (registry), what happened
//! (bus), who runs which task (queue), what became of each (tasks), and what is said to people (users). Beside it what
//! keeps that tidy: who leads (leases), what dead pods left (housekeeping), and locks.
//!
//! Flow: a pod **registers** a stream and reads its log; tasks are **submitted** and **emit** events; each
//! emit appends to the log of the connection the task belongs to and publishes to the pod that holds it.
//! The log is the truth and the message only a hint that it grew: a pod that misses messages reads on from
//! its position ([`Registry::catch_up`]) and loses nothing.
//!
//! Each method of the traits is one atomic step: one Lua script on a Redis, one locked section in the
//! in-memory twin ([`MemoryStore`]). Both pass one contract suite. Nothing here decides what a client sees;
//! that is the pod's business.

#[cfg(all(
    not(debug_assertions),
    any(
        feature = "bug-plain-del",
        feature = "bug-no-tombstone",
        feature = "bug-blind-renewal",
        feature = "bug-early-ack"
    )
))]
compile_error!("the bug-* features are mistakes for the tests to find, and no release has them");

pub mod address;
pub mod bus;
pub mod housekeeping;
pub mod leases;
pub mod locks;
pub mod log;
pub mod memory;
pub mod observer;
pub mod queue;
pub mod redis;
pub mod registry;
pub mod subscription;
pub mod tasks;
pub mod users;
pub mod wait;

pub use address::{StoreAddress, Unwanted};
pub use bus::{Bus, Emit, Emitted, Foreign, Taken};
pub use housekeeping::{
    Buried, Forgotten, Housekeeping, NodeSeen, Nodes, Order, Ordered, Stray, StrayPage, StraySwept, Swept,
};
pub use leases::Leases;
pub use locks::{Lock, Locked, Locks};
pub use log::{Entry, EntryKind, Outcome, ReadLimit, Reading, Snapshot};
pub use memory::MemoryStore;
pub use observer::{Observed, Observer, StepOutcome};
pub use queue::{
    Attempt, Backlog, Claimed, Claims, HandedOver, Held, MOST_DEATHS, Queue, Restored, Standing, Submission,
    Submitted,
};
pub use redis::RedisStore;
pub use registry::{
    Asserted, Assertion, Closed, Finished, Generation, Holder, Node, Opened, Reasserted, Register,
    Registered, Registry,
};
pub use subscription::{Message, Publisher, Subscription};
pub use tasks::{TaskPage, TaskQuery, TaskRecord, Tasks};
pub use users::{Answer, Lines, Question, Sent, StreamReport, UserEvent, UserRecord, UserSend, Users};

use std::time::Duration;

/// How long logs, task states and registrations live without a refresh.
pub const RETENTION: Duration = Duration::from_hours(24);

/// How long a node counts as alive after a heartbeat; three heartbeats of 10 s.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a tombstone stays: an hour longer than anything a dead pod can have left behind.
pub const TOMBSTONE: Duration = Duration::from_hours(25);

/// How long the greatest leadership that gave orders is known after its last one: far longer than a process sleeps and
/// still believes that it leads, which is 10 s by its own clock.
pub const FENCE: Duration = Duration::from_hours(1);

/// How long a lock is had without being extended: longer than a stall of a disk or a garbage collector, short enough that
/// a lock of a dead process is waited for.
pub const LOCK_TIME: Duration = Duration::from_secs(30);

/// The fewest events a connection's log keeps; it keeps 8 a task where that is more.
pub const LOG_FLOOR: usize = 256;

/// Events kept for each attached task, beyond the floor.
pub const LOG_PER_TASK: usize = 8;

/// A store that cannot answer. Nothing is known about whether the step was done; every step may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server cannot be reached, or not in time.
    #[error("the store is unreachable")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server answered something that no script of ours answers.
    #[error("the store answered out of contract: {0}")]
    Contract(String),
}

/// Everything a pod needs from a store.
pub trait Store: Registry + Bus + Queue + Tasks + Users + Housekeeping + Leases + Locks + Observed {}
impl<T: Registry + Bus + Queue + Tasks + Users + Housekeeping + Leases + Locks + Observed> Store for T {}
