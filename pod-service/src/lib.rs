//! The pod: accepts tasks, runs them, and holds the streams on which people watch them.
//!
//! Flow of a task: `http/fund_api` checks it, writes it down with its request and answers 202 -> the [`runner`] of any
//! pod of the cluster claims it and runs it chunk by chunk on calculation threads -> each event goes to the store, which
//! puts it into a log and tells whichever pod holds the stream.
//!
//! Flow of a stream: `http/fund_events` -> [`stream::open`] registers and replays -> the [`stream::hub`]
//! writes live events -> a driver per stream does what waits: pages after a gap, heartbeats, the end.
//!
//! A pod never decides whether an event is its own (the store publishes to the holder), never waits for a
//! slow client, never queues without a bound, and never ends without draining.

mod backoff;
mod blocking;
pub mod config;
mod housekeeping;
mod http;
mod identity;
mod intake;
#[cfg(feature = "kubernetes")]
mod lease;
mod metrics;
mod pod;
mod runner;
mod server;
mod stream;
mod users;
mod work;

pub use config::{Config, LiveSettings, Program, Settings};
pub use http::document as openapi;
#[cfg(feature = "kubernetes")]
pub use lease::{LeaseRefused, open as open_lease};
pub use metrics::described as described_metrics;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use fundbond_lease::LeaseStore;
use fundbond_service_runtime::{
    Health, Shutdown,
    admin::Admin,
    config::{BindError, admin_port, bind},
    exit::chain,
};
use fundbond_store::{Store, StoreError, Subscription};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    config::{Live, LiveFile},
    housekeeping::{Housekeeper, Watched},
    identity::Identity,
    intake::Intake,
    pod::{Pod, STORE},
    runner::Runner,
};

