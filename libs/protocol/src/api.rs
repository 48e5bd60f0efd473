//! Bodies of requests and answers, camelCase JSON.

mod cluster;
mod routes;

pub use cluster::{
    BacklogStatus, BreakerReason, BreakerStatus, CLUSTER_STATUS_PATH, ClusterStatus, NodeStatus, SweepStatus,
    seconds,
};
pub use routes::{APPLIED_ROUTES_PATH, AppliedRoutes};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ConnectionId, PodId, Status, TaskEvent, TaskId, UserId, event::Progress};

/// Path of the stream calls.
pub const FUND_EVENTS_PATH: &str = "/api/fund-events";
/// Path that starts a task.
pub const FUND_API_PATH: &str = "/api/fund-api";
/// Path of task states.
pub const TASKS_PATH: &str = "/api/tasks";
/// Path of the description of all calls.
pub const OPENAPI_PATH: &str = "/api/openapi.json";
/// The most task ids one open may name.
pub const MAX_TASK_IDS: usize = 256;
/// Items of a list where the request does not say.
pub const DEFAULT_PAGE: usize = 50;
/// The most items of a list: keeps one answer under a few hundred kilobytes.
pub const MAX_PAGE: usize = 500;

/// Body of `POST /api/fund-events`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenStream {
    /// The stream to open or to take up again.
    #[serde(alias = "correlationId")]
    pub connection_id: ConnectionId,
    /// Tasks to attach; the stream closes once all of them are final.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 256))]
    pub task_ids: Vec<TaskId>,
    /// Who opens it, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Which system opens it, for logs; the id alphabet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<UserId>,
    /// Only these statuses; final events and events about the stream always pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Status>,
}

/// Whether the stream that a task belongs to is held by some pod now.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Events arrive there as they happen.
    Open,
    /// Events are kept; opening the stream replays them.
    Closed,
}

/// Where to go from an accepted task.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLinks {
    /// Latest state and result.
    #[serde(rename = "self")]
    pub itself: String,
    /// The stream of its events.
    pub events: String,
    /// Rows of its result.
    pub rows: String,
    /// Ends it.
    pub cancel: String,
}

impl TaskLinks {
    /// The links of `task`, whose events go to `connection`.
    pub fn of(task: &TaskId, connection: &ConnectionId) -> Self {
        let itself = format!("{TASKS_PATH}/{task}");
        Self {
            events: format!("{FUND_EVENTS_PATH}/{connection}"),
            rows: format!("{itself}/rows"),
            cancel: format!("{itself}/cancel"),
            itself,
        }
    }
}

/// Answer of `POST /api/fund-api`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The task.
    pub correlation_id: TaskId,
    /// The stream its events go to.
    pub connection_id: ConnectionId,
    /// `ACCEPTED`, also for a repeated request.
    pub status: Status,
    /// `closed`: open the stream (again) to see the events.
    pub stream: StreamState,
    /// Where to go from here.
    pub links: TaskLinks,
}

/// Latest state of a task.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// The task.
    pub correlation_id: TaskId,
    /// The stream its events go to.
    pub connection_id: ConnectionId,
    /// What kind of work it is.
    pub kind: String,
    /// Status of the latest event, `ACCEPTED` before the first.
    pub status: Status,
    /// Its text for people.
    pub message: String,
    /// Whether the task has ended.
    pub final_event: bool,
    /// How far it is or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When its latest event happened.
    pub updated_at: Timestamp,
    /// The pod that runs or ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_id: Option<PodId>,
    /// Where to go from here.
    pub links: TaskLinks,
}

impl TaskView {
    /// The view of a task whose latest event is `latest`, if it has one yet.
    pub fn new(
        task: TaskId,
        connection: ConnectionId,
        kind: String,
        accepted_at: Timestamp,
        latest: Option<TaskEvent>,
    ) -> Self {
        let links = TaskLinks::of(&task, &connection);
        let mut view = Self {
            correlation_id: task,
            connection_id: connection,
            kind,
            status: Status::ACCEPTED,
            message: "waiting for a runner".to_owned(),
            final_event: false,
            progress: None,
            result: None,
            accepted_at,
            updated_at: accepted_at,
            pod_id: None,
            links,
        };
        if let Some(event) = latest {
            view.status = event.status;
            view.message = event.message;
            view.final_event = event.final_event;
            view.progress = event.progress;
            view.result = event.result;
            view.updated_at = event.timestamp;
            view.pod_id = event.pod_id;
        }
        view
    }
}

/// One page of a list.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
