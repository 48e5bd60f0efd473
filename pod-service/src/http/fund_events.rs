//! `POST /api/fund-events` and `GET /api/fund-events/{connectionId}`: opening a stream.

use super::{
    Shared,
    error::ApiError,
    extract::{self, Query, SMALL_BODY, Segment},
    openapi::{OpenByEitherName, StreamBodyErrors, StreamErrors},
};
use crate::{
    pod::Pod,
    server::ConnectionCut,
    stream::{self, Open, Opening},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fundbond_protocol::{
    ConnectionId, LastEventId, Status, TaskId, UserId,
    api::{FUND_EVENTS_PATH, MAX_TASK_IDS, OpenStream},
    headers::{EVENT_STREAM, LAST_EVENT_ID, QUERY_CLUSTER, QUERY_LAST_EVENT_ID, X_ACCEL_BUFFERING},
    sse::{write_comment, write_retry},
};
use tokio::time::Instant;

/// Parameters of the stream's `GET` form. `cluster` is the gateway's and passes by.
const PARAMETERS: [&str; 6] = ["taskIds", "events", "userId", "system", QUERY_LAST_EVENT_ID, QUERY_CLUSTER];

/// Opens a stream, or takes it up where `Last-Event-ID` says.
#[utoipa::path(
    post,
    path = FUND_EVENTS_PATH,
    tag = "streams",
    operation_id = "openStream",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id:` that was read; wins over the query."),
        ("lastEventId" = Option<String>, Query, description = "The same for clients that cannot set headers."),
    ),
    request_body(content = OpenByEitherName, example = json!({"connectionId": "desk7", "taskIds": ["desk7-fund-1"]})),
    responses(
        (status = 200, content_type = "text/event-stream", body = String,
            description = "Events: `event:` is the status, `data:` a TaskEvent of at most 256 KiB, `id:` a position \
                           for `Last-Event-ID`. CONNECTED comes first, HEARTBEAT every 10 s."),
        (status = 204, description = "Every task has ended and was read to its end: nothing will ever come."),
        StreamBodyErrors,
    )
)]
pub async fn open_by_post(State(pod): Shared, request: Request) -> Result<Response, ApiError> {
    check_accept(request.headers())?;
    let query = Query::of(request.uri(), &[QUERY_LAST_EVENT_ID, QUERY_CLUSTER])?;
    let last = last_event_id(request.headers(), &query);
    let cut = ConnectionCut::of(&request);
    // 256 task ids are a quarter of it. What a stream filters by is kept as long as the stream is.
    let body = extract::json_body(request, pod.settings.max_body.min(SMALL_BODY)).await?;
    open(&pod, extract::parse(&body)?, last, cut).await
}

/// Opens a stream by path and query, as `EventSource` can.
#[utoipa::path(
    get,
    path = "/api/fund-events/{connectionId}",
    tag = "streams",
    operation_id = "openStreamByGet",
    params(
        ("connectionId" = ConnectionId, Path, description = "The stream to open or to take up again."),
        ("taskIds" = Option<String>, Query, description = "Up to 256 ids of tasks to attach, parted by commas."),
        ("events" = Option<String>, Query,
            description = "Only these statuses, parted by commas; final events and events about the stream pass."),
        ("userId" = Option<UserId>, Query, description = "Who opens it, for logs."),
        ("system" = Option<UserId>, Query, description = "Which system opens it, for logs."),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id:` that was read; wins over the query."),
        ("lastEventId" = Option<String>, Query, description = "The same for clients that cannot set headers."),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String,
            description = "Events: `event:` is the status, `data:` a TaskEvent of at most 256 KiB, `id:` a position \
                           for `Last-Event-ID`. CONNECTED comes first, HEARTBEAT every 10 s."),
        (status = 204, description = "Every task has ended and was read to its end: nothing will ever come."),
        StreamErrors,
    )
)]
pub async fn open_by_get(
    State(pod): Shared,
    Segment(connection): Segment,
    request: Request,
) -> Result<Response, ApiError> {
    check_accept(request.headers())?;
    let (wanted, last) = by_query(&connection, &request)?;
    open(&pod, wanted, last, ConnectionCut::of(&request)).await
}