/// Time after the drain's deadline for the last words: final events of tasks that ran out of time, and the
/// last bytes of streams.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a pod cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its settings contradict each other.
    #[error(transparent)]
    Settings(#[from] config::Contradiction),
    /// The file of those that may change is not there, or says what cannot be.
    #[error(transparent)]
    Live(#[from] config::LiveError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system gives no random bytes for the pod's id.
    #[error("cannot draw a pod id")]
    Random(#[source] std::io::Error),
    /// The store has no such address.
    #[error(transparent)]
    Address(#[from] fundbond_store::redis::AddressError),
    /// The store does not answer.
    #[error("cannot start without the store")]
    Store(#[from] StoreError),
    /// The admin server broke.
    #[error("the admin server ended")]
    Admin(#[source] std::io::Error),
}

/// A pod that listens, but does not serve yet.
#[derive(Debug)]
pub struct PodService {
    pod: Arc<Pod>,
    listener: TcpListener,
    address: SocketAddr,
    admin: Admin,
    /// Its ears, where it is known to its store already.
    subscription: Option<Subscription>,
    /// What tells it new settings.
    live_file: Option<LiveFile>,
    foreign: stream::foreign::Receiver,
    answers: stream::inquiries::Receiver,
}

impl PodService {
    /// Binds the addresses and takes an id. The store may still be away; the lease of the cluster's housekeeper is there,
    /// too.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn bind(config: Config, store: Arc<dyn Store>) -> Result<Self, RunError> {
        let lease = store.lease(&housekeeping::lease_name(&config.cluster_id));
        Self::bind_with_lease(config, store, lease).await
    }

    /// The same, where that lease is elsewhere.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn bind_with_lease(
        config: Config,
        store: Arc<dyn Store>,
        lease: Arc<dyn LeaseStore>,
    ) -> Result<Self, RunError> {
        config.settings.housekeeping.check()?;
        let (live_file, live) = match config.live_settings {
            Some(path) => {
                let (file, live) = LiveFile::open(path, config.settings.live).await?;
                (Some(file), live)
            }
            None => (None, Live::fixed(config.settings.live)),
        };
        let listener = bind("streams and tasks", (config.host, config.port).into()).await?;
        let address = listener.local_addr().map_err(|source| BindError {
            what: "streams and tasks",
            address: (config.host, config.port).into(),
            source,
        })?;
        let health = Health::waiting_for(&["drain", STORE]);
        let streams = Arc::default();
        let (metrics, catalogue) = metrics::of(&streams);
        let registry = Arc::new(catalogue.into_registry());
        store.observe(metrics.store.clone());
        let admin_port = admin_port(config.port, config.admin_port);
        let admin =
            Admin::bind((config.host, admin_port).into(), health.clone(), registry, axum::Router::new())
                .await?;
        let host = config.node_name.unwrap_or_else(host_name);
        let identity = Identity::new(host, address.port()).map_err(RunError::Random)?;
        let (foreign, taken) = stream::foreign::Desk::new();
        let (inquiries, answers) = stream::inquiries::Inquiries::new();
        let pod = Arc::new(Pod {
            identity,
            cluster: config.cluster_id,
            store,
            lease: Arc::new(Watched::new(lease, config.settings.housekeeping.lease_duration)),
            streams,
            foreign,
            inquiries,
            runner: Runner::default(),
            intake: Intake::new(config.settings.max_body),
            metrics,
            settings: config.settings,
            live,
            health,
            draining: Shutdown::new(),
            stopped: Shutdown::new(),
            reassert: tokio::sync::Notify::new(),
            doubt: tokio::sync::Notify::new(),
        });
        Ok(Self { pod, listener, address, admin, subscription: None, live_file, foreign: taken, answers })
    }

    /// Makes the pod known to its store now. [`serve`](Self::serve) does it otherwise, and waits unready for a store
    /// that is away; this is for whoever would rather not start then.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub async fn introduce(&mut self) -> Result<(), RunError> {
        self.subscription = Some(introduce(&self.pod).await?);
        Ok(())
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its probes and metrics are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Its readable id.
    pub fn display_id(&self) -> String {
        self.pod.identity.id().display_id().to_owned()
    }

    /// Serves until `shutdown` begins, then drains: unready, streams sent away over half the grace, unfinished tasks given
    /// back to the cluster at once. Where nobody shares the store, tasks may use all of the grace, and fail at its end.
    ///
    /// # Errors
    /// Where the admin server broke; everything else ends in order.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { pod, listener, address, admin, subscription, live_file, foreign, answers } = self;
        let deadline = CancellationToken::new();
        let (closing, after) = (Shutdown::new(), Shutdown::new());
        let mut background = JoinSet::new();
        background.spawn(live(pod.clone(), subscription));
        background.spawn(stream::foreign::run(pod.clone(), foreign));
        background.spawn(stream::inquiries::run(pod.clone(), answers));
        background.spawn(runner::recall::run(pod.clone()));
        background.spawn(watch_gauges(pod.clone()));
        if let Some(file) = live_file {
            background.spawn(follow(pod.clone(), file));
        }
        background.spawn(housekeeper(&pod).run(pod.draining.clone()));
        let runs = tokio::spawn(runner::claim_and_run(pod.clone(), deadline.clone()));
        let admin = tokio::spawn(admin.serve(after.clone()));
        let server =
            tokio::spawn(server::serve(listener, http::router(pod.clone()), closing.clone(), LAST_WORDS));
        pod.health.set("drain", true, "serving");
        pod.health.started();
        tracing::info!(%address, pod = %pod.identity.id(), cluster = %pod.cluster, "pod serves");

        shutdown.begun().await;
        drain(&pod, &deadline).await;
        let _ = tokio::time::timeout(LAST_WORDS, runs).await;
        closing.begin();
        // A panic there has told itself; what is left to do is to end in order.
        let _ = server.await;
        pod.stopped.begin();
        while background.join_next().await.is_some() {}
        if let Err(error) = pod.store.leave(&pod.identity.id(), &pod.cluster).await {
            tracing::warn!(error = chain(&error), "left without a word to the store; it will notice");
        }
        after.begin();
        match admin.await {
            Ok(result) => result.map_err(RunError::Admin),
            Err(error) => Err(RunError::Admin(std::io::Error::other(error))),
        }
    }
}

/// The pod's candidate for the housekeeping of its cluster.
fn housekeeper(pod: &Pod) -> Housekeeper {
    Housekeeper {
        store: pod.store.clone(),
        lease: pod.lease.clone(),
        cluster: pod.cluster.clone(),
        names: pod.identity.watch(),
        settings: pod.settings.housekeeping,
        metrics: pod.metrics.sweep.clone(),
    }
}

/// Health before the first registration, and ears before the first event.
async fn introduce(pod: &Pod) -> Result<Subscription, StoreError> {
    pod.revive().await?;
    pod.store.subscribe(&pod.identity.id()).await
}

/// The same, however long the store is away.
async fn meet(pod: &Pod) -> Subscription {
    let mut backoff = Backoff::default();
    loop {
        match introduce(pod).await {
            Ok(subscription) => return subscription,
            Err(error) => {
                pod.health.degrade(STORE, chain(&error));
                backoff.failed("introduction", &error);
                backoff.wait().await;
            }
        }
    }
}

/// Hears the store and repeats to it what the pod holds, once it was there for the first time, until the pod stops.
async fn live(pod: Arc<Pod>, introduced: Option<Subscription>) {
    let subscription = tokio::select! {
        subscription = async { if let Some(known) = introduced { known } else { meet(&pod).await } } => subscription,
        () = pod.stopped.begun() => return,
    };
    // Streams that were opened before the pod had ears may have missed something.
    pod.streams.gap();
    let mut life = JoinSet::new();
    life.spawn(stream::hub::run(pod.clone(), subscription));
    life.spawn(pod.keep_alive());
    while life.join_next().await.is_some() {}
}

/// Waits until streams and tasks are gone, or the grace is over.
async fn drain(pod: &Arc<Pod>, deadline: &CancellationToken) {
    let begun = Instant::now();
    tracing::info!(streams = pod.streams.len(), tasks = pod.runner.busy(), "draining");
    pod.health.set("drain", false, "draining");
    pod.draining.begin();
    let empty = async {
        runner::idle(pod).await;
        while !pod.streams.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The last words must fit into the grace, too.
    let grace = pod.live.now().drain_grace.saturating_sub(LAST_WORDS);
    if tokio::time::timeout(grace, empty).await.is_err() {
        tracing::warn!(streams = pod.streams.len(), tasks = pod.runner.busy(), "out of time");
    }
    deadline.cancel();
    tracing::info!(seconds = begun.elapsed().as_secs_f64(), "drained");
}

/// Hears of new settings, until the pod stops.
async fn follow(pod: Arc<Pod>, file: LiveFile) {
    tokio::select! {
        () = file.follow(&pod.metrics) => {}
        () = pod.stopped.begun() => {}
    }
}

/// Gauges are read from what they gauge, so that they cannot drift from it.
async fn watch_gauges(pod: Arc<Pod>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = pod.stopped.begun() => return,
        }
        pod.metrics.tasks_waiting.set(i64::try_from(pod.runner.recall.waiting()).unwrap_or(i64::MAX));
    }
}

fn host_name() -> String {
    // An unnamed host still gets a legal id.
    fundbond_service_runtime::config::host_name().unwrap_or_default()
}
