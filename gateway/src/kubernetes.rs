//! Routes from Kubernetes: GatewayRoutes, and EndpointSlices of what they lead to.
//!
//! Flow: [`watch`]es tell what happens -> the [`book`] keeps it and makes the table (pure, [`compile`]) -> the gateway swaps
//! the table in, as it does with an edited file. Which endpoints take requests is Kubernetes' word, so nothing is probed.
//!
//! What is known stays until something else is known: an error empties no table. It is on disk too ([`snapshot`]), for a
//! start while the API server is away. Nothing here writes to the API server.

pub(crate) mod asked;
mod book;
mod compile;
mod slices;
mod snapshot;
mod watch;

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use fundbond_crds::labels;
use fundbond_service_runtime::{Health, exit::chain};
use kube::{Client, Config as Access, client::ClientBuilder};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

pub use self::asked::KubernetesRoutes;
use self::{
    book::Book,
    watch::{Told, api},
};
use crate::{decide::RouteTable, gateway::Gateway, role::Role};

/// The condition of readiness.
pub(crate) const ROUTES: &str = "routes";

/// Changes that come together are one table: a Deployment that rolls changes its slices several times in a moment. So long
/// nothing else may come for a table to be made,
const QUIET: Duration = Duration::from_millis(2);

/// and so long after the first change it is made anyway, whatever else comes.
const TOGETHER: Duration = Duration::from_millis(10);

/// What is told waits here while a table is made.
const ROOM: usize = 1_024;

/// Between two snapshots: a change that is not on disk yet is asked for at the next start anyway.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// How long a start waits for the API server where there is a snapshot to serve from.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that takes longer is tried again.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection on which nothing came for so long is cut: longer than a watch is quiet, which the server ends after
/// 200 s.
const SILENCE: Duration = Duration::from_secs(230);

