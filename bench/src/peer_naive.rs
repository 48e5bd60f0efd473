//! The naive design as a process: streams as axum's own `Sse` makes them, and a [`NaivePod`] that hears of
//! every event of the cluster and gives on those whose stream is here.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use fundbond_protocol::{
    PodId,
    api::{FUND_EVENTS_PATH, OpenStream},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    peer::{self, CHANNEL, Said},
    redis::naive::{BATCH, Heard, NaivePod},
};

#[derive(Clone, Debug)]
struct Peer {
    pod: NaivePod,
    streams: Streams,
}

type Streams = Arc<Mutex<HashMap<String, mpsc::Sender<Said>>>>;

/// Serves on any port of 127.0.0.1 until the process is ended.
///
/// # Errors
/// Where it cannot listen, or the Redis is gone.
pub async fn run(url: &str) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // The port makes the name its own.
    let [a, b] = address.port().to_be_bytes();
    let id = PodId::new("peer", address.port(), [0, 0, 0, a, b]);
    let pod = NaivePod::connect(url, id).await.map_err(io::Error::other)?;
    let ear = pod.subscribe().await.map_err(io::Error::other)?;
    let streams = Streams::default();
    let router = Router::new().route(FUND_EVENTS_PATH, post(open));
    let router = router.with_state(Peer { pod: pod.clone(), streams: streams.clone() });
    let line = json!({ "message": "peer serves", "address": address });
    writeln!(io::stderr(), "{line}")?;
    tokio::select! {
        ended = peer::accept(listener, router) => ended,
        error = pod.listen(ear, BATCH.into(), |heard| deliver(&streams, heard)) => Err(io::Error::other(error)),
    }
}

async fn open(State(peer): State<Peer>, Json(wanted): Json<OpenStream>) -> Response {
    let (sender, receiver) = mpsc::channel(CHANNEL);
    for task in &wanted.task_ids {
        peer.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(task.to_string(), sender.clone());
        if let Err(error) = peer.pod.register(task).await {
            return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response();
        }
    }
    peer::stream_of(&wanted.connection_id, peer.pod.id(), receiver)
}

fn deliver(streams: &Streams, heard: Heard) {
    /// The part of an event that its frame is named after.
    #[derive(Deserialize)]
    struct Name {
        status: String,
    }
    if !heard.is_here {
        return;
    }
    let Ok(Name { status }) = serde_json::from_str(&heard.json) else { return };
    let stream = streams.lock().unwrap_or_else(PoisonError::into_inner).get(&heard.task).cloned();
    if let Some(stream) = stream {
        // A full stream loses the event, as this design does; its reader finds the hole.
        let _ = stream.try_send(Said { status, json: heard.json });
    }
}