/// What `GET` would answer, without a stream.
#[utoipa::path(
    head,
    path = "/api/fund-events/{connectionId}",
    tag = "streams",
    operation_id = "probeStream",
    params(("connectionId" = ConnectionId, Path, description = "The stream.")),
    responses((status = 200, description = "A stream would be opened."), StreamErrors)
)]
pub async fn head(Segment(connection): Segment, request: Request) -> Result<Response, ApiError> {
    check_accept(request.headers())?;
    by_query(&connection, &request)?;
    Ok(stream_response(Body::empty()))
}

fn by_query(connection: &str, request: &Request) -> Result<(OpenStream, LastEventId), ApiError> {
    let query = Query::of(request.uri(), &PARAMETERS)?;
    let one = |name: &str| query.get(name).map(|text| extract::id::<UserId>(name, text)).transpose();
    let wanted = OpenStream {
        connection_id: extract::id("connectionId", connection)?,
        task_ids: query.list("taskIds", |text| TaskId::parse(text))?,
        user_id: one("userId")?,
        system: one("system")?,
        events: query.list("events", |text| Status::parse(text))?,
    };
    Ok((wanted, last_event_id(request.headers(), &query)))
}

async fn open(
    pod: &std::sync::Arc<Pod>,
    wanted: OpenStream,
    last: LastEventId,
    cut: ConnectionCut,
) -> Result<Response, ApiError> {
    if wanted.task_ids.len() > MAX_TASK_IDS {
        let message = format!("names {} tasks; at most {MAX_TASK_IDS} are possible", wanted.task_ids.len());
        return Err(ApiError::field("taskIds", message));
    }
    let span = tracing::Span::current();
    span.record("connectionId", wanted.connection_id.as_str());
    span.record("userId", wanted.user_id.as_ref().map(UserId::as_str));
    span.record("system", wanted.system.as_ref().map(UserId::as_str));
    tracing::debug!(tasks = wanted.task_ids.len(), "stream asked for");
    let opening = stream::open(
        pod,
        Open {
            connection: wanted.connection_id,
            tasks: wanted.task_ids,
            only: wanted.events,
            last,
            asked: Instant::now(),
            connection_cut: cut.0,
        },
    );
    Ok(answer(opening.await))
}

/// What a client gets that asked for a stream.
pub(super) fn answer(opening: Opening) -> Response {
    match opening {
        Opening::Stream(body) => stream_response(Body::new(body)),
        Opening::Nothing => StatusCode::NO_CONTENT.into_response(),
        Opening::Shed { retry, why } => {
            let mut bytes = Vec::new();
            write_retry(&mut bytes, retry);
            write_comment(&mut bytes, why);
            stream_response(Body::from(bytes))
        }
    }
}

pub(super) fn stream_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static(X_ACCEL_BUFFERING), HeaderValue::from_static("no"));
    response
}

pub(super) fn last_event_id(headers: &HeaderMap, query: &Query) -> LastEventId {
    match headers.get(LAST_EVENT_ID) {
        Some(value) => value.to_str().map_or(LastEventId::Unknown, LastEventId::parse),
        None => query.non_empty(QUERY_LAST_EVENT_ID).map_or(LastEventId::Start, LastEventId::parse),
    }
}

pub(super) fn check_accept(headers: &HeaderMap) -> Result<(), ApiError> {
    let given: Vec<_> =
        headers.get_all(header::ACCEPT).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
    let accepted = given.iter().flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let matches = parts.next().is_some_and(|essence| {
            [EVENT_STREAM, "text/*", "*/*"].iter().any(|known| essence.eq_ignore_ascii_case(known))
        });
        // `q=0` means "anything but this".
        matches && !parts.any(|p| p.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0))
    });
    if given.is_empty() || accepted { Ok(()) } else { Err(ApiError::NotAcceptable(given.join(", "))) }
}
