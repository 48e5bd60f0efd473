//! `POST /api/fund-api`: accepting a task.

use std::fmt;

use axum::{
    Extension,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_protocol::{
    ConnectionId, Status, TaskId, TraceId,
    api::{Accepted, FUND_API_PATH, StreamState, TaskLinks},
};
use fundbond_store::{Submission, Submitted};
use http_body::Body as _;
use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use tracing::{Instrument as _, Span};

use super::{
    Shared,
    error::ApiError,
    extract,
    openapi::{self, StartErrors, TaskRequest},
};
use crate::{
    metrics::OutcomeLabels,
    pod::Pod,
    work::{DEFAULT_KIND, Parsed, Work},
};

struct StartTask {
    task: TaskId,
    connection: Option<ConnectionId>,
    parsed: Parsed,
}

/// Starts a task. The same request again is answered the same and runs nothing twice.
///
/// Accepts a task: checked first, then written down, then answered. What was written down runs to its end, whatever
/// becomes of the client and of this pod.
#[utoipa::path(
    post,
    path = FUND_API_PATH,
    tag = "tasks",
    operation_id = "startTask",
    description = "The same request under the same id is answered the same and runs nothing twice; another one under \
                   it is a conflict. Bodies may have up to 8 MiB.",
    request_body(content = TaskRequest, example = json!(openapi::start_example())),
    responses((status = 202, description = "Accepted: it runs to one final event.", body = Accepted), StartErrors)
)]
pub async fn start(
    State(pod): Shared,
    Extension(trace): Extension<TraceId>,
    request: Request,
) -> Result<Response, ApiError> {
    // Of unknown length, it may be as long as any.
    let length = request.body().size_hint().exact().unwrap_or(u64::MAX);
    let turn = pod.intake.turn(length).await?;
    let body = extract::json_body(request, pod.settings.max_body).await?;
    let wanted = pod.intake.parse(body.len(), move || parse(&body)).await??;
    Span::current().record("correlationId", wanted.task.as_str());
    // What is on its way into the store arrives there even if the client leaves.
    let accepting = async move {
        let _turn = turn;
        accept(&pod, wanted, trace).await
    };
    let accepting = tokio::spawn(accepting.in_current_span());
    let accepted = accepting.await.map_err(|_| ApiError::Panicked)??;
    Ok(super::json(StatusCode::ACCEPTED, &accepted))
}

/// Writes a task down, with all that running it needs: from then on any pod runs it. Where nobody knows whether that
/// happened the client is told so, and asks again; the same request is then answered as if it came for the first time.
async fn accept(pod: &Pod, wanted: StartTask, trace: TraceId) -> Result<Accepted, ApiError> {
    // Counted before the look at the drain: a drain that began after the look waits for it.
    let _accepting = pod.runner.accepting();
    if pod.draining.has_begun() {
        return Err(ApiError::Draining);
    }
    let submission = submission(pod, wanted, trace);
    let remembered = pod.runner.recall.accepting(&submission);
    let submitted = pod.store.submit(&submission, pod.settings.task_queue).await;
    if remembered && !matches!(submitted, Ok(Submitted::New { .. })) {
        pod.runner.recall.taken(&submission.task);
    }
    let (connection, stream_open, outcome) = match submitted? {
        Submitted::New { connection, stream_open } => (connection, stream_open, "new"),
        Submitted::Repeated { connection, stream_open } => (connection, stream_open, "repeated"),
        Submitted::Full => return Err(ApiError::QueueFull(pod.settings.task_queue)),
        Submitted::OtherRequest => return Err(ApiError::OtherRequest(submission.task)),
        Submitted::OtherCluster(cluster) => return Err(ApiError::OtherCluster(submission.task, cluster)),
    };
    pod.metrics.tasks_accepted.get_or_create(&OutcomeLabels { outcome }).inc();
    Ok(Accepted {
        links: TaskLinks::of(&submission.task, &connection),
        correlation_id: submission.task,
        connection_id: connection,
        status: Status::ACCEPTED,
        stream: if stream_open { StreamState::Open } else { StreamState::Closed },
    })
}

fn submission(pod: &Pod, wanted: StartTask, trace: TraceId) -> Submission {
    let StartTask { task, connection, parsed } = wanted;
    let kind = parsed.work.kind();
    let mut hash = blake3::Hasher::new();
    // A request that names its connection is another request than one that leaves it to us.
    for part in [kind, "\n", &parsed.json, connection.as_ref().map_or("", ConnectionId::as_str)] {
        hash.update(part.as_bytes());
    }
    Submission {
        connection: connection.unwrap_or_else(|| ConnectionId::of_task(&task)),
        task,
        cluster: pod.cluster.clone(),
        pod: pod.identity.id(),
        kind: kind.to_owned(),
        fingerprint: *hash.finalize().as_bytes(),
        accepted_at: fundbond_protocol::event::millis(Timestamp::now()),
        trace,
        body: parsed.json.into(),
    }
}

fn parse(body: &[u8]) -> Result<StartTask, ApiError> {
    let Fields { mut fields, twice } = extract::parse(body)?;
    if let Some(name) = twice {
        return Err(ApiError::field(&name, "is there twice"));
    }
    let mut text = |name: &str| match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(ApiError::field(name, format!("must be a string, not {}", type_of(&other)))),
    };
    let task = text("correlationId")?;
    let connection = text("connectionId")?;
    let kind = text("kind")?;
    let task = task.ok_or_else(|| {
        let near = fields.keys().find(|name| name.eq_ignore_ascii_case("correlationId"));
        let hint = near
            .map_or("give each task an id of its own".to_owned(), |near| format!("did you mean {near:?}?"));
        ApiError::field("correlationId", format!("is missing; {hint}"))
    })?;
    Ok(StartTask {
        task: extract::id("correlationId", &task)?,
        connection: connection.map(|text| extract::id("connectionId", &text)).transpose()?,
        parsed: Work::parse(kind.as_deref().unwrap_or(DEFAULT_KIND), fields).map_err(ApiError::Invalid)?,
    })
}

/// The fields of a request. Of a name that is there twice one value would win in silence.
struct Fields {
    fields: Map<String, Value>,
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut found = Fields { fields: Map::new(), twice: None };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if found.fields.insert(name.clone(), value).is_some() {
                        found.twice.get_or_insert(name);
                    }
                }
                Ok(found)
            }
        }
        from.deserialize_map(Object)
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
