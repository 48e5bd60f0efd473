//! The HTTP server: hyper over accepted sockets, with a way to cut a single connection.

use std::{convert::Infallible, time::Duration};

use axum::Router;
use fundbond_service_runtime::{Shutdown, absence::notice_absence, exit::chain};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// A request head must arrive within this, so that idle sockets do not pile up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes hyper may buffer a connection. The stream's own queue is the buffer that counts; this one only has
/// to hold a request head.
const CONNECTION_BUFFER: usize = 16 * 1024;

/// Bytes the kernel takes ahead of what it sends: a piece of a stream.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 * 1024;

/// Pause after a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// In a request's extensions: cuts the connection that carries it.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCut(pub CancellationToken);

impl ConnectionCut {
    /// The cut of the connection that carries `request`; one that does nothing outside this server.
    pub fn of<B>(request: &hyper::Request<B>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }
}

/// Accepts and serves until `stop` begins; then lets answers under way finish, and returns once
/// `deadline` has passed or no connection is left.
pub async fn serve(listener: TcpListener, router: Router, stop: Shutdown, deadline: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection(socket, router.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot accept a connection; is the descriptor limit reached?");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            // Reaps what has ended, so that the set does not grow.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = stop.begun() => break,
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::info!("cutting connections that did not end in time");
    }
}

async fn connection(socket: TcpStream, router: Router, stop: Shutdown) {
    // A stream's frames are small and must not wait for each other; failure only costs latency.
    if let Err(error) = prepare(&socket) {
        tracing::debug!(error = chain(&error), "a socket option could not be set");
    }
    let cut = ConnectionCut::default();
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(cut.clone());
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(CONNECTION_BUFFER)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => return log(result),
        () = cut.0.cancelled() => return,
        () = stop.begun() => {}
    }
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        result = serving => log(result),
        () = cut.0.cancelled() => {}
    }
}

/// Small frames at once, an end for clients that vanished, and a view of who reads.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    notice_absence(socket)?;
    // The kernel would take megabytes ahead and let nobody see for minutes whether the client reads.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

fn log(result: hyper::Result<()>) {
    if let Err(error) = result {
        // Clients leave in every way there is; none of it is the operator's business.
        tracing::debug!(error = chain(&error), "connection ended");
    }
}