/// There is no API server to ask.
#[derive(Debug, thiserror::Error)]
pub enum NoKubernetes {
    /// This process is in no pod and has no kubeconfig.
    #[error(
        "routes come from Kubernetes, and there is neither a kubeconfig nor a pod's service account: give a route file"
    )]
    Nowhere(#[source] kube::config::InferConfigError),
    /// Its address or its credentials are unusable.
    #[error("the API server cannot be asked")]
    Client(#[source] kube::Error),
    /// A cluster proxy has one route.
    #[error("a cluster proxy needs --route-name (FUND_ROUTE_NAME): the name of its FundCluster")]
    Nameless,
}

/// Routes that are followed.
pub(crate) struct KubernetesSource {
    routes: KubernetesRoutes,
    client: Client,
    role: Role,
    book: Book,
    /// Whether there is something to serve before anybody answers.
    restored: bool,
}

impl fmt::Debug for KubernetesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesSource").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl KubernetesSource {
    /// Takes up the snapshot, if there is one. Nobody is asked yet.
    pub(crate) async fn open(
        routes: KubernetesRoutes,
        role: Role,
    ) -> Result<(Self, RouteTable), NoKubernetes> {
        if role == Role::ClusterProxy && routes.name.is_none() {
            return Err(NoKubernetes::Nameless);
        }
        let client = match &routes.client {
            Some(client) => client.clone(),
            None => client().await?,
        };
        let mut book = Book::new(role);
        let mut restored = false;
        if let Some(folder) = &routes.snapshot {
            match snapshot::read(folder).await {
                Ok(Some(saved)) => {
                    book.load(saved);
                    restored = true;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "starting without what was known before");
                }
            }
        }
        let table = book.table().map_or_else(RouteTable::default, |(table, _)| table);
        Ok((Self { routes, client, role, book, restored }, table))
    }

    /// Applies what happens until it is dropped.
    pub(crate) async fn watch(mut self, gateway: Arc<Gateway>, health: Health) {
        let (told, mut heard) = mpsc::channel(ROOM);
        let mut watching = JoinSet::new();
        let lists = self.begin(&mut watching, &told);
        let mut listed = HashSet::new();
        let impatient = Instant::now() + PATIENCE;
        let (mut save_at, mut saving) = (None::<Instant>, JoinSet::new());
        loop {
            let synced = listed.len() == lists;
            tokio::select! {
                first = heard.recv() => {
                    let Some(first) = first else { return };
                    self.take(first, &mut listed);
                    let latest = Instant::now() + TOGETHER;
                    while Instant::now() < latest {
                        let until = latest.min(Instant::now() + QUIET);
                        let Ok(Some(next)) = timeout_at(until, heard.recv()).await else { break };
                        self.take(next, &mut listed);
                    }
                }
                () = sleep_until(impatient), if self.restored && !synced => {
                    self.restored = false;
                    tracing::warn!("the API server does not answer; serving what was known before");
                    health.set(ROUTES, true, "as they were known before: the API server does not answer");
                    continue;
                }
                () = async { sleep_until(save_at.unwrap_or_else(Instant::now)).await },
                    if save_at.is_some() && saving.is_empty() =>
                {
                    save_at = None;
                    self.save(&mut saving);
                    continue;
                }
                Some(_) = saving.join_next() => continue,
            }
            // Half a list is no table: what it does not name yet may be there.
            if listed.len() < lists {
                continue;
            }
            if let Some((table, news)) = self.book.table() {
                gateway.apply(table).await;
                for refused in news {
                    gateway.reload_failed(&refused);
                }
                save_at.get_or_insert_with(|| Instant::now() + SAVE_EVERY);
            }
            if !synced {
                self.restored = false;
                health.set(ROUTES, true, "the API server has told all of them");
            }
        }
    }

    /// Begins all watches; answers how many.
    fn begin(&self, watching: &mut JoinSet<()>, told: &mpsc::Sender<Told>) -> usize {
        let everywhere = [None];
        let some: Vec<_> = self.routes.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect();
        let places: &[Option<&str>] = if some.is_empty() { &everywhere } else { &some };
        let component = match self.role {
            Role::Gateway => labels::PROXY,
            Role::ClusterProxy => labels::PODS,
        };
        let mut selector = vec![labels::of_the_product(), format!("{}={component}", labels::COMPONENT)];
        selector.extend(self.routes.name.iter().map(|name| format!("{}={name}", labels::INSTANCE)));
        let selector = selector.join(",");
        let mut number = 0;
        for place in places {
            let (routes, slices) = (api(&self.client, *place), api(&self.client, *place));
            let (name, selector) = (self.routes.name.clone(), selector.clone());
            let (one, other) = (told.clone(), told.clone());
            watching.spawn(async move { watch::routes(number, routes, name.as_deref(), one).await });
            watching.spawn(async move { watch::slices(number + 1, slices, &selector, other).await });
            number += 2;
        }
        number
    }

    fn take(&mut self, told: Told, listed: &mut HashSet<usize>) {
        let book = &mut self.book;
        match told {
            Told::Route(source, asked) => book.route(source, *asked),
            Told::RouteUnreadable(source, key, why) => book.route_unreadable(source, key, why),
            Told::RouteGone(key) => book.route_gone(&key),
            Told::Slice(source, key, slice) => book.slice(source, key, slice),
            Told::SliceGone(key) => book.slice_gone(&key),
            Told::Listed(source, routes) => {
                book.listed(source, routes);
                listed.insert(source.watch);
            }
        }
    }

    /// Begins to write what is known; changes do not wait for it.
    fn save(&self, saving: &mut JoinSet<()>) {
        let Some(folder) = self.routes.snapshot.clone() else { return };
        let book = self.book.save();
        saving.spawn(async move {
            if let Err(error) = snapshot::write(folder, book).await {
                tracing::warn!(error = chain(&error), "cannot keep what is known for the next start");
            }
        });
    }
}

/// The API server of this process's surroundings.
async fn client() -> Result<Client, NoKubernetes> {
    let mut access = Access::infer().await.map_err(NoKubernetes::Nowhere)?;
    // Each failure is seen and waited for here.
    access.default_retry = false;
    access.connect_timeout = Some(CONNECT);
    access.read_timeout = Some(SILENCE);
    Ok(ClientBuilder::try_from(access).map_err(NoKubernetes::Client)?.build())
}
