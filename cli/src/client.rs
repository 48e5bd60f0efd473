//! One request, one answer: a small HTTP client that knows our problems, our route header and nothing else.
//!
//! Plain HTTP only. The gateway is reached on the machine, through a port forward or behind a proxy that
//! ends TLS; an `https://` address is refused by name instead of failing as a broken connection.

mod url;

use std::{error::Error as StdError, io, time::Duration};

use bytes::Bytes;
use fundbond_protocol::{
    ClusterId, Problem, TaskId,
    api::{Accepted, FUND_API_PATH, Page, TASKS_PATH, TaskView},
    headers,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use url::{ServerUrl, UrlError, query};

/// A server in reach answers a connect within milliseconds; 10 s also covers a cold VPN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The gateway itself gives up on a head after 60 s and says so; waiting a little longer lets it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(65);
/// An answer is at most a page of task states; more than this is not an answer of ours.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How much of an unexpected body goes into an error.
const MAX_QUOTED_CHARS: usize = 200;

/// Why a call has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or nothing leads there.
    #[error("cannot reach {server}: {why}")]
    Unreachable {
        /// Where.
        server: ServerUrl,
        /// In the words of the operating system.
        why: String,
    },
    /// The connection broke before the answer was whole.
    #[error("{call}: the connection to {server} broke: {why}")]
    Broken {
        /// Method and path.
        call: String,
        /// Where.
        server: ServerUrl,
        /// What happened to it.
        why: String,
    },
    /// No answer in time.
    #[error("{call}: no answer from {server} in {} s", .after.as_secs())]
    Slow {
        /// Method and path.
        call: String,
        /// Where.
        server: ServerUrl,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server said no, and why.
    #[error("{call}: {} {}", .problem.status, .problem.title)]
    Problem {
        /// Method and path.
        call: String,
        /// In the server's words.
        problem: Box<Problem>,
        /// `Retry-After`, where there was one.
        retry_after: Option<Duration>,
    },
    /// The server said something this client does not understand.
    #[error("{call}: not an answer of a Fundbond server ({what})")]
    Foreign {
        /// Method and path.
        call: String,
        /// Status, media type and the beginning of the body.
        what: String,
        /// HTTP status.
        status: StatusCode,
    },
    /// The request cannot be put on the wire.
    #[error("{call}: cannot build the request: {why}")]
    Request {
        /// Method and path.
        call: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Slow { .. } => true,
            Self::Problem { problem, .. } => temporary(problem.status),
            Self::Foreign { status, .. } => temporary(status.as_u16()),
            Self::Request { .. } => false,
        }
    }

    /// How long the server wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn temporary(status: u16) -> bool {
    status >= 500 || status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// A header's text, empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as the problem it must be.
    pub fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Calls one server, for one cluster. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    server: ServerUrl,
    cluster: Option<ClusterId>,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// A client of `server`; requests carry the route header of `cluster` where one is given.
    pub fn new(server: ServerUrl, cluster: Option<ClusterId>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { server, cluster, http }
    }

    /// Where requests go.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Which cluster they are for.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.cluster.as_ref()
    }

    /// Starts the task that `body` describes.
    pub async fn submit(&self, body: &Value) -> Result<Accepted, ClientError> {
        self.call(Method::POST, FUND_API_PATH, Some(body)).await
    }

    /// The latest state of `task`.
    pub async fn task(&self, task: &TaskId) -> Result<TaskView, ClientError> {
        self.call(Method::GET, &format!("{TASKS_PATH}/{task}"), None).await
    }

    /// One page of tasks; `pairs` are the query (`connectionId`, `status`, `limit`, `cursor`).
    pub async fn tasks(&self, pairs: &[(&str, &str)]) -> Result<Page<TaskView>, ClientError> {
        self.call(Method::GET, &format!("{TASKS_PATH}{}", query(pairs)), None).await
    }

    /// Asks `task` to end; answers with its state.
    pub async fn cancel(&self, task: &TaskId) -> Result<TaskView, ClientError> {
        self.call(Method::POST, &format!("{TASKS_PATH}/{task}/cancel"), None).await
    }

    /// Calls and reads the answer as `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        let call = call_name(&method, path);
        let mut request = self.request(method, path)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(headers::JSON));
        if let Some(body) = body {
            let json = serde_json::to_vec(body)
                .map_err(|error| ClientError::Request { call: call.clone(), why: error.to_string() })?;
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(headers::JSON));
            *request.body_mut() = Full::new(json.into());
        }
        let answer = self.send(request).await?;
        if !answer.status.is_success() {
            return Err(refusal(call, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| foreign(call, &answer, Some(&error)))
    }

    /// A request to `path` with the route header and nothing else, for callers with their own headers.
    pub fn request(&self, method: Method, path: &str) -> Result<Request<Full<Bytes>>, ClientError> {
        let call = call_name(&method, path);
        let mut request = Request::builder().method(method).uri(self.server.join(path));
        if let Some(cluster) = &self.cluster {
            request = request.header(headers::X_CLUSTER_ROUTE, cluster.as_str());
        }
        request.body(Full::default()).map_err(|error| ClientError::Request { call, why: error.to_string() })
    }

    /// Sends `request` and reads the whole answer, whatever it says.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let call = call_name(request.method(), request.uri().path());
        let response = self.open(request).await?;
        self.read(&call, response).await
    }

    /// Reads the rest of an answer to `call`.
    pub async fn read(&self, call: &str, response: Response<Incoming>) -> Result<Answer, ClientError> {
        let (parts, body) = response.into_parts();
        match tokio::time::timeout(ANSWER_TIMEOUT, Limited::new(body, MAX_ANSWER_BYTES).collect()).await {
            Ok(Ok(body)) => {
                Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let what = format!("an answer of more than {MAX_ANSWER_BYTES} bytes");
                Err(ClientError::Foreign { call: call.to_owned(), what, status: parts.status })
            }
            Ok(Err(error)) => Err(self.broken(call.to_owned(), error.as_ref())),
            Err(_) => Err(self.slow(call.to_owned())),
        }
    }

    /// Sends `request` and returns with the head of the answer; the body is read as it comes.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let call = call_name(request.method(), request.uri().path());
        match tokio::time::timeout(ANSWER_TIMEOUT, self.http.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => {
                Err(ClientError::Unreachable { server: self.server.clone(), why: root_cause(&error) })
            }
            Ok(Err(error)) => Err(self.broken(call, &error)),
            Err(_) => Err(self.slow(call)),
        }
    }

    fn slow(&self, call: String) -> ClientError {
        ClientError::Slow { call, server: self.server.clone(), after: ANSWER_TIMEOUT }
    }

    fn broken(&self, call: String, error: &(dyn StdError + 'static)) -> ClientError {
        ClientError::Broken { call, server: self.server.clone(), why: root_cause(error) }
    }
}

