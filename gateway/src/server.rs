//! Sockets, connections and the way down.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use fundbond_service_runtime::{
    Health, Shutdown,
    absence::notice_absence,
    admin::Admin,
    config::{BindError, EXIT_BAD_CONFIG},
    exit::{self, chain},
    metrics::Catalogue,
    telemetry::{self, LogArgs},
};
use http::header::CONTENT_TYPE;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "kubernetes")]
use crate::kubernetes::{KubernetesSource, NoKubernetes, ROUTES};
use crate::{
    admin,
    config::{Config, RouteSource},
    forward::is_event_stream,
    gateway::Gateway,
    guard::{Guarded, Limits},
    head::Peer,
    live::Live,
    metrics::{self, Metrics, TableCollector},
    record::Ledger,
    source::{FileSource, LoadError},
};

/// How long a client may take to send a head, and to stay idle between two requests.
pub(crate) const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What one connection reads ahead: room for the largest head that the guard passes. A stream keeps two such
/// connections, so this bounds what a stream can cost.
const BUFFER_BYTES: usize = 16 * 1024;

/// Connections that wait to be accepted: a reconnect storm of thousands comes within one accept loop's turn.
/// The kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Accepting fails when descriptors run out; trying again at once would burn a core until some are free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that were cut drop their sockets when their tasks are polled once more.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Names of readiness conditions.
const ENDPOINTS: &str = "endpoints";
const DRAIN: &str = "drain";

/// Why a gateway could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The first route table cannot be had: there is none before it to keep.
    #[error(transparent)]
    Routes(#[from] LoadError),
    /// Nor an API server that would say.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Kubernetes(#[from] NoKubernetes),
    /// The admin server ended.
    #[error("the admin server failed")]
    Admin(#[source] io::Error),
}

impl RunError {
    /// Whether the configuration is to blame.
    pub fn is_bad_config(&self) -> bool {
        match self {
            Self::Routes(_) => true,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => true,
            Self::Bind(_) | Self::Admin(_) => false,
        }
    }
}

/// A gateway that listens and probes, and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    admin: Admin,
    health: Health,
    gateway: Arc<Gateway>,
    source: Option<Source>,
}

/// What tells of new routes.
#[derive(Debug)]
enum Source {
    File(FileSource),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<KubernetesSource>),
}

impl Source {
    /// What readiness waits for.
    fn conditions(&self) -> &'static [&'static str] {
        match self {
            Self::File(_) => &[ENDPOINTS],
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => &[ENDPOINTS, ROUTES],
        }
    }

    #[cfg_attr(
        not(feature = "kubernetes"),
        allow(unused_variables, reason = "only an API server tells all there is")
    )]
    async fn watch(self, gateway: Arc<Gateway>, health: Health) {
        match self {
            Self::File(file) => file.watch(gateway).await,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(source) => source.watch(gateway, health).await,
        }
    }
}

/// Binds, serves and drains: see [`Bound::serve`].
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    bind(config).await?.serve(shutdown).await
}

/// Reads the routes, listens, and begins to probe endpoints. Needs a tokio runtime, of any kind.
///
/// # Errors
/// [`RunError::Routes`] for a table that cannot be had, [`RunError::Bind`] for an address in use.
pub async fn bind(config: Config) -> Result<Bound, RunError> {
    let (source, table) = match config.routes.clone() {
        RouteSource::File(path) => {
            let (file, table) = FileSource::open(path).await?;
            (Some(Source::File(file)), table)
        }
        #[cfg(feature = "kubernetes")]
        RouteSource::Kubernetes(routes) => {
            let (source, table) = KubernetesSource::open(routes, config.role).await?;
            (Some(Source::Kubernetes(Box::new(source))), table)
        }
        RouteSource::Static(table) => (None, table),
    };
    let (listener, address) = listen(config.listen).map_err(|source| BindError {
        what: "requests",
        address: config.listen,
        source,
    })?;
    let live = Arc::new(ArcSwap::from_pointee(Live::new(table, None, &config)));
    let mut catalogue = Catalogue::default();
    let ledger = Arc::new(Ledger::new(Metrics::new(&mut catalogue), config.access_log));
    catalogue.collect(&metrics::COLLECTED, TableCollector(live.clone()));
    let health = Health::waiting_for(source.as_ref().map_or(&[ENDPOINTS], Source::conditions));
    health.started();
    let admin_address = config.admin;
    let gateway = Arc::new(Gateway::new(config, live, ledger));
    let pages = admin::router(gateway.clone());
    let admin =
        Admin::bind(admin_address, health.clone(), Arc::new(catalogue.into_registry()), pages).await?;
    Ok(Bound { listener, address, admin, health, gateway, source })
}

