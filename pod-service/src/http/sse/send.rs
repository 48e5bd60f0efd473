//! `POST /api/sse/send`: one event, or line after line.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_protocol::{
    UserId,
    headers::{JSON, NDJSON, QUERY_CLUSTER},
    problem::FieldProblem,
    users::{SSE_SEND_PATH, Sent},
};
use fundbond_store::UserEvent;
use http_body_util::BodyExt as _;
use tracing::Span;

use super::{
    lines::{Lines, TooLong},
    message::{MAX_MESSAGE_BYTES, UserMessage},
};
use crate::{
    http::{
        Shared,
        error::ApiError,
        extract::{self, Query},
        json,
        openapi::SendErrors,
    },
    pod::Pod,
    users::{self, Sender},
};

/// What is still read of a body whose sender is told that it was in vain: an answer to a socket that is closed on a
/// sender who still writes is often lost. As much as the gateway reads.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// Sends an event to a user's stream, wherever it is open; else it waits there for 24 hours. A body of
/// `application/x-ndjson` has one such event a line, which is sent when its line is whole; it may be of any length and
/// take any time, but pause no longer than 30 s, and goes no faster than an open stream is read.
#[utoipa::path(
    post,
    path = SSE_SEND_PATH,
    tag = "users",
    operation_id = "sendToUser",
    request_body(content(
        (UserMessage = "application/json", example = json!({"userId": "maria", "event": "note", "data": {"text": "hello"}})),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 202, description = "It is in the user's log.", body = Sent),
        SendErrors,
    )
)]
pub async fn send(State(pod): Shared, request: Request) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let sent = if extract::is_media_type(request.headers(), NDJSON) {
        extract::is_plain(request.headers())?;
        lines(&pod, request.into_body()).await?
    } else if extract::is_media_type(request.headers(), JSON) {
        let body = extract::json_body(request, pod.settings.max_body.min(MAX_MESSAGE_BYTES)).await?;
        let (user, event) = extract::parse::<UserMessage>(&body)?.into_event()?;
        Span::current().record("userId", user.as_str());
        let delivery = users::send(&pod, &user, event).await?;
        Sent { accepted: None, delivery: Some(delivery) }
    } else {
        return Err(ApiError::media_type("application/json or application/x-ndjson", request.headers()));
    };
    Ok(json(StatusCode::ACCEPTED, &sent))
}

/// Sends line after line. Where one cannot be sent, those before it are, and the answer says how many.
async fn lines(pod: &Arc<Pod>, mut body: Body) -> Result<Sent, ApiError> {
    let mut sender = Sender::new(pod.clone());
    let outcome = forward(&mut sender, &mut body).await;
    let (accepted, delivery) = sender.so_far();
    match outcome {
        Ok(()) => Ok(Sent { accepted: Some(accepted), delivery }),
        Err(why) => {
            tokio::spawn(linger(body));
            Err(ApiError::Lines { accepted, why: Box::new(why) })
        }
    }
}

async fn forward(sender: &mut Sender, body: &mut Body) -> Result<(), ApiError> {
    let mut lines = Lines::new(MAX_MESSAGE_BYTES);
    loop {
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(TooLong) => return after(sender, too_long(lines.number())).await,
            };
            take(sender, lines.number(), &line).await?;
        }
        // What has come goes on before more is waited for: it is for somebody who is reading along.
        sender.flush().await?;
        // The length of the whole is not limited here, only that of a line.
        let Some(piece) = extract::piece(body, usize::MAX).await? else { break };
        lines.feed(&piece);
    }
    match lines.rest() {
        Ok(Some(line)) => take(sender, lines.number(), &line).await?,
        Ok(None) => {}
        Err(TooLong) => return after(sender, too_long(lines.number())).await,
    }
    Ok(sender.flush().await?)
}

/// Takes one line.
async fn take(sender: &mut Sender, number: u64, line: &[u8]) -> Result<(), ApiError> {
    match read(line) {
        Ok((user, event)) => Ok(sender.push(number, user, event).await?),
        Err(why) => after(sender, on_line(number, why)).await,
    }
}

fn read(line: &[u8]) -> Result<(UserId, UserEvent), ApiError> {
    extract::parse::<UserMessage>(line)?.into_event()
}

/// `why`, after what came before it was sent; or why that could not be.
async fn after(sender: &mut Sender, why: ApiError) -> Result<(), ApiError> {
    sender.flush().await?;
    Err(why)
}

/// What is wrong on a line, with its number.
fn on_line(number: u64, why: ApiError) -> ApiError {
    let place = format!("line[{number}]");
    match why {
        ApiError::Invalid(errors) => {
            let on_line = |FieldProblem { field, message }: FieldProblem| {
                let field = if field == "body" { place.clone() } else { format!("{place}.{field}") };
                FieldProblem { field, message: column(&message) }
            };
            ApiError::Invalid(errors.into_iter().map(on_line).collect())
        }
        ApiError::NotJson(why) => ApiError::field(place, format!("is not JSON: {}", column(&why))),
        other => other,
    }
}

/// What the parser says, which knows of one line only.
fn column(message: &str) -> String {
    message.replace(" at line 1 column ", " at column ")
}

fn too_long(number: u64) -> ApiError {
    ApiError::field(format!("line[{number}]"), format!("is longer than {MAX_MESSAGE_BYTES} bytes"))
}

/// Reads what is left, for a while, so that the sender comes to read the answer.
async fn linger(mut body: Body) {
    let reading = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(length) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    };
    // Whoever sends for longer had time enough.
    let _ = tokio::time::timeout(LINGER, reading).await;
}
