//! `POST /api/sse/broadcast`: one event to every open stream.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_protocol::{
    headers::QUERY_CLUSTER,
    users::{Broadcast, SSE_BROADCAST_PATH},
};

use super::message::{Announcement, MAX_MESSAGE_BYTES};
use crate::{
    http::{
        Shared,
        error::ApiError,
        extract::{self, Query},
        json,
        openapi::SendErrors,
    },
    users,
};

/// Sends an event to every user whose stream is open in this cluster. Users without a stream do not get it later.
#[utoipa::path(
    post,
    path = SSE_BROADCAST_PATH,
    tag = "users",
    operation_id = "broadcast",
    request_body(content = Announcement, example = json!({"event": "notice", "data": {"text": "closing at five"}, "id": "notice-17"})),
    responses(
        (status = 202, description = "It is in the log of each of these streams.", body = Broadcast),
        SendErrors,
    )
)]
pub async fn broadcast(State(pod): Shared, request: Request) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let body = extract::json_body(request, pod.settings.max_body.min(MAX_MESSAGE_BYTES)).await?;
    let event = extract::parse::<Announcement>(&body)?.into_event()?;
    let streams = users::broadcast(&pod, event).await?;
    Ok(json(StatusCode::ACCEPTED, &Broadcast { streams }))
}
