//! The admin server: `/livez`, `/readyz`, `/startupz`, `/metrics` and what a service adds. Never routed.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};
use tokio::net::TcpListener;

use crate::{Health, Shutdown};

/// Admin port = service port + this.
pub const PORT_OFFSET: u16 = 10_000;

/// The admin server of one service, bound and not yet serving.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

#[derive(Clone)]
struct Shared {
    health: Health,
    registry: Arc<Registry>,
    /// What every service says the same way.
    common: Arc<Registry>,
}

impl Admin {
    /// Binds `address` (port 0: any). `extra` is merged in.
    ///
    /// # Errors
    /// Where the address cannot be bound; the text names it.
    pub async fn bind(
        address: SocketAddr,
        health: Health,
        registry: Arc<Registry>,
        extra: Router,
    ) -> Result<Self, crate::config::BindError> {
        let listener = crate::config::bind("admin", address).await?;
        let address = listener.local_addr().map_err(|source| crate::config::BindError {
            what: "admin",
            address,
            source,
        })?;
        let mut common = Registry::default();
        common.register_collector(health.collector());
        let router = Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/startupz", get(startupz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Shared { health, registry, common: Arc::new(common) })
            .merge(extra);
        Ok(Self { listener, address, router })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` begins. Give it a shutdown that begins *after* the drain, so that probes and
    /// metrics are answered while a service drains.
    ///
    /// # Errors
    /// Where accepting fails for good.
    pub async fn serve(self, stop: Shutdown) -> std::io::Result<()> {
        let until = stop.clone();
        let server = axum::serve(self.listener, self.router)
            .with_graceful_shutdown(async move { until.begun().await });
        // A probe that keeps its connection alive must not keep the process alive.
        tokio::select! {
            result = server => result,
            () = async { stop.begun().await; tokio::time::sleep(ADMIN_GRACE).await } => Ok(()),
        }
    }
}

/// How long answers under way may take once the admin server stops: a scrape takes milliseconds.
const ADMIN_GRACE: std::time::Duration = std::time::Duration::from_millis(500);

async fn startupz(State(shared): State<Shared>) -> Response {
    let started = shared.health.has_started();
    answer(started, String::new(), if started { "ok" } else { "not started" })
}

async fn readyz(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let verbose = query.is_some_and(|q| q.split('&').any(|p| p == "verbose" || p.starts_with("verbose=")));
    let detail = if verbose { shared.health.describe() } else { String::new() };
    let ready = shared.health.is_ready();
    let word = match (ready, shared.health.is_degraded()) {
        (false, _) => "not ready",
        // Still 200: whoever asks whether to send traffic is told yes, and whoever reads is told the truth.
        (true, true) => "degraded",
        (true, false) => "ok",
    };
    answer(ready, detail, word)
}

fn answer(ok: bool, detail: String, word: &str) -> Response {
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{detail}{word}\n")).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let mut text = String::new();
    let encoded = encode_registry(&mut text, &shared.registry)
        .and_then(|()| encode_registry(&mut text, &shared.common))
        .and_then(|()| encode_eof(&mut text));
    match encoded {
        Ok(()) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}\n")).into_response(),
    }
}
