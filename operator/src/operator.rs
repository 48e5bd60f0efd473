//! Wires the parts: watches fill the cache and the queue, workers empty the queue while this operator leads.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use fundbond_desired::Site;
use fundbond_lease::{Elector, LeaseStore, Timing};
use fundbond_service_runtime::{
    Health, Shutdown, admin::Admin, config::BindError, exit::chain, metrics::Catalogue,
};
use kube::Client;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, interval},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    acknowledged::Acknowledgements,
    announce::Announcer,
    api::Server,
    backoff,
    cache::Cache,
    config::Config,
    failure::Failure,
    fence::Fence,
    gateways::Gateways,
    leader::Leader,
    metrics::{Metrics, Sizes},
    polls::Polls,
    proxies::Proxies,
    queue::Queue,
    reconcile::{Next, Reconciler},
    reports::Reports,
    rounds::Rounds,
    seen::Key,
    watch::Watch,
    watches::Watches,
};

/// FundClusters that are looked at at the same time: enough that one slow answer keeps nobody waiting, few enough that a
/// server which comes back is not run over.
const WORKERS: usize = 8;

/// How often it is looked whether the watches have told everything: until they have, once.
const LOOK: Duration = Duration::from_millis(50);

/// Conditions of readiness.
const WATCHES: &str = "watches";