/// Listens with what every accepted socket inherits (on Linux) from its listener: no delay for small frames,
/// and ways to notice a client that vanished.
fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old connections of the port to time out.
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    notice_absence(&socket)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Bound {
    /// Where requests are accepted.
    pub fn service_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where probes, metrics and admin pages are.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.address()
    }

    /// What `/readyz` answers: ready once every endpoint has been, and not while draining.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves until `shutdown` begins; then takes no more connections, lets requests finish for as long as
    /// `drain_grace`, and cuts streams at moments spread over it: their clients come back by themselves.
    ///
    /// # Errors
    /// [`RunError::Admin`].
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { listener, address, admin, health, gateway, source } = self;
        tracing::info!(
            program = gateway.config.role.program(),
            address = %address,
            admin = %admin.address(),
            generation = gateway.live.load().table.generation(),
            "serving"
        );
        let background = CancellationToken::new();
        // Also where this future is dropped instead of finished.
        let _stop = background.clone().drop_guard();
        let until = background.clone();
        if let Some(source) = source {
            let watch = source.watch(gateway.clone(), health.clone());
            tokio::spawn(until.clone().run_until_cancelled_owned(watch));
        }
        tokio::spawn(until.clone().run_until_cancelled_owned(tidy(gateway.clone())));
        tokio::spawn(until.run_until_cancelled_owned(first_sync(gateway.clone(), health.clone())));

        let stop_admin = Shutdown::new();
        let admin = admin.serve(stop_admin.clone());
        tokio::pin!(admin);
        let connections = Connections::new(gateway.clone());
        tokio::select! {
            ended = &mut admin => return ended.map_err(RunError::Admin),
            () = connections.accept(listener, &shutdown) => {}
        }
        health.set(DRAIN, false, "draining");
        let drained = async {
            connections.drain(gateway.config.drain_grace).await;
            stop_admin.begin();
        };
        let ((), ended) = tokio::join!(drained, admin);
        tracing::info!("drained");
        ended.map_err(RunError::Admin)
    }
}

/// Turns readiness green once every endpoint has answered, or has had its time. From then on it stays green
/// whatever endpoints do: taking a gateway out because a cluster is down would take the others down with it.
async fn first_sync(gateway: Arc<Gateway>, health: Health) {
    let deadline = tokio::time::Instant::now() + gateway.config.first_sync_wait;
    let mut news = gateway.live.load().news().listen();
    loop {
        let silent = gateway.live.load().silent();
        if silent.is_empty() {
            health.set(ENDPOINTS, true, "every endpoint has answered");
            return;
        }
        health.set(ENDPOINTS, false, format!("waiting for {}", silent.join(", ")));
        tokio::select! {
            // The sender lives as long as the table, which the gateway holds.
            _ = news.changed() => {}
            () = sleep_until(deadline) => {
                tracing::warn!(endpoints = silent.join(", "), "ready without endpoints that never answered");
                health.set(ENDPOINTS, true, format!("without {}, which never answered", silent.join(", ")));
                return;
            }
        }
    }
}

/// Closes connections to endpoints that nobody needed for a while.
async fn tidy(gateway: Arc<Gateway>) {
    let mut ticks = interval(gateway.config.probe_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = gateway.live.load_full();
        live.endpoints
            .iter()
            .flat_map(|endpoints| endpoints.iter())
            .for_each(|endpoint| endpoint.pool.reap());
    }
}

