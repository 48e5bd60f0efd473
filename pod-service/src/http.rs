//! The HTTP side of a pod: routes, what every answer carries, and nothing that decides.

mod cluster;
pub mod error;
mod extract;
mod fund_api;
mod fund_events;
mod openapi;
mod sse;
mod tasks;

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use fundbond_protocol::{
    ConnectionId, TraceId, TraceParent,
    headers::{EXPOSED, TRACEPARENT, X_POD_ID, X_REQUEST_ID},
};

use fundbond_service_runtime::labels::{class_label, method_label};
use tracing::{Instrument as _, Span, field::Empty};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{metrics::HttpLabels, pod::Pod};
use error::ApiError;

/// The pod that handlers work for.
type Shared = State<Arc<Pod>>;

/// Every route of a pod with its description: a route without one cannot be written here.
fn described() -> OpenApiRouter<Arc<Pod>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(fund_events::open_by_post))
        .routes(routes!(fund_events::open_by_get, fund_events::head))
        .routes(routes!(fund_api::start))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::state))
        .routes(routes!(tasks::rows))
        .routes(routes!(tasks::cancel))
        .routes(routes!(sse::connect, sse::head))
        .routes(routes!(sse::send::send))
        .routes(routes!(sse::broadcast::broadcast))
        .routes(routes!(sse::close))
        .routes(routes!(sse::status))
        .routes(routes!(cluster::status))
        .routes(routes!(openapi::serve))
}

/// The OpenAPI document of every route.
pub fn document() -> OpenApi {
    openapi::complete(described().into_openapi())
}

/// Every route of a pod.
pub fn router(pod: Arc<Pod>) -> Router {
    Router::from(described())
        .fallback(async |request: Request| ApiError::NoRoute(request.uri().path().to_owned()))
        .method_not_allowed_fallback(async |request: Request| ApiError::Method(request.method().clone()))
        .layer(middleware::from_fn_with_state(pod.clone(), finish))
        .with_state(pod)
}

/// Gives every answer its request id (the caller's where it is legal, else a new one) and pod, turns errors
/// into problems, tells browsers which pages may read it, and counts.
async fn finish(State(pod): Shared, mut request: Request, next: Next) -> Response {
    let header = HeaderName::from_static(X_REQUEST_ID);
    let given = request
        .headers()
        .get(&header)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| ConnectionId::parse(v).ok());
    let id = given.map_or_else(new_request_id, |id| id.as_str().to_owned());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = method_label(request.method());

    let trace = trace_of(request.headers());
    request.extensions_mut().insert(trace);
    let span = span_of(trace, &id);
    let cors = pod.settings.cors_origins.hear(request.method(), request.headers());
    let mut response = if cors.is_preflight() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).instrument(span.clone()).await
    };
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        if let ApiError::Store(error) = error.cause() {
            pod.doubt_store(error);
        }
        let allow = response.headers_mut().remove(axum::http::header::ALLOW);
        response = span.in_scope(|| error.to_response(&id));
        if let Some(allow) = allow {
            response.headers_mut().insert(axum::http::header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    cors.speak(headers, EXPOSED);
    for (name, value) in [(X_REQUEST_ID, id.as_str()), (X_POD_ID, pod.identity.id().display_id())] {
        // Both are of the id alphabet, so this cannot fail.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    pod.metrics
        .http_requests
        .get_or_create(&HttpLabels { route, method, class: class_label(response.status()) })
        .inc();
    response
}

/// The trace of a request: the caller's, or one that begins here.
fn trace_of(headers: &HeaderMap) -> TraceId {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let parent = match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().ok().and_then(TraceParent::parse),
        _ => None,
    };
    parent.map_or_else(|| TraceId::of_random(rand::random()), |parent| parent.trace)
}

/// What log lines say of a request, and of the stream it opens.
fn span_of(trace: TraceId, request_id: &str) -> Span {
    // Of the gravest level, so that whatever lines a filter lets pass keep their names.
    tracing::error_span!(
        "request",
        traceId = %trace,
        requestId = request_id,
        correlationId = Empty,
        connectionId = Empty,
        userId = Empty,
        system = Empty,
    )
}

fn new_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// JSON with a status.
fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Response {
    (status, axum::Json(body)).into_response()
}
