//! The peer: what a good engineer writes with axum's own `Sse` when nothing needs to survive.
//!
//! The same two calls and the same events as a pod's, so that the same client drives both. A task is a loop
//! that sends into the bounded channel of its stream; the stream numbers the events and axum writes them.
//! There is no log, no resume, no idempotency, no check for a stalled reader, and nobody else may hold the
//! stream: that is what a pod adds, and what the comparison prices.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{self, Write as _},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::post,
    serve::ListenerExt as _,
};
use fundbond_protocol::{
    ConnectionId, Epoch, PodId, Position, Status, TaskEvent,
    api::{FUND_API_PATH, FUND_EVENTS_PATH, OpenStream},
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::client::StartSteps;

/// Events that may wait in one stream; a task that is faster than its reader waits.
pub(crate) const CHANNEL: usize = 256;

/// The pod id in every event: as long as a real one, so that both sides move the same bytes.
const POD_ID: &str = "pod-peer-9090~peerpeer";

/// What waits in a stream: the event, encoded.
#[derive(Debug)]
pub struct Said {
    /// The SSE event name.
    pub status: String,
    /// The event.
    pub json: String,
}

impl Said {
    fn of(event: &TaskEvent) -> Self {
        Self { status: event.status.to_string(), json: event.to_json() }
    }
}

#[derive(Clone, Debug)]
struct Peer {
    streams: Arc<Mutex<HashMap<ConnectionId, mpsc::Sender<Said>>>>,
    pod: PodId,
}

/// Serves on 127.0.0.1 until the process is ended.
///
/// # Errors
/// Where the port cannot be listened on.
pub async fn run(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let line = json!({ "message": "peer serves", "address": listener.local_addr()? });
    writeln!(io::stderr(), "{line}")?;
    serve(listener).await
}

/// Serves on `listener` until it is dropped.
///
/// # Errors
/// Where its own id is none, which a test would show.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let peer = Peer { streams: Arc::default(), pod: PodId::parse(POD_ID).map_err(io::Error::other)? };
    let router =
        Router::new().route(FUND_EVENTS_PATH, post(open)).route(FUND_API_PATH, post(start)).with_state(peer);
    accept(listener, router).await
}

/// Serves a peer's routes.
pub(crate) async fn accept(listener: TcpListener, router: Router) -> io::Result<()> {
    // A pod sets it, too; failure only costs latency.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, router).await
}

async fn open(State(peer): State<Peer>, Json(wanted): Json<OpenStream>) -> Response {
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let response = stream_of(&wanted.connection_id, &peer.pod, receiver);
    peer.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.connection_id, sender);
    response
}

/// A stream that says it is open, and then what comes, numbered.
pub(crate) fn stream_of(
    connection: &ConnectionId,
    pod: &PodId,
    mut receiver: mpsc::Receiver<Said>,
) -> Response {
    let now = Timestamp::now();
    let epoch = Epoch::from_micros(u64::try_from(now.as_microsecond()).unwrap_or_default());
    let connected =
        TaskEvent::of_stream(connection, 1, Status::CONNECTED, now).with_message("stream open").from_pod(pod);
    let events = stream::poll_fn(move |context| receiver.poll_recv(context));
    let numbered =
        stream::iter([Said::of(&connected)]).chain(events).enumerate().map(move |(offset, said)| {
            let position = Position { epoch: epoch.clone(), offset: offset as u64 };
            let frame = Event::default().id(position.to_string()).event(said.status);
            Ok::<_, Infallible>(frame.data(said.json))
        });
    Sse::new(numbered).keep_alive(KeepAlive::default()).into_response()
}

async fn start(State(peer): State<Peer>, Json(task): Json<StartSteps>) -> Response {
    let streams = peer.streams.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(stream) = streams.get(&task.connection_id).cloned() else {
        return (StatusCode::NOT_FOUND, "no such stream").into_response();
    };
    drop(streams);
    let accepted = Json(json!({ "correlationId": task.correlation_id, "status": "ACCEPTED" }));
    let pod = peer.pod;
    tokio::spawn(async move {
        // An error says that the client left: then nobody waits for the rest.
        let _ = count(&task, &pod, &stream).await;
    });
    (StatusCode::ACCEPTED, accepted).into_response()
}

async fn count(
    task: &StartSteps,
    pod: &PodId,
    stream: &mpsc::Sender<Said>,
) -> Result<(), mpsc::error::SendError<Said>> {
    let StartSteps { correlation_id: id, count, delay_ms, .. } = task;
    let event = |step: &str, status| TaskEvent::of_task(id, step, status, Timestamp::now()).from_pod(pod);
    let begin = event("processing", Status::PROCESSING).with_message(format!("counting to {count}"));
    stream.send(Said::of(&begin)).await?;
    for step in 1..=*count {
        if *delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(*delay_ms)).await;
        }
        let event = event(&step.to_string(), Status::SUBTASK_COMPLETED)
            .with_message(format!("step {step} of {count}"))
            .with_progress(step.into(), (*count).into());
        stream.send(Said::of(&event)).await?;
    }
    let end = event("final", Status::COMPLETED)
        .with_message(format!("counted to {count}"))
        .with_result(json!({ "count": count }))
        .into_final();
    stream.send(Said::of(&end)).await
}
