//! One connection: two pumps, and what strikes it.

use tokio::{
    io::{AsyncRead, AsyncWrite, split},
    net::{TcpStream, UnixStream},
    sync::watch,
};

use crate::{
    faults::{Blow, Counts, Weather},
    mark::Search,
    pump::{Direction, Pump},
};

/// What a connection is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// How bytes travel on it.
    pub(crate) weather: Weather,
    /// Whether it has sent the mark.
    pub(crate) marked: bool,
    /// Whether nothing arrives any more.
    pub(crate) silenced: bool,
    /// How it ends.
    pub(crate) end: Option<Ending>,
}

/// How a connection is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Reset,
}

impl Orders {
    pub(crate) fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Close => self.end = Some(Ending::Close),
            Blow::Reset => self.end = Some(Ending::Reset),
            Blow::Silence => self.silenced = true,
        }
    }
}

/// The server's side.
pub(crate) enum Server {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Joins `client` and `server` until both directions have ended, one breaks, or the orders end it.
pub(crate) async fn run(
    mut client: TcpStream,
    server: Server,
    orders: watch::Receiver<Orders>,
    counts: &watch::Sender<Counts>,
    search: Search,
    found: &(dyn Fn() + Send + Sync),
) {
    match server {
        Server::Tcp(mut server) => {
            if join(&mut client, &mut server, orders, counts, search, found).await == Some(Ending::Reset) {
                reset(&client);
                reset(&server);
            }
        }
        Server::Unix(mut server) => {
            if join(&mut client, &mut server, orders, counts, search, found).await == Some(Ending::Reset) {
                reset(&client);
            }
        }
    }
}

async fn join(
    client: &mut TcpStream,
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut orders: watch::Receiver<Orders>,
    counts: &watch::Sender<Counts>,
    search: Search,
    found: &(dyn Fn() + Send + Sync),
) -> Option<Ending> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = split(server);
    let pump = |direction, search| Pump { direction, orders: orders.clone(), counts, search, found };
    let up = pump(Direction::ToServer, search).run(&mut from_client, &mut to_server);
    let down = pump(Direction::ToClient, Search::new(None)).run(&mut from_server, &mut to_client);
    tokio::select! {
        biased;
        ended = orders.wait_for(|orders| orders.end.is_some()) => ended.ok().and_then(|orders| orders.end),
        pumped = async { tokio::try_join!(up, down) } => {
            if let Err(error) = pumped {
                tracing::debug!(%error, "a connection broke by itself");
            }
            None
        }
    }
}

/// Makes the close that follows a reset.
pub(crate) fn reset(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::warn!(%error, "a connection is closed where it should be reset");
    }
}
