//! Redis key and channel names: the only place that spells them.
//!
//! Ids cannot hold `:`, so no id can reach into another key space.

use crate::{ClusterId, ConnectionId, PodId, TaskId, UserId};

/// Prefix of a registration; the sweep scans for it.
pub const CONNECTIONS_PREFIX: &str = "sse-connections:";
/// Prefix of a connection's [`meta`].
pub const META_PREFIX: &str = "sse-meta:";
/// Prefix of a connection's [`log`].
pub const LOG_PREFIX: &str = "sse-log:";
/// Prefix of [`tasks_of`].
pub const TASKS_PREFIX: &str = "sse-tasks:";
/// Prefix of [`alias`].
pub const ALIAS_PREFIX: &str = "sse-alias:";
/// Prefix of [`seen`].
pub const SEEN_PREFIX: &str = "sse-seen:";
/// Prefix of [`task_state`].
pub const STATE_PREFIX: &str = "task-state:";
/// Prefix of [`task_rows`].
pub const ROWS_PREFIX: &str = "task-rows:";
/// Prefix of [`accepted`].
pub const ACCEPTED_PREFIX: &str = "task-index:";
/// Prefix of [`waiting`].
pub const WAITING_PREFIX: &str = "tasks:";
/// Prefix of [`task_body`].
pub const BODY_PREFIX: &str = "task-body:";
/// Prefix of [`claims_of`].
pub const CLAIMS_PREFIX: &str = "task-claims:";
/// Prefix of [`idle`].
pub const IDLE_PREFIX: &str = "task-idle:";
/// Prefix of [`connections_of`].
pub const HELD_PREFIX: &str = "pod-conns:";
/// Prefix of [`lines_of`].
pub const LINES_PREFIX: &str = "user-lines:";
/// Prefix of [`node_health`].
pub const HEALTH_PREFIX: &str = "node-health:";
/// Prefix of [`node_dead`].
pub const DEAD_PREFIX: &str = "node-dead:";
/// Prefix of [`node_index`].
pub const NODES_PREFIX: &str = "node-index:";
/// Prefix of [`sweep_fence`].
pub const FENCE_PREFIX: &str = "sweep-fence:";
/// Prefix of [`sweep_state`].
pub const SWEEP_PREFIX: &str = "sweep-state:";
/// Prefix of [`lease`].
pub const LEASE_PREFIX: &str = "lease:";
/// Prefix of [`lock`].
pub const LOCK_PREFIX: &str = "lock:";
/// Prefix of the last fencing token of a [`lock`], which outlives it.
pub const LOCK_FENCE_PREFIX: &str = "lock-fence:";
/// Prefix of [`pod_channel`].
pub const POD_CHANNEL_PREFIX: &str = "task-events:";
/// Channel for publishers that are not ours.
pub const FOREIGN_CHANNEL: &str = "task-events";
/// Channel on which every pod hears of cancelled tasks and closed streams.
pub const CONTROL_CHANNEL: &str = "task-control";

/// Who holds the stream: `{podId}:{clusterId}`.
pub fn registration(connection: &ConnectionId) -> String {
    format!("{CONNECTIONS_PREFIX}{connection}")
}

/// Who holds the user's stream.
pub fn user_registration(user: &UserId) -> String {
    registration(&ConnectionId::of_user(user))
}

/// How many lines of a request that sends line by line are logged.
pub fn lines_of(request: &str) -> String {
    format!("{LINES_PREFIX}{request}")
}

/// Epoch, offset and generation of a connection.
pub fn meta(connection: &ConnectionId) -> String {
    format!("{META_PREFIX}{connection}")
}

/// The events of a connection; entry ids are `<offset>-0`.
pub fn log(connection: &ConnectionId) -> String {
    format!("{LOG_PREFIX}{connection}")
}

/// The tasks of a connection, scored 0 open, > 0 offset of the final, -1 moved away.
pub fn tasks_of(connection: &ConnectionId) -> String {
    format!("{TASKS_PREFIX}{connection}")
}

/// Which connection a task belongs to.
pub fn alias(task: &TaskId) -> String {
    format!("{ALIAS_PREFIX}{task}")
}

/// Event ids of a running task.
pub fn seen(task: &TaskId) -> String {
    format!("{SEEN_PREFIX}{task}")
}

/// Latest event of a task, and how it was accepted.
pub fn task_state(task: &TaskId) -> String {
    format!("{STATE_PREFIX}{task}")
}

/// The rows of a task's result, after an empty first item.
pub fn task_rows(task: &TaskId) -> String {
    format!("{ROWS_PREFIX}{task}")
}

/// The accepted tasks of a cluster by time.
pub fn accepted(cluster: &ClusterId) -> String {
    format!("{ACCEPTED_PREFIX}{cluster}")
}

/// The accepted tasks of a cluster that nobody runs, by when they were accepted.
pub fn waiting(cluster: &ClusterId) -> String {
    format!("{WAITING_PREFIX}{cluster}")
}

/// The request of a task that has not ended.
pub fn task_body(task: &TaskId) -> String {
    format!("{BODY_PREFIX}{task}")
}

/// The tasks that one pod runs.
pub fn claims_of(pod: &PodId) -> String {
    format!("{CLAIMS_PREFIX}{pod}")
}

/// The pods of a cluster that would run more.
pub fn idle(cluster: &ClusterId) -> String {
    format!("{IDLE_PREFIX}{cluster}")
}

/// Streams of one pod, what the sweep reads.
pub fn connections_of(pod: &PodId) -> String {
    format!("{HELD_PREFIX}{pod}")
}

/// Alive while it exists.
pub fn node_health(pod: &PodId) -> String {
    format!("{HEALTH_PREFIX}{pod}")
}

/// The tombstone: death is permanent.
pub fn node_dead(pod: &PodId) -> String {
    format!("{DEAD_PREFIX}{pod}")
}

/// Every node of a cluster, the dead until they are swept. Never expires.
pub fn node_index(cluster: &ClusterId) -> String {
    format!("{NODES_PREFIX}{cluster}")
}

/// The greatest leadership that swept a cluster: what an older one still asks for is refused.
pub fn sweep_fence(cluster: &ClusterId) -> String {
    format!("{FENCE_PREFIX}{cluster}")
}

/// What housekeeping of a cluster writes down: since when the server lives, and how the last sweep went.
pub fn sweep_state(cluster: &ClusterId) -> String {
    format!("{SWEEP_PREFIX}{cluster}")
}

/// Who leads in something, as `holder` and `version`.
pub fn lease(name: &str) -> String {
    format!("{LEASE_PREFIX}{name}")
}

/// Who has a lock, as `{token}:{owner}`; gone when it is free.
pub fn lock(name: &str) -> String {
    format!("{LOCK_PREFIX}{name}")
}

/// The channel of one pod.
pub fn pod_channel(pod: &PodId) -> String {
    format!("{POD_CHANNEL_PREFIX}{pod}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let connection = ConnectionId::parse("c1").unwrap();
        assert_eq!(log(&connection), "sse-log:c1");
        assert_eq!(registration(&connection), "sse-connections:c1");
        assert_eq!(user_registration(&UserId::parse("u1").unwrap()), "sse-connections:user:u1");
        assert_eq!(pod_channel(&PodId::parse("pod-a-1~aaaaaaaa").unwrap()), "task-events:pod-a-1~aaaaaaaa");
    }
}
