//! Routes from Kubernetes: GatewayRoutes, and EndpointSlices of what they lead to.
//!
//! Flow: [`watch`]es tell what happens -> the [`book`] keeps it and makes the table (pure, [`compile`]) -> the gateway swaps
//! the table in, as it does with an edited file. Which endpoints take requests is Kubernetes' word, so nothing is probed.
//!
//! What is known stays until something else is known: an error empties no table. It is on disk too ([`snapshot`]), for a
//! start while the API server is away. Nothing here writes to the API server. Namespaces do not wait for each other longer
//! than needs be ([`progress`]): one that nobody may list any more stops no gateway.

pub(crate) mod asked;
mod book;
mod compile;
mod progress;
mod slices;
mod snapshot;
mod watch;

use std::{fmt, future, sync::Arc, time::Duration};

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
    progress::{Progress, WATCHES},
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
                    book.load(saved.of(&routes.namespaces));
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
        let mut progress = self.begin(&mut watching, &told);
        // Where there is something to serve before everything was told.
        let mut impatient = self.restored.then(|| Instant::now() + PATIENCE);
        let mut said = None;
        let (mut save_at, mut saving) = (None::<Instant>, JoinSet::new());
        loop {
            tokio::select! {
                first = heard.recv() => {
                    let Some(first) = first else { return };
                    self.take(first, &mut progress);
                    let latest = Instant::now() + TOGETHER;
                    while Instant::now() < latest {
                        let until = latest.min(Instant::now() + QUIET);
                        let Ok(Some(next)) = timeout_at(until, heard.recv()).await else { break };
                        self.take(next, &mut progress);
                    }
                }
                () = come(impatient) => impatient = None,
                () = come(progress.gives_up()) => progress.give_up(),
                () = come(save_at), if saving.is_empty() => {
                    save_at = None;
                    self.save(&mut saving);
                    continue;
                }
                Some(_) = saving.join_next() => continue,
            }
            // Half of what there is is no table, unless the other half is known from before or waited for no more.
            if !self.restored && !progress.is_whole() && !progress.gave_up() {
                continue;
            }
            if let Some((table, news)) = self.book.table_of(|namespace| progress.is_settled(namespace)) {
                gateway.apply(table).await;
                for refused in news {
                    gateway.reload_failed(&refused);
                }
                save_at.get_or_insert_with(|| Instant::now() + SAVE_EVERY);
            }
            let standing = self.standing(&progress, impatient.is_none());
            if standing != said
                && let Some(detail) = &standing
            {
                if !progress.is_whole() {
                    tracing::warn!(why = detail, "routes are served, and not all of them were told");
                } else if said.is_some() {
                    tracing::info!("all routes were told");
                }
                health.set(ROUTES, true, detail.clone());
                said = standing;
            }
        }
    }

    /// What readiness says of the routes; nothing as long as traffic is to wait for them.
    fn standing(&self, progress: &Progress, overdue: bool) -> Option<String> {
        if progress.is_whole() {
            return Some("the API server has told all of them".to_owned());
        }
        let missing = progress.missing();
        if !self.restored {
            let without = || format!("without those of {missing}: their lists are refused");
            return progress.gave_up().then(without);
        }
        overdue.then(|| {
            if progress.has_begun() {
                format!("those of {missing} as they were known before: their lists do not come")
            } else {
                "as they were known before: the API server does not answer".to_owned()
            }
        })
    }

    /// Begins all watches.
    fn begin(&self, watching: &mut JoinSet<()>, told: &mpsc::Sender<Told>) -> Progress {
        let progress = Progress::new(&self.routes.namespaces);
        let component = match self.role {
            Role::Gateway => labels::PROXY,
            Role::ClusterProxy => labels::PODS,
        };
        let mut selector = vec![labels::of_the_product(), format!("{}={component}", labels::COMPONENT)];
        selector.extend(self.routes.name.iter().map(|name| format!("{}={name}", labels::INSTANCE)));
        let selector = selector.join(",");
        for (place, namespace) in progress.namespaces().enumerate() {
            let number = place * WATCHES;
            let (routes, slices) = (api(&self.client, namespace), api(&self.client, namespace));
            let (name, selector) = (self.routes.name.clone(), selector.clone());
            let (one, other) = (told.clone(), told.clone());
            watching.spawn(async move { watch::routes(number, routes, name.as_deref(), one).await });
            watching.spawn(async move { watch::slices(number + 1, slices, &selector, other).await });
        }
        progress
    }

    fn take(&mut self, told: Told, progress: &mut Progress) {
        let book = &mut self.book;
        match told {
            Told::Route(source, asked) => book.route(source, *asked),
            Told::RouteUnreadable(source, key, why) => book.route_unreadable(source, key, why),
            Told::RouteGone(key) => book.route_gone(&key),
            Told::Slice(source, key, slice) => book.slice(source, key, slice),
            Told::SliceGone(key) => book.slice_gone(&key),
            Told::Listed(source, routes) => {
                book.listed(source, routes, progress.namespace(source.watch));
                progress.listed(source.watch);
            }
            Told::Failed(watch, refused) => progress.failed(watch, refused, Instant::now()),
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

/// Comes at `time`; never, where there is none.
async fn come(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
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

#[cfg(test)]
mod tests;