/// The client connections of one gateway.
struct Connections {
    gateway: Arc<Gateway>,
    tracker: TaskTracker,
    /// No more requests on a connection after the one under way.
    draining: CancellationToken,
    /// Not even that one.
    cut: CancellationToken,
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Connections {
    fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            tracker: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Accepts until `shutdown` begins, then closes the listener.
    async fn accept(&self, listener: TcpListener, shutdown: &Shutdown) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.begun() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: IpAddr) {
        let gateway = self.gateway.clone();
        let (draining, cut) = (self.draining.clone(), self.cut.clone());
        self.tracker.spawn(async move {
            let open = gateway.ledger.metrics.connections.clone();
            open.inc();
            let peer = Peer::new(peer, &gateway.config.trusted_proxies);
            let streams = AtomicBool::new(false);
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = farewell(&draining, &streams, &gateway) => {}
                () = converse(stream, peer, gateway.clone(), draining.clone(), &streams) => {}
            }
            open.dec();
        });
    }

    async fn drain(&self, grace: Duration) {
        self.draining.cancel();
        self.tracker.close();
        if timeout(grace, self.tracker.wait()).await.is_err() {
            tracing::info!(connections = self.tracker.len(), "cutting connections that outlast the drain");
            self.gateway.ledger.cutting.store(true, Relaxed);
            self.cut.cancel();
            if timeout(CUT_GRACE, self.tracker.wait()).await.is_err() {
                tracing::warn!(connections = self.tracker.len(), "connections are still open");
            }
        }
    }
}

/// Comes when a drain takes the stream of a connection from its client: each at a moment of its own, for all that are cut at
/// once come back at once. Never comes to a connection without a stream, whose request may take all of the grace.
async fn farewell(draining: &CancellationToken, streams: &AtomicBool, gateway: &Gateway) {
    draining.cancelled().await;
    sleep(gateway.config.drain_grace.mul_f64(rand::random())).await;
    if !streams.load(Relaxed) {
        std::future::pending::<()>().await;
    }
    gateway.ledger.cutting.store(true, Relaxed);
}

/// One connection to its end; `streams` says whether it is a stream by now.
async fn converse(
    stream: TcpStream,
    peer: Peer,
    gateway: Arc<Gateway>,
    draining: CancellationToken,
    streams: &AtomicBool,
) {
    let guarded = Guarded::new(stream, Limits::USUAL, gateway.ledger.clone());
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        // On the heap, and gone once the head of the answer is known: hyper keeps the room for it as long as
        // the connection lives, and a stream lives long.
        Box::pin(async move {
            let response = gateway.handle(peer, request).await;
            streams.store(is_event_stream(response.headers().get(CONTENT_TYPE)), Relaxed);
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(guarded), service);
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        () = draining.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    if let Err(error) = ended {
        // A client that left, or that speaks no HTTP; the access log tells of requests it interrupted.
        tracing::debug!(error = chain(&error), peer = %peer.ip, "client connection ended");
    }
    // What the HTTP library kept for the connection goes before the lingering.
    let guarded = connection.into_parts().io.into_inner();
    if let Err(error) = guarded.close().await {
        // It left first.
        tracing::debug!(error = chain(&error), peer = %peer.ip, "client connection closed");
    }
}

/// The whole of `main`: logs, a runtime, signals, the gateway, an exit code.
pub fn main(config: Config, log: &LogArgs) -> ExitCode {
    let program = config.role.program();
    if let Err(error) = telemetry::init(log) {
        return exit::fail(program, &error, EXIT_BAD_CONFIG);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::fail(program, &error, 1),
    };
    runtime.block_on(async {
        let shutdown = match Shutdown::on_signals() {
            Ok(shutdown) => shutdown,
            Err(error) => return exit::fail(program, &error, 1),
        };
        match run(config, shutdown).await {
            Err(error) if error.is_bad_config() => exit::fail(program, &error, EXIT_BAD_CONFIG),
            result => exit::report(program, result),
        }
    })
}

#[cfg(test)]
mod tests {
    use fundbond_service_runtime::absence;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_accepted_socket_inherits_the_options_of_its_listener() {
        let (listener, address) = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpStream::connect(address);
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (_client, (accepted, _)) = (client.unwrap(), accepted.unwrap());
        let options = socket2::SockRef::from(&accepted);
        assert!(options.tcp_nodelay().unwrap() && options.keepalive().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), absence::SILENCE);
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(absence::UNACKNOWLEDGED));
    }
}
