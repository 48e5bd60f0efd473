//! The one place where errors become HTTP.

use std::sync::Arc;

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use fundbond_protocol::{
    ClusterId, Problem, TaskId,
    api::{FUND_API_PATH, FUND_EVENTS_PATH, TASKS_PATH},
    headers::{EVENT_STREAM, JSON, PROBLEM_JSON},
    problem::FieldProblem,
};
use fundbond_service_runtime::exit::chain;
use fundbond_store::StoreError;

/// Seconds after which a client should try again when the store is away or the queue is full: longer than a
/// blink of either, short enough for a person who waits.
const RETRY_AFTER: &str = "2";

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such path.
    #[error("there is nothing at {0}; there are {FUND_EVENTS_PATH}, {FUND_API_PATH} and {TASKS_PATH}")]
    NoRoute(String),
    /// No such method on this path.
    #[error("{0} is not possible here; the Allow header says what is")]
    Method(Method),
    /// The body is not of the type we read.
    #[error("the body must be {JSON}; the request says {}", .0.as_deref().unwrap_or("nothing"))]
    MediaType(Option<String>),
    /// The client does not take what this call answers.
    #[error("this call answers {EVENT_STREAM}, which the Accept header {0:?} leaves out")]
    NotAcceptable(String),
    /// The body has more bytes than are read.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body broke off.
    #[error("the body could not be read: {0}")]
    Body(String),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// Fields are missing, unknown or wrong.
    #[error("{}", first(.0))]
    Invalid(Vec<FieldProblem>),
    /// No such task (any more).
    #[error("there is no task {0}; states are kept for 24 hours")]
    NoTask(TaskId),
    /// The task has no rows.
    #[error("task {0} has no rows: it has not completed, or is of a kind without rows")]
    NoRows(TaskId),
    /// The id is taken by another request.
    #[error("task {0} was started before with another request; use another correlationId")]
    OtherRequest(TaskId),
    /// The id is taken in another cluster.
    #[error("task {0} was started in cluster {1}; use another correlationId, or that cluster")]
    OtherCluster(TaskId, ClusterId),
    /// The pod is going away.
    #[error("this pod is going away and takes no new task; try again")]
    Draining,
    /// Too many tasks wait.
    #[error("{0} tasks wait for a runner already; try again")]
    QueueFull(usize),
    /// The store does not answer.
    #[error(
        "the store does not answer; nothing is known to have happened, so the same request may be repeated"
    )]
    Store(#[source] StoreError),
    /// A defect of ours.
    #[error("an internal error; the log has it under this request id")]
    Internal(String),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn first(problems: &[FieldProblem]) -> String {
    match problems {
        [] => "a field is not valid".to_owned(),
        [one] => format!("{}: {}", one.field, one.message),
        [one, rest @ ..] => format!("{}: {} (and {} more)", one.field, one.message, rest.len()),
    }
}

impl ApiError {
    /// A single bad field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem { field: field.into(), message: message.into() }])
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoRoute(_) => (StatusCode::NOT_FOUND, "no-such-path", "No such path"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::MediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type")
            }
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "unreadable-body", "Unreadable body"),
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, "malformed-json", "Malformed JSON"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "Invalid request"),
            Self::NoTask(_) => (StatusCode::NOT_FOUND, "no-such-task", "No such task"),
            Self::NoRows(_) => (StatusCode::NOT_FOUND, "no-rows", "No rows"),
            Self::OtherRequest(_) | Self::OtherCluster(..) => {
                (StatusCode::CONFLICT, "task-conflict", "Task id is taken")
            }
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining", "Going away"),
            Self::QueueFull(_) => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "Too many tasks wait"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Store unavailable"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// The answer, as a problem of the request `request_id`. Logs what a person should look at.
    pub fn to_response(&self, request_id: &str) -> Response {
        let (status, slug, title) = self.kind();
        match self {
            Self::Internal(cause) => tracing::error!(request_id, cause, "internal error"),
            Self::Store(_) => {
                tracing::warn!(request_id, error = chain(self), "request failed");
            }
            _ => {}
        }
        let mut problem =
            Problem::new(status.as_u16(), slug, title, self.to_string()).with_instance(request_id);
        if let Self::Invalid(errors) = self {
            problem = problem.with_errors(errors.clone());
        }
        let mut response =
            (status, [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], problem.to_json())
                .into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

impl IntoResponse for ApiError {
    /// Carries the error to the outermost layer, which knows the request id.
    fn into_response(self) -> Response {
        let mut response = self.kind().0.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
