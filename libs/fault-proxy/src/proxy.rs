//! The proxy itself: its door, its connections, and the handles on both.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UnixStream},
    sync::{Mutex as AsyncMutex, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    connection::{self, Orders, Server},
    faults::{Blow, Counts, Door, Upstream, Weather, Which},
    mark::Search,
};

/// Connections the kernel keeps until they are accepted: more than any storm a test makes.
const BACKLOG: u32 = 1024;

/// Pause after a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A proxy that serves. Dropping it cuts everything.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Holds the port while the door is closed. Bound and never listening.
    _reserved: TcpSocket,
    door: AsyncMutex<Option<JoinHandle<()>>>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    mark: Option<Arc<[u8]>>,
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    door: Door,
    unmarked: Weather,
    marked: Weather,
    /// The next connection's number.
    next: u64,
    connections: HashMap<u64, watch::Sender<Orders>>,
}

impl State {
    fn weather(&self, marked: bool) -> Weather {
        if marked { self.marked } else { self.unmarked }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means a panic elsewhere; the state itself is always whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// Listens on any port of 127.0.0.1 (inside a Tokio runtime) and passes everything on to `upstream`, until told otherwise.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start(upstream: Upstream) -> io::Result<Self> {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), upstream, None)
    }

    /// The same, and marks each connection whose client sends the bytes `mark`, wherever they are cut.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn marking(upstream: Upstream, mark: &[u8]) -> io::Result<Self> {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), upstream, Some(mark.into()))
    }

    /// The same on `address` (port 0: any).
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub fn listen(address: SocketAddr, upstream: Upstream, mark: Option<Arc<[u8]>>) -> io::Result<Self> {
        let reserved = bind(address)?;
        let address = reserved.local_addr()?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            upstream,
            mark,
            state: Mutex::default(),
            counts: watch::Sender::default(),
            stop: stop.clone(),
        });
        let accepting = tokio::spawn(accept(bind(address)?.listen(BACKLOG)?, shared.clone()));
        let door = AsyncMutex::new(Some(accepting));
        Ok(Self { shared, address, _reserved: reserved, door, _stop: stop.drop_guard() })
    }

    /// Where clients go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens or closes the door. It is so once this returns.
    ///
    /// # Errors
    /// Where the port cannot be listened on again.
    pub async fn door(&self, door: Door) -> io::Result<()> {
        let mut accepting = self.door.lock().await;
        self.shared.state().door = door;
        match (door, accepting.take()) {
            (Door::Closed, Some(task)) => {
                task.abort();
                // The listener is closed once the task is gone.
                let _ = task.await;
            }
            (Door::Closed, None) => {}
            (Door::Open | Door::Resetting, Some(task)) => *accepting = Some(task),
            (Door::Open | Door::Resetting, None) => {
                let listener = bind(self.address)?.listen(BACKLOG)?;
                *accepting = Some(tokio::spawn(accept(listener, self.shared.clone())));
            }
        }
        Ok(())
    }

    /// Changes the weather for open connections and new ones.
    pub fn weather(&self, which: Which, weather: Weather) {
        let mut state = self.shared.state();
        if which.includes(true) {
            state.marked = weather;
        }
        if which.includes(false) {
            state.unmarked = weather;
        }
        for orders in state.connections.values() {
            orders.send_if_modified(|orders| {
                let concerned = which.includes(orders.marked) && orders.weather != weather;
                if concerned {
                    orders.weather = weather;
                }
                concerned
            });
        }
    }

    /// Strikes open connections, and says how many.
    pub fn strike(&self, which: Which, blow: Blow) -> usize {
        let state = self.shared.state();
        let struck = state.connections.values().filter(|orders| {
            orders.send_if_modified(|orders| {
                let concerned = which.includes(orders.marked);
                if concerned {
                    orders.strike(blow);
                }
                concerned
            })
        });
        struck.count()
    }

    /// What has happened.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until what has happened is `enough`.
    pub async fn until(&self, enough: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        let counted = counts.wait_for(enough).await.map(|counts| *counts);
        // The sender lives in `self`.
        counted.unwrap_or_else(|_| self.counts())
    }
}

/// A socket on `address` that shares it with others of this proxy, which alone know of it.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((client, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let stop = shared.stop.clone();
                    stop.run_until_cancelled(serve(client, &shared)).await
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(client: TcpStream, shared: &Arc<Shared>) {
    shared.counts.send_modify(|counts| counts.arrived += 1);
    if shared.state().door != Door::Open {
        shared.counts.send_modify(|counts| counts.reset_at_the_door += 1);
        return connection::reset(&client);
    }
    let server = match reach(&shared.upstream).await {
        Ok(server) => server,
        Err(error) => {
            tracing::debug!(%error, "no server behind");
            shared.counts.send_modify(|counts| counts.without_server += 1);
            return connection::reset(&client);
        }
    };
    if let Err(error) = client.set_nodelay(true) {
        tracing::debug!(%error, "a socket option could not be set");
    }
    let listed = Listed::new(shared.clone());
    let (orders, number) = (listed.orders.clone(), listed.number);
    let found = || {
        let state = shared.state();
        let weather = state.weather(true);
        if let Some(orders) = state.connections.get(&number) {
            orders.send_modify(|orders| {
                orders.marked = true;
                orders.weather = weather;
            });
        }
        drop(state);
        // Last: who waits for the mark finds the connection marked.
        shared.counts.send_modify(|counts| counts.marked += 1);
    };
    connection::run(client, server, orders, &shared.counts, Search::new(shared.mark.clone()), &found).await;
}

async fn reach(upstream: &Upstream) -> io::Result<Server> {
    Ok(match upstream {
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            Server::Tcp(server)
        }
        Upstream::Unix(path) => Server::Unix(UnixStream::connect(path).await?),
    })
}

/// Keeps a connection on the list while it is open.
struct Listed {
    shared: Arc<Shared>,
    number: u64,
    orders: watch::Receiver<Orders>,
}

impl Listed {
    fn new(shared: Arc<Shared>) -> Self {
        let mut state = shared.state();
        let number = state.next;
        state.next += 1;
        let (sender, orders) = watch::channel(Orders { weather: state.weather(false), ..Orders::default() });
        state.connections.insert(number, sender);
        drop(state);
        shared.counts.send_modify(|counts| counts.open += 1);
        Self { shared, number, orders }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.state().connections.remove(&self.number);
        self.shared.counts.send_modify(|counts| counts.open -= 1);
    }
}
