//! Connections to one endpoint: made, lent for one request, given back or closed.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fundbond_service_runtime::exit::chain;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::{body::Upload, endpoint::Load, route_file::Address};

/// An idle connection is used again within this time. Servers close idle connections after some time (ours
/// after 10 s, see `server::HEAD_READ_TIMEOUT`); a request sent in that very moment is lost, so half of it.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// Idle connections kept for one endpoint: more than one machine's worth of concurrent requests, and at
/// most 64 descriptors of 20,000 after a burst.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// The largest head of a response, and what one connection reads ahead; 16 KiB as in most servers.
const BUFFER_BYTES: usize = 16 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It took too long.
    #[error("no connection within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The network or the endpoint refused.
    #[error("cannot connect")]
    Io(#[source] io::Error),
    /// The HTTP client refused.
    #[error("cannot begin HTTP")]
    Handshake(#[source] hyper::Error),
}

impl ConnectError {
    /// Whether the endpoint is to blame, rather than this process (no descriptors, no ports).
    pub(crate) fn blames_endpoint(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::TimedOut(_) => true,
            Self::Io(error) => matches!(
                error.kind(),
                Kind::ConnectionRefused
                    | Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::HostUnreachable
                    | Kind::NetworkUnreachable
                    | Kind::TimedOut
            ),
            Self::Handshake(_) => false,
        }
    }
}

/// One connection. Dropping it closes it at once, whatever is under way on it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Upload>,
    task: AbortHandle,
    /// Whether it carried a request before: then its end may have nothing to do with the next one.
    pub(crate) reused: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to `address` within `limit`.
pub(crate) async fn connect(address: &Address, limit: Duration) -> Result<Connection, ConnectError> {
    let stream = timeout(limit, open(address))
        .await
        .map_err(|_| ConnectError::TimedOut(limit))?
        .map_err(ConnectError::Io)?;
    let (sender, connection) = Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ConnectError::Handshake)?;
    let task = tokio::spawn(async move {
        // Whoever sent a request over it is told by the answer; an idle connection that ends tells nobody.
        if let Err(error) = connection.await {
            tracing::debug!(error = chain(&error), "endpoint connection ended");
        }
    });
    Ok(Connection { sender, task: task.abort_handle(), reused: false })
}

/// A socket to `address`.
pub(crate) async fn open(address: &Address) -> io::Result<TcpStream> {
    let stream = match address {
        Address::Ip(address) => TcpStream::connect(address).await?,
        Address::Name(host, port) => TcpStream::connect((&**host, *port)).await?,
    };
    // Frames of a stream are small and must not wait for each other's acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Idle connections, the latest used last.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<(Connection, Instant)>>);

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last, if one is open and fresh.
    pub(crate) fn take(&self) -> Option<Connection> {
        let (connection, since) = self.idle().pop()?;
        if since.elapsed() >= MAX_IDLE {
            // The others are older still; `reap` closes them.
            return None;
        }
        if connection.sender.is_closed() { self.take() } else { Some(connection) }
    }

    fn put(&self, mut connection: Connection) {
        connection.reused = true;
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE_CONNECTIONS && !connection.sender.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    /// Closes what nobody used for a while.
    pub(crate) fn reap(&self) {
        self.idle()
            .retain(|(connection, since)| since.elapsed() < MAX_IDLE && !connection.sender.is_closed());
    }

    /// How many connections are idle.
    pub(crate) fn len(&self) -> usize {
        self.idle().len()
    }
}

/// A connection lent for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    /// Counts as under way at its endpoint as long as the connection is lent.
    pub(crate) load: Load,
    /// Whether the request went out whole; a connection that still carries one cannot be lent again.
    pub(crate) upload: Option<Arc<crate::body::UploadState>>,
}

impl Lease {
    /// The response came whole: the connection can carry the next request.
    pub(crate) fn give_back(self) {
        if self.upload.as_ref().is_none_or(|upload| upload.is_whole()) {
            self.load.0.pool.put(self.connection);
        }
    }
}
