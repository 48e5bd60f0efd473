//! Asks an endpoint again and again whether it is ready.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fundbond_service_runtime::exit::chain;
use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::{endpoint::Endpoint, health::FAILURES_TO_UNREADY, pool};

/// A probe that takes longer has failed: `/readyz` reads flags.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("no answer")]
    Http(#[source] hyper::Error),
    #[error("/readyz answered {0}")]
    Status(StatusCode),
    #[error("no answer within {} ms", PROBE_TIMEOUT.as_millis())]
    TimedOut,
}

/// Probes `endpoint` at once and then every `every`; runs until it is aborted.
pub(crate) async fn run(endpoint: Arc<Endpoint>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        match timeout(PROBE_TIMEOUT, ask(&endpoint)).await.unwrap_or(Err(ProbeError::TimedOut)) {
            Ok(()) => endpoint.probed(true, "/readyz answered 200"),
            Err(error) => {
                tracing::debug!(endpoint = %endpoint.target.name, error = chain(&error), millis = begun.elapsed().as_millis(), "probe failed");
                endpoint.probed(false, &chain(&error));
            }
        }
    }
}

/// Comes back once two probes in a row had no answer at all. A process that says it is not ready lives, and answers what
/// it has taken.
pub(crate) async fn fell_silent(endpoint: &Endpoint) {
    let mut silent = 0;
    while silent < FAILURES_TO_UNREADY {
        let begun = Instant::now();
        silent = match timeout(PROBE_TIMEOUT, ask(endpoint)).await {
            Ok(Ok(()) | Err(ProbeError::Status(_))) => 0,
            Ok(Err(ProbeError::Connect(_) | ProbeError::Http(_) | ProbeError::TimedOut)) | Err(_) => {
                silent + 1
            }
        };
        sleep_until(begun + PROBE_TIMEOUT).await;
    }
}

/// One probe over a connection of its own: an old connection says nothing about whether new ones are taken.
async fn ask(endpoint: &Endpoint) -> Result<(), ProbeError> {
    let admin = &endpoint.target.admin;
    let stream = pool::open(admin).await.map_err(ProbeError::Connect)?;
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(ProbeError::Http)?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/readyz");
    request.headers_mut().insert(HOST, crate::head::value(&admin.to_string()));
    let answer = async {
        let response = sender.send_request(request).await.map_err(ProbeError::Http)?;
        match response.status() {
            StatusCode::OK => Ok(()),
            other => Err(ProbeError::Status(other)),
        }
    };
    tokio::pin!(answer, connection);
    // The connection is driven only as long as the answer is awaited, and closed with it.
    tokio::select! {
        answered = &mut answer => answered,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(ProbeError::Http(error)),
        },
    }
}
