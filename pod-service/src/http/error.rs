//! The one place where errors become HTTP.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use fundbond_protocol::{
    ClusterId, Problem, TaskId,
    api::{FUND_API_PATH, FUND_EVENTS_PATH, TASKS_PATH},
    headers::{EVENT_STREAM, PROBLEM_JSON},
    problem::FieldProblem,
    users::SSE_PATH,
};
use fundbond_service_runtime::exit::chain;
use fundbond_store::StoreError;

use crate::{blocking::BrokeOff, intake::Crowded};

/// Seconds after which a client should try again when the store is away or the queue is full: longer than a
/// blink of either, short enough for a person who waits.
pub const RETRY_AFTER: &str = "2";

/// What a program tells errors apart by. Every error a pod answers is of one of these kinds, and the OpenAPI document
/// names them.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The status of the answer.
    pub status: StatusCode,
    /// The last part of the problem's `type`.
    pub slug: &'static str,
    /// The same in words.
    pub title: &'static str,
}

impl Kind {
    pub const NO_ROUTE: Self = Self::new(StatusCode::NOT_FOUND, "no-such-path", "No such path");
    pub const METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed");
    pub const MEDIA_TYPE: Self =
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type");
    pub const NOT_ACCEPTABLE: Self =
        Self::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable");
    pub const TOO_LARGE: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large");
    pub const STALLED: Self = Self::new(StatusCode::REQUEST_TIMEOUT, "body-stalled", "Body stopped arriving");
    pub const BODY: Self = Self::new(StatusCode::BAD_REQUEST, "unreadable-body", "Unreadable body");
    pub const NOT_JSON: Self = Self::new(StatusCode::BAD_REQUEST, "malformed-json", "Malformed JSON");
    pub const INVALID: Self =
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "Invalid request");
    pub const NO_TASK: Self = Self::new(StatusCode::NOT_FOUND, "no-such-task", "No such task");
    pub const NO_ROWS: Self = Self::new(StatusCode::NOT_FOUND, "no-rows", "No rows");
    pub const CONFLICT: Self = Self::new(StatusCode::CONFLICT, "task-conflict", "Task id is taken");
    pub const DRAINING: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "Going away");
    pub const QUEUE_FULL: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue-full", "Too many tasks wait");
    pub const CROWDED: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "crowded", "Too many large requests at once");
    pub const STORE: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Store unavailable");
    pub const INTERNAL: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error");

    const fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self { status, slug, title }
    }

    /// Whether the answer says when to try again.
    pub fn is_retryable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such path.
    #[error(
        "there is nothing at {0}; there are {FUND_EVENTS_PATH}, {FUND_API_PATH}, {TASKS_PATH} and {SSE_PATH}"
    )]
    NoRoute(String),
    /// No such method on this path.
    #[error("{0} is not possible here; the Allow header says what is")]
    Method(Method),
    /// The body is not of the type we read.
    #[error("the body must be {wanted}; the request says {}", given.as_deref().unwrap_or("nothing"))]
    MediaType {
        /// What it must be.
        wanted: &'static str,
        /// What it says it is.
        given: Option<String>,
    },
    /// The body is compressed, or coded in another way.
    #[error(
        "the body has Content-Encoding {0}, which is not read here; send it as it is, without that header"
    )]
    Coded(String),
    /// The client does not take what this call answers.
    #[error("this call answers {EVENT_STREAM}, which the Accept header {0:?} leaves out")]
    NotAcceptable(String),
    /// The body has more bytes than are read.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body stopped arriving.
    #[error("the body stopped arriving for {0:?} before its end; send it again")]
    Stalled(Duration),
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
    /// Too many large requests arrive.
    #[error("other large requests are being read, and none was done in time; try again")]
    Crowded,
    /// The store does not answer, or refuses.
    #[error(
        "the store has not confirmed it; nothing is known to have happened, so the same request may be repeated"
    )]
    Store(#[source] StoreError),
    /// A body of many events broke off.
    #[error("{why}; events accepted before: {accepted}")]
    Lines {
        /// Events that are in the store.
        accepted: u64,
        /// Why.
        why: Box<ApiError>,
    },
    /// A defect of ours.
    #[error("an internal error; the log has it under this request id")]
    Internal(String),
    /// A defect of ours that has told itself.
    #[error("an internal error; the log has it under this request id")]
    Panicked,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Crowded> for ApiError {
    fn from(_: Crowded) -> Self {
        Self::Crowded
    }
}

impl From<BrokeOff> for ApiError {
    fn from(_: BrokeOff) -> Self {
        Self::Panicked
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

    /// A body that is not of the type that is wanted.
    pub fn media_type(wanted: &'static str, headers: &HeaderMap) -> Self {
        let given = headers.get(header::CONTENT_TYPE);
        let given = given.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Self::MediaType { wanted, given }
    }

    /// What went wrong, without where.
    pub fn cause(&self) -> &Self {
        if let Self::Lines { why, .. } = self { why } else { self }
    }

    fn kind(&self) -> &'static Kind {
        match self {
            Self::NoRoute(_) => &Kind::NO_ROUTE,
            Self::Method(_) => &Kind::METHOD,
            Self::MediaType { .. } | Self::Coded(_) => &Kind::MEDIA_TYPE,
            Self::NotAcceptable(_) => &Kind::NOT_ACCEPTABLE,
            Self::TooLarge(_) => &Kind::TOO_LARGE,
            Self::Stalled(_) => &Kind::STALLED,
            Self::Body(_) => &Kind::BODY,
            Self::NotJson(_) => &Kind::NOT_JSON,
            Self::Invalid(_) => &Kind::INVALID,
            Self::NoTask(_) => &Kind::NO_TASK,
            Self::NoRows(_) => &Kind::NO_ROWS,
            Self::OtherRequest(_) | Self::OtherCluster(..) => &Kind::CONFLICT,
            Self::Draining => &Kind::DRAINING,
            Self::QueueFull(_) => &Kind::QUEUE_FULL,
            Self::Crowded => &Kind::CROWDED,
            Self::Store(_) => &Kind::STORE,
            Self::Internal(_) | Self::Panicked => &Kind::INTERNAL,
            Self::Lines { why, .. } => why.kind(),
        }
    }

    /// The answer, as a problem of the request `request_id`. Logs what a person should look at, in the request's span.
    pub fn to_response(&self, request_id: &str) -> Response {
        let kind = self.kind();
        match self.cause() {
            Self::Internal(cause) => tracing::error!(error = cause, "internal error"),
            Self::Store(_) => tracing::warn!(error = chain(self), "request failed"),
            Self::Panicked => {}
            // What clients do wrong is theirs to mend, and there may be many of them.
            _ => tracing::debug!(kind = kind.slug, error = chain(self), "request refused"),
        }
        let mut problem = Problem::new(kind.status.as_u16(), kind.slug, kind.title, self.to_string())
            .with_instance(request_id);
        if let Self::Invalid(errors) = self.cause() {
            problem = problem.with_errors(errors.clone());
        }
        if let Self::Lines { accepted, .. } = self {
            problem = problem.with_accepted(*accepted);
        }
        let mut response = (
            kind.status,
            [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))],
            problem.to_json(),
        )
            .into_response();
        if let Self::Coded(_) = self.cause() {
            // Says which codings are read: none (RFC 9110, 12.5.3).
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if kind.is_retryable() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

impl IntoResponse for ApiError {
    /// Carries the error to the outermost layer, which knows the request id.
    fn into_response(self) -> Response {
        let mut response = self.kind().status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
