//! What became of each task.

use std::sync::Arc;

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, Status, TaskId};
use jiff::Timestamp;

use crate::StoreError;

/// What is known of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRecord {
    /// The task.
    pub task: TaskId,
    /// The connection it belongs to now.
    pub connection: ConnectionId,
    /// The cluster that accepted it.
    pub cluster: ClusterId,
    /// What kind of work it is.
    pub kind: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its latest event, if it had one.
    pub latest: Option<Arc<str>>,
    /// Whether it has ended.
    pub is_final: bool,
}

/// Which tasks of one cluster, newest first.
#[derive(Clone, Debug)]
pub struct TaskQuery {
    /// The cluster.
    pub cluster: ClusterId,
    /// Only this connection's.
    pub connection: Option<ConnectionId>,
    /// Only those whose latest status is this; `ACCEPTED` before the first event.
    pub status: Option<Status>,
    /// Items at most.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<u64>,
}

/// One page of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPage {
    /// The tasks.
    pub items: Vec<TaskRecord>,
    /// Where this page ended; `None` on the last. A page may be short and yet not be the last.
    pub next: Option<u64>,
}

/// What became of each task.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// What is known of `task`.
    async fn task(&self, task: &TaskId) -> Result<Option<TaskRecord>, StoreError>;

    /// One page of a cluster's tasks.
    async fn list(&self, query: &TaskQuery) -> Result<TaskPage, StoreError>;

    /// Keeps the rows of a task's result, in order, each one JSON value. Replaces what was there.
    async fn put_rows(&self, task: &TaskId, rows: Vec<Arc<str>>) -> Result<(), StoreError>;

    /// Rows `from..from + limit` and how many there are; `None` where the task has none (yet).
    async fn rows(
        &self,
        task: &TaskId,
        from: usize,
        limit: usize,
    ) -> Result<Option<(Vec<Arc<str>>, usize)>, StoreError>;
}
