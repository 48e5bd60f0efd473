//! `POST /api/fund-api`: accepting a task.

use std::{fmt, sync::Arc};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_protocol::{
    ConnectionId, Status, TaskId,
    api::{Accepted, FUND_API_PATH, StreamState, TaskLinks},
};
use fundbond_service_runtime::exit::chain;
use fundbond_store::{Submission, Submitted};
use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::{
    Shared,
    error::ApiError,
    extract::{self, SMALL_BODY},
    openapi::{self, StartErrors, TaskRequest},
};
use crate::{
    backoff::Backoff,
    metrics::OutcomeLabels,
    pod::Pod,
    runner::{Job, Place},
    work::{DEFAULT_KIND, Parsed, Work},
};

struct StartTask {
    task: TaskId,
    connection: Option<ConnectionId>,
    parsed: Parsed,
}

/// Starts a task. The same request again is answered the same and runs nothing twice.
///
/// Accepts a task: checked first, then given a place in the queue, then written down, then answered. From the
/// place on it runs to its end even if the client leaves: a task that was written down must run.
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
pub async fn start(State(pod): Shared, request: Request) -> Result<Response, ApiError> {
    let body = extract::json_body(request, pod.settings.max_body).await?;
    let wanted = if body.len() <= SMALL_BODY {
        parse(&body)?
    } else {
        let span = Span::current();
        tokio::task::spawn_blocking(move || span.in_scope(|| parse(&body)))
            .await
            .map_err(|_| ApiError::Panicked)??
    };
    Span::current().record("correlationId", wanted.task.as_str());
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move { accept(&pod, wanted, answer).await }.in_current_span());
    // Only a panic leaves without an answer.
    let accepted = answered.await.map_err(|_| ApiError::Panicked)??;
    Ok(super::json(StatusCode::ACCEPTED, &accepted))
}

type Answer = oneshot::Sender<Result<Accepted, ApiError>>;

async fn accept(pod: &Pod, wanted: StartTask, answer: Answer) {
    // A client that has left gets no answer; what was accepted for it runs all the same.
    let tell = |answer: Answer, outcome| drop(answer.send(outcome));
    // The place comes before the look at the drain: a drain that began after the look waits for the place.
    let place = pod.runner.reserve();
    if pod.draining.has_begun() {
        return tell(answer, Err(ApiError::Draining));
    }
    let Some(place) = place else { return tell(answer, Err(ApiError::QueueFull(pod.settings.task_queue))) };
    let (submission, parsed) = submission(pod, wanted);
    match pod.store.submit(&submission).await {
        Ok(submitted) => tell(answer, settle(pod, place, submission, parsed, submitted)),
        Err(error) => {
            let mut backoff = Backoff::default();
            // Told once: with the answer, or here where nobody takes it.
            match answer.send(Err(error.into())) {
                Err(Err(ApiError::Store(error))) => backoff.failed("submit", &error),
                _ => backoff.failed_as_told(),
            }
            // Nobody knows whether it was written down. If it was, it has to run: the client, who asks again,
            // will be told that it was accepted before.
            let submitted = tokio::select! {
                submitted = submit_again(pod, &submission, backoff) => submitted,
                () = pod.stopped.begun() => return,
            };
            if let Err(error) = settle(pod, place, submission, parsed, submitted) {
                tracing::debug!(error = chain(&error), "a submission in doubt was refused");
            }
        }
    }
}

/// Repeats a submission until its outcome is known.
async fn submit_again(pod: &Pod, submission: &Submission, mut backoff: Backoff) -> Submitted {
    loop {
        backoff.wait().await;
        match pod.store.submit(submission).await {
            Ok(submitted) => return submitted,
            Err(error) => backoff.failed("submit", &error),
        }
    }
}

fn submission(pod: &Pod, wanted: StartTask) -> (Submission, Parsed) {
    let StartTask { task, connection, parsed } = wanted;
    let mut hash = blake3::Hasher::new();
    hash.update(parsed.canonical.as_bytes());
    // A request that names its connection is another request than one that leaves it to us.
    hash.update(connection.as_ref().map_or("", ConnectionId::as_str).as_bytes());
    let kind = parsed.work.kind();
    let submission = Submission {
        connection: connection.unwrap_or_else(|| ConnectionId::of_task(&task)),
        task,
        cluster: pod.cluster.clone(),
        kind: kind.to_owned(),
        fingerprint: *hash.finalize().as_bytes(),
        accepted_at: fundbond_protocol::event::millis(Timestamp::now()),
        acceptance: pod.runner.name_acceptance(&pod.identity.id()),
    };
    (submission, parsed)
}

/// What follows from the store's answer: a new task fills its place.
fn settle(
    pod: &Pod,
    place: Place<'_>,
    submission: Submission,
    parsed: Parsed,
    submitted: Submitted,
) -> Result<Accepted, ApiError> {
    let task = submission.task.clone();
    let (connection, stream_open) = match submitted {
        Submitted::New { connection, stream_open } => {
            place.fill(Job {
                task: task.clone(),
                connection: connection.clone(),
                submission: Arc::new(submission),
                // In the request's span, so that the run has its trace.
                span: tracing::error_span!("task", correlationId = %task),
                work: parsed.work,
            });
            pod.metrics.tasks_accepted.get_or_create(&OutcomeLabels { outcome: "new" }).inc();
            (connection, stream_open)
        }
        Submitted::Repeated { connection, stream_open } => {
            pod.metrics.tasks_accepted.get_or_create(&OutcomeLabels { outcome: "repeated" }).inc();
            (connection, stream_open)
        }
        Submitted::OtherRequest => return Err(ApiError::OtherRequest(task)),
        Submitted::OtherCluster(cluster) => return Err(ApiError::OtherCluster(task, cluster)),
    };
    Ok(Accepted {
        links: TaskLinks::of(&task, &connection),
        correlation_id: task,
        connection_id: connection,
        status: Status::ACCEPTED,
        stream: if stream_open { StreamState::Open } else { StreamState::Closed },
    })
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
