//! `/api/sse/...`: the one stream of a user, and what is said on it.

pub mod broadcast;
mod lines;
mod message;
pub mod send;

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_protocol::{
    ConnectionId, LastEventId, Status, UserId,
    event::millis,
    headers::{QUERY_CLUSTER, QUERY_LAST_EVENT_ID},
    users::{ClosedStream, UserStatus},
};
use tokio::time::Instant;
use tracing::Span;

use super::{
    Shared,
    error::ApiError,
    extract::{self, Query, Segment},
    fund_events::{answer, check_accept, last_event_id, stream_response},
    openapi::{ReadErrors, StreamErrors},
};
use crate::{
    server::ConnectionCut,
    stream::{self, Open, inquiries},
};

/// Parameters of a stream. `cluster` is the gateway's and passes by.
const PARAMETERS: [&str; 3] = ["events", QUERY_LAST_EVENT_ID, QUERY_CLUSTER];

/// Opens the stream of a user, or takes it up where `Last-Event-ID` says. A user has one: a newer one takes over.
#[utoipa::path(
    get,
    path = "/api/sse/connect/{userId}",
    tag = "streams",
    operation_id = "connectUser",
    params(
        ("userId" = UserId, Path, description = "Whose stream it is."),
        ("events" = Option<String>, Query,
            description = "Only events of these names, parted by commas; events about the stream pass."),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id:` that was read; wins over the query."),
        ("lastEventId" = Option<String>, Query, description = "The same for clients that cannot set headers."),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String,
            description = "Events: `event:` is the name that the sender gave, `data:` its JSON value, `id:` a position \
                           for `Last-Event-ID`. CONNECTED comes first, HEARTBEAT every 10 s."),
        (status = 204, description = "Another stream took over, or this one was closed: stay away."),
        StreamErrors,
    )
)]
pub async fn connect(
    State(pod): Shared,
    Segment(user): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    check_accept(request.headers())?;
    let (user, only, last) = by_query(&user, &request)?;
    let connection = ConnectionId::of_user(&user);
    Span::current().record("userId", user.as_str());
    Span::current().record("connectionId", connection.as_str());
    let connection_cut = ConnectionCut::of(&request).0;
    let asked = Instant::now();
    let opening =
        stream::open(&pod, Open { connection, tasks: Vec::new(), only, last, asked, connection_cut });
    Ok(answer(opening.await))
}

/// What `GET` would answer, without a stream.
#[utoipa::path(
    head,
    path = "/api/sse/connect/{userId}",
    tag = "streams",
    operation_id = "probeUser",
    params(("userId" = UserId, Path, description = "Whose stream it is.")),
    responses((status = 200, description = "A stream would be opened."), StreamErrors)
)]
pub async fn head(Segment(user): Segment, request: Request) -> Result<Response, ApiError> {
    check_accept(request.headers())?;
    by_query(&user, &request)?;
    Ok(stream_response(Body::empty()))
}

fn by_query(user: &str, request: &Request) -> Result<(UserId, Vec<Status>, LastEventId), ApiError> {
    let query = Query::of(request.uri(), &PARAMETERS)?;
    let only = query.list("events", |text| Status::named(text))?;
    Ok((extract::id("userId", user)?, only, last_event_id(request.headers(), &query)))
}

/// Ends the stream of a user, wherever it lives. Its client stays away: who resumes it gets 204, until it is opened
/// anew without `Last-Event-ID`.
#[utoipa::path(
    post,
    path = "/api/sse/close/{userId}",
    tag = "users",
    operation_id = "closeUser",
    params(("userId" = UserId, Path, description = "Whose stream it is.")),
    responses((status = 200, description = "It is closed now.", body = ClosedStream), ReadErrors)
)]
pub async fn close(
    State(pod): Shared,
    Segment(user): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let user_id: UserId = extract::id("userId", &user)?;
    Span::current().record("userId", user_id.as_str());
    let closed = pod.store.close_user(&user_id).await?.is_some();
    Ok(super::json(StatusCode::OK, &ClosedStream { user_id, closed }))
}

/// Whether the stream of a user is open, and where.
#[utoipa::path(
    get,
    path = "/api/sse/status/{userId}",
    tag = "users",
    operation_id = "readUserStatus",
    params(("userId" = UserId, Path, description = "Whose stream it is.")),
    responses((status = 200, description = "What is known of it.", body = UserStatus), ReadErrors)
)]
pub async fn status(
    State(pod): Shared,
    Segment(user): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let user: UserId = extract::id("userId", &user)?;
    let record = pod.store.user(&user).await?;
    let mut status =
        UserStatus { last_event_id: record.end.map(|end| end.to_string()), ..UserStatus::default() };
    if let Some((holder, cluster)) = record.holder {
        let report = inquiries::ask(&pod, &holder, &ConnectionId::of_user(&user)).await?.report();
        status.connected = true;
        status.connected_at = report.as_ref().map(|report| millis(report.since));
        status.queued_bytes = report.map(|report| report.queued_bytes);
        (status.pod_id, status.cluster_id) = (Some(holder), Some(cluster));
    }
    Ok(super::json(StatusCode::OK, &status))
}
