//! The HTTP side of a pod: routes, what every answer carries, and nothing that decides.

pub mod error;
mod extract;
mod fund_api;
mod fund_events;
mod tasks;

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use fundbond_protocol::{
    ConnectionId,
    api::{FUND_API_PATH, FUND_EVENTS_PATH, TASKS_PATH},
    headers::{X_POD_ID, X_REQUEST_ID},
};

use fundbond_service_runtime::labels::{class_label, method_label};

use crate::{metrics::HttpLabels, pod::Pod};
use error::ApiError;

/// The pod that handlers work for.
type Shared = State<Arc<Pod>>;

/// Every route of a pod.
pub fn router(pod: Arc<Pod>) -> Router {
    Router::new()
        .route(FUND_EVENTS_PATH, post(fund_events::open_by_post))
        .route(
            &format!("{FUND_EVENTS_PATH}/{{connectionId}}"),
            get(fund_events::open_by_get).head(fund_events::head),
        )
        .route(FUND_API_PATH, post(fund_api::start))
        .route(TASKS_PATH, get(tasks::list))
        .route(&format!("{TASKS_PATH}/{{taskId}}"), get(tasks::state))
        .route(&format!("{TASKS_PATH}/{{taskId}}/rows"), get(tasks::rows))
        .route(&format!("{TASKS_PATH}/{{taskId}}/cancel"), post(tasks::cancel))
        .fallback(async |request: Request| ApiError::NoRoute(request.uri().path().to_owned()))
        .method_not_allowed_fallback(async |request: Request| ApiError::Method(request.method().clone()))
        .layer(middleware::from_fn_with_state(pod.clone(), finish))
        .with_state(pod)
}

/// Gives every answer its request id (the caller's where it is legal, else a new one) and pod, turns errors
/// into problems, and counts.
async fn finish(State(pod): Shared, request: Request, next: Next) -> Response {
    let header = HeaderName::from_static(X_REQUEST_ID);
    let given = request
        .headers()
        .get(&header)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| ConnectionId::parse(v).ok());
    let id = given.map_or_else(new_request_id, |id| id.as_str().to_owned());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = method_label(request.method());

    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        let allow = response.headers_mut().remove(axum::http::header::ALLOW);
        response = error.to_response(&id);
        if let Some(allow) = allow {
            response.headers_mut().insert(axum::http::header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
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

fn new_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// JSON with a status.
fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Response {
    (status, axum::Json(body)).into_response()
}
