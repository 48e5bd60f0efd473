//! `/api/tasks`: state, list, rows and cancel.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_bonds::HoldingRow;
use fundbond_protocol::{
    ConnectionId, Status, TaskEvent, TaskId,
    api::{DEFAULT_PAGE, MAX_PAGE, Page, TASKS_PATH, TaskView},
    headers::QUERY_CLUSTER,
};
use fundbond_store::{TaskQuery, TaskRecord};
use serde_json::value::RawValue;

use super::{
    Shared,
    error::ApiError,
    extract::{self, Query, Segment},
    openapi::{ReadErrors, RowErrors, TaskErrors},
};
use crate::{pod::Pod, runner};

/// Latest state of one task, kept for 24 hours.
#[utoipa::path(
    get,
    path = "/api/tasks/{taskId}",
    tag = "tasks",
    operation_id = "readTask",
    params(("taskId" = TaskId, Path, description = "The task.")),
    responses((status = 200, description = "Its state and, once it has ended, its result.", body = TaskView), TaskErrors)
)]
pub async fn state(
    State(pod): Shared,
    Segment(task): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    Ok(super::json(StatusCode::OK, &view(find(&pod, &task).await?)?))
}

/// One page of the cluster's tasks, newest first.
#[utoipa::path(
    get,
    path = TASKS_PATH,
    tag = "tasks",
    operation_id = "listTasks",
    params(
        ("connectionId" = Option<ConnectionId>, Query, description = "Only tasks of this connection."),
        ("status" = Option<Status>, Query, description = "Only tasks whose latest event has this status."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items a page; default 50."),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,18}$", description = "`nextCursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = Page<TaskView>), ReadErrors)
)]
pub async fn list(State(pod): Shared, request: Request) -> Result<Response, ApiError> {
    let query = Query::of(request.uri(), &["connectionId", "status", "limit", "cursor", QUERY_CLUSTER])?;
    let status = |text: &str| Status::parse(text).map_err(|e| ApiError::field("query.status", e.to_string()));
    let page = pod
        .store
        .list(&TaskQuery {
            cluster: pod.cluster.clone(),
            connection: query
                .get("connectionId")
                .map(|text| extract::id("query.connectionId", text))
                .transpose()?,
            status: query.get("status").map(status).transpose()?,
            limit: limit(&query)?,
            cursor: query.number("cursor", 0..=u64::MAX)?,
        })
        .await?;
    let items = page.items.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
    Ok(super::json(StatusCode::OK, &Page { items, next_cursor: page.next.map(|c| c.to_string()) }))
}

/// One page of a result's rows, in the order of the request's holdings.
#[utoipa::path(
    get,
    path = "/api/tasks/{taskId}/rows",
    tag = "tasks",
    operation_id = "readRows",
    params(
        ("taskId" = TaskId, Path, description = "The task."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Items a page; default 50."),
        ("cursor" = Option<u32>, Query, maximum = 2_147_483_647, description = "`nextCursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = Page<HoldingRow>), RowErrors)
)]
pub async fn rows(
    State(pod): Shared,
    Segment(task): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    let query = Query::of(request.uri(), &["limit", "cursor", QUERY_CLUSTER])?;
    // Rows are far fewer; a bound that every client's integers hold.
    let from = query.number("cursor", 0..=i32::MAX.unsigned_abs().into())?.unwrap_or(0);
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let limit = limit(&query)?;
    let record = find(&pod, &task).await?;
    let Some((rows, total)) = pod.store.rows(&record.task, from, limit).await? else {
        return Err(ApiError::NoRows(record.task));
    };
    let next = from.saturating_add(rows.len());
    // Rows were written as JSON once; they pass through as they are.
    let items = rows
        .iter()
        .map(|row| RawValue::from_string(row.to_string()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ApiError::Internal(format!("a stored row is not JSON: {error}")))?;
    let next_cursor = (!items.is_empty() && next < total).then(|| next.to_string());
    Ok(super::json(StatusCode::OK, &Page { items, next_cursor }))
}

/// Ends a task. Idempotent: a task that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/api/tasks/{taskId}/cancel",
    tag = "tasks",
    operation_id = "cancelTask",
    params(("taskId" = TaskId, Path, description = "The task.")),
    responses((status = 200, description = "Its state now, which is final.", body = TaskView), TaskErrors)
)]
pub async fn cancel(
    State(pod): Shared,
    Segment(task): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let record = find(&pod, &task).await?;
    if !record.is_final {
        // The final event is emitted here and not by the runner: it stands at once, wherever the task runs
        // or waits, and the runner's own would be refused from now on.
        pod.store.end(&runner::cancelled(&pod, &record.task, &record.connection)).await?;
    }
    Ok(super::json(StatusCode::OK, &view(find(&pod, &task).await?)?))
}

async fn find(pod: &Pod, task: &str) -> Result<TaskRecord, ApiError> {
    let task: TaskId = extract::id("taskId", task)?;
    tracing::Span::current().record("correlationId", task.as_str());
    pod.store.task(&task).await?.ok_or(ApiError::NoTask(task))
}

fn view(record: TaskRecord) -> Result<TaskView, ApiError> {
    let latest = record
        .latest
        .map(|json| serde_json::from_str::<TaskEvent>(&json))
        .transpose()
        .map_err(|error| ApiError::Internal(format!("latest event of {}: {error}", record.task)))?;
    Ok(TaskView::new(record.task, record.connection, record.kind, record.accepted_at, latest))
}

fn limit(query: &Query) -> Result<usize, ApiError> {
    let limit = query.number("limit", 1..=MAX_PAGE as u64)?;
    Ok(limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(DEFAULT_PAGE))
}
