//! Redis key and channel names: the only place that spells them.
//!
//! Ids cannot hold `:`, so no id can reach into another key space: the log of connection `task` and the
//! log of a task that has no connection yet never meet.

use crate::{ClusterId, ConnectionId, PodId, TaskId, UserId};

/// Prefix of a registration; the sweep scans for it.
pub const CONNECTIONS_PREFIX: &str = "sse-connections:";
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
    format!("{CONNECTIONS_PREFIX}user:{user}")
}

/// Epoch, offset and generation of a connection.
pub fn meta(connection: &ConnectionId) -> String {
    format!("sse-meta:{connection}")
}

/// Epoch and offset of a task that has no connection yet.
pub fn task_meta(task: &TaskId) -> String {
    format!("sse-meta:task:{task}")
}

/// The events of a connection; entry ids are `<offset>-0`.
pub fn log(connection: &ConnectionId) -> String {
    format!("sse-log:{connection}")
}

/// The events of a task that has no connection yet.
pub fn task_log(task: &TaskId) -> String {
    format!("sse-log:task:{task}")
}

/// The tasks of a connection, scored 0 open, > 0 offset of the final, -1 moved away.
pub fn tasks_of(connection: &ConnectionId) -> String {
    format!("sse-tasks:{connection}")
}

/// Which connection a task belongs to.
pub fn alias(task: &TaskId) -> String {
    format!("sse-alias:{task}")
}

/// Event ids of a running task.
pub fn seen(task: &TaskId) -> String {
    format!("sse-seen:{task}")
}

/// Latest event of a task.
pub fn task_state(task: &TaskId) -> String {
    format!("task-state:{task}")
}

/// Streams of one pod, what the sweep reads.
pub fn connections_of(pod: &PodId) -> String {
    format!("pod-conns:{pod}")
}

/// Alive while it exists.
pub fn node_health(pod: &PodId) -> String {
    format!("node-health:{pod}")
}

/// The tombstone: death is permanent.
pub fn node_dead(pod: &PodId) -> String {
    format!("node-dead:{pod}")
}

/// Every node of a cluster.
pub fn node_index(cluster: &ClusterId) -> String {
    format!("node-index:{cluster}")
}

/// The channel of one pod.
pub fn pod_channel(pod: &PodId) -> String {
    format!("{FOREIGN_CHANNEL}:{pod}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_of_a_connection_and_of_a_task_never_meet() {
        let connection = ConnectionId::parse("task").unwrap();
        let task = TaskId::parse("task").unwrap();
        assert_ne!(log(&connection), task_log(&task));
        assert_eq!(registration(&connection), "sse-connections:task");
        assert_eq!(user_registration(&UserId::parse("u1").unwrap()), "sse-connections:user:u1");
        assert_eq!(pod_channel(&PodId::parse("pod-a-1~aaaaaaaa").unwrap()), "task-events:pod-a-1~aaaaaaaa");
    }
}