/// The error for an answer that is no success.
pub fn refusal(call: String, answer: &Answer) -> ClientError {
    match answer.problem() {
        Some(mut problem) => {
            if problem.instance.is_empty() {
                answer.header(headers::X_REQUEST_ID).clone_into(&mut problem.instance);
            }
            let retry_after = answer.header(header::RETRY_AFTER.as_str()).parse().ok();
            ClientError::Problem {
                call,
                problem: Box::new(problem),
                retry_after: retry_after.map(Duration::from_secs),
            }
        }
        None => foreign(call, answer, None),
    }
}

fn foreign(call: String, answer: &Answer, error: Option<&serde_json::Error>) -> ClientError {
    let text = String::from_utf8_lossy(&answer.body);
    let start: String = text.trim().chars().take(MAX_QUOTED_CHARS).collect();
    let mut what = format!("status {}", answer.status.as_u16());
    let media_type = answer.header(header::CONTENT_TYPE.as_str());
    if !media_type.is_empty() {
        what = format!("{what}, {media_type}");
    }
    if let Some(error) = error {
        what = format!("{what}, {error}");
    }
    if !start.is_empty() {
        what = format!("{what}: {start}");
    }
    ClientError::Foreign { call, what, status: answer.status }
}

/// Method and path, as every error names a call.
pub fn call_name(method: &Method, path: &str) -> String {
    format!("{method} {}", path.split('?').next().unwrap_or_default())
}

/// The innermost error: what the operating system or TLS said, without the wrapping of libraries.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        // Without the "(os error 111)": the same on every system, and a person knows the words.
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        _ => cause.to_string(),
    }
}
