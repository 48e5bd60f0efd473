//! The simulator on a port of loopback, plain HTTP/1, for programs in other processes. Time is real there.

use std::{io, net::SocketAddr};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle, task::JoinSet};
use tower::Service as _;

use crate::simulator::{ApiService, Simulator};

/// A port on which the simulator answers until this is dropped.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Listening {
    /// `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Its connections end with it.
        self.accepting.abort();
    }
}

impl Simulator {
    /// Answers on some free port of loopback; whoever comes is known in the trace by that name.
    ///
    /// # Errors
    /// There is no port to have.
    pub async fn listen(&self, identity: &str) -> io::Result<Listening> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, self.service(identity)));
        Ok(Listening { address, accepting })
    }
}

async fn accept(listener: TcpListener, service: ApiService) {
    let mut connections = JoinSet::new();
    // Whoever cannot accept any more stops listening: clients see that at once.
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        let answer = service_fn(move |request: Request<Incoming>| service.clone().call(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // That a client or a fault broke the connection is for the client to tell.
        connections.spawn(async move { connection.await.is_ok() });
        while connections.try_join_next().is_some() {}
    }
}