/// What an operator speaks to.
pub struct Surroundings {
    /// The API server, for reading. It asks each thing once.
    pub client: Client,
    /// The same for writing, which it does only through `fence`.
    pub writer: Client,
    /// What stands in the way of its writes.
    pub fence: Fence,
    /// Where operators agree on who leads.
    pub lease: Arc<dyn LeaseStore>,
    /// Who asks clusters how they are.
    pub proxies: Arc<dyn Proxies>,
    /// Who asks gateways which routes they have.
    pub gateways: Arc<dyn Gateways>,
    /// A name that no two starts share.
    pub identity: String,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// An operator, bound and not yet running.
pub struct Operator {
    admin: Admin,
    health: Health,
    elector: Elector,
    leader: Leader,
    watches: Vec<Watch>,
    core: Arc<Core>,
}

/// What the workers share.
struct Core {
    reconciler: Reconciler,
    cache: Arc<Cache>,
    queue: Arc<Queue<Key>>,
    metrics: Arc<Metrics>,
    rounds: Rounds,
    polls: Polls,
}

/// Why an operator ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its admin port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Probes and metrics.
    #[error("the admin server failed")]
    Admin(#[source] std::io::Error),
    /// A part of it panicked, which the log has told.
    #[error("a part of the operator failed")]
    Part(#[source] JoinError),
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl Operator {
    /// Binds the admin port and puts everything together. Nothing is asked yet.
    ///
    /// # Errors
    /// The admin port cannot be bound.
    pub async fn bind(config: Config, surroundings: Surroundings) -> Result<Self, RunError> {
        let Surroundings { client, writer, fence, lease, proxies, gateways, identity } = surroundings;
        let mut catalogue = Catalogue::default();
        let metrics = Arc::new(Metrics::new(&mut catalogue));
        let namespaces = config.watch_namespaces.iter().map(ToString::to_string).collect();
        let watches = Arc::new(Watches::new(namespaces));
        let cache = Arc::new(Cache::new(watches.len()));
        let queue = Arc::new(Queue::default());
        catalogue.collect(&Sizes::METRICS, Sizes { cache: cache.clone(), queue: queue.clone() });
        let health = Health::waiting_for(&[WATCHES]);
        let address = SocketAddr::new(config.host, config.admin_port);
        let registry = Arc::new(catalogue.into_registry());
        let admin = Admin::bind(address, health.clone(), registry, Router::new()).await?;
        let (elector, told) = Elector::new(identity.clone(), Timing::USUAL, lease);
        fence.asks(told.clone());
        let all = watches.all().map(|(id, subject, namespace)| Watch {
            id,
            subject,
            namespace,
            client: client.clone(),
            cache: cache.clone(),
            metrics: metrics.clone(),
        });
        let all = all.collect();
        let reports = Arc::new(Reports::default());
        let acknowledged = Arc::new(Acknowledgements::default());
        let reconciler = Reconciler {
            cache: cache.clone(),
            server: Server::new(client, writer.clone()),
            announcer: Announcer::new(writer, &identity),
            metrics: metrics.clone(),
            watches,
            reports: reports.clone(),
            acknowledged: acknowledged.clone(),
            site: Site {
                registry: config.image_registry,
                version: config.image_tag,
                gateway_networks: config.gateway_networks,
                runbooks: config.runbooks,
            },
            orphaned: Mutex::default(),
        };
        let polls = Polls {
            cache: cache.clone(),
            queue: queue.clone(),
            acknowledged,
            gateways,
            metrics: metrics.clone(),
        };
        let rounds =
            Rounds { cache: cache.clone(), queue: queue.clone(), reports, proxies, metrics: metrics.clone() };
        let core = Arc::new(Core { reconciler, cache, queue, metrics, rounds, polls });
        Ok(Self { admin, health, elector, leader: Leader::new(told), watches: all, core })
    }

    /// Where probes and metrics are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Works until `shutdown` begins: then it finishes what it is at, and gives the lease back. Where it is dropped, it stops
    /// wherever it is, as a process that is killed.
    ///
    /// # Errors
    /// A part of it failed for good.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { admin, health, elector, leader, watches, core } = self;
        tracing::info!(admin = %admin.address(), "operator started");
        health.started();
        let served = Shutdown::new();
        let admin = AbortOnDropHandle::new(tokio::spawn(admin.serve(served.clone())));

        // Watches have nothing to finish: they are dropped at the end.
        let mut watching = JoinSet::new();
        for watch in watches {
            let (queue, leader) = (core.queue.clone(), leader.clone());
            // Who does not lead has nothing to do. Who begins to lead looks at everything.
            watching.spawn(watch.run(move |key| {
                if leader.leads() {
                    queue.add(key);
                }
            }));
        }
        let mut working = JoinSet::new();
        working.spawn(core.clone().begin(leader.clone(), health, shutdown.clone()));
        for _ in 0..WORKERS {
            working.spawn(core.clone().work(leader.clone(), shutdown.clone()));
        }
        // The lease is held until the last write is done.
        let done = Shutdown::new();
        let until = done.clone();
        let electing = AbortOnDropHandle::new(tokio::spawn(elector.run(async move { until.begun().await })));

        let mut failed = None;
        loop {
            tokio::select! {
                worked = working.join_next() => match worked {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        failed = Some(error);
                        break;
                    }
                },
                Some(Err(error)) = watching.join_next() => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(working);
        drop(watching);
        done.begin();
        let elected = electing.await;
        served.begin();
        admin.await.map_err(RunError::Part)?.map_err(RunError::Admin)?;
        match failed.map_or(elected, Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(RunError::Part(error)),
        }
    }
}

impl Core {
    /// Looks at everything whenever this operator begins to lead.
    async fn begin(self: Arc<Self>, mut leader: Leader, health: Health, shutdown: Shutdown) {
        tokio::select! {
            () = self.follow(&mut leader, &health) => {}
            () = shutdown.begun() => {}
        }
        health.set(WATCHES, false, "shutting down");
    }

    async fn follow(&self, leader: &mut Leader, health: &Health) {
        let mut look = interval(LOOK);
        while !self.cache.is_complete() {
            look.tick().await;
        }
        let (clusters, children) = self.cache.sizes();
        health.set(WATCHES, true, format!("{clusters} FundClusters and {children} children at the start"));
        loop {
            leader.begins().await;
            self.metrics.leads(true);
            for key in self.cache.keys() {
                self.queue.add(key);
            }
            tokio::select! {
                () = leader.ends() => {}
                () = self.rounds.run() => {}
                () = self.polls.run() => {}
            }
            self.metrics.leads(false);
            // By the time it leads again, others have told what was heard since.
            self.polls.acknowledged.forget();
            self.rounds.reports.keep(|_| false);
        }
    }

    /// Looks at one FundCluster after the other.
    async fn work(self: Arc<Self>, leader: Leader, shutdown: Shutdown) {
        while let Some(key) = self.queue.next(&shutdown).await {
            if leader.leads() && self.cache.is_complete() {
                self.look(&key).await;
            }
            self.queue.done(&key);
        }
    }

    async fn look(&self, key: &Key) {
        let began = Instant::now();
        let result = self.reconciler.look(key, |other| self.queue.add(other)).await;
        let time = began.elapsed();
        match result {
            Ok(next) => {
                self.metrics.reconciled(if next == Next::Waits { "waits" } else { "done" }, time);
                self.queue.succeeded(key);
                if let Next::After(delay) = next {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            // Who leads now looks at it.
            Err(Failure::NotLeading) => self.metrics.reconciled("not_leading", time),
            Err(Failure::NamespaceLeaves(_)) => {
                self.metrics.reconciled("namespace_leaves", time);
                self.queue.succeeded(key);
            }
            Err(failure) => {
                self.metrics.reconciled(failure.kind(), time);
                let failures = self.queue.failed(key);
                let delay = backoff::after(&failure, failures);
                match failure {
                    // Two have met, as they do.
                    Failure::Conflict(_) | Failure::Absent(_) if failures < 5 => {
                        tracing::debug!(cluster = %key, failures, error = chain(&failure), "looking again");
                    }
                    _ if failures.is_power_of_two() => {
                        tracing::warn!(cluster = %key, failures, error = chain(&failure), "cannot be finished; trying again");
                    }
                    _ => {}
                }
                self.queue.add_after(key.clone(), delay);
            }
        }
    }
}
