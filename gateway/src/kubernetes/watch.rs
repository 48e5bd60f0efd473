//! Listens to the API server, for as long as there is one and again when it is back.

use std::{fmt::Debug, time::Duration};

use fundbond_crds::GatewayRoute;
use fundbond_service_runtime::exit::chain;
use futures::TryStreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::watcher::{self, Event, watcher},
};
use rand::RngExt as _;
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, time::sleep};

use super::{
    book::{Asked, Key, Source},
    slices::Slice,
};

/// The server ends a watch after so many seconds, and it is begun again where it was.
const WATCH_SECONDS: u32 = 200;

/// Objects in one answer to a list.
const PAGE_SIZE: u32 = 500;

/// How long to wait after a failure at first, and at most: a server that comes back is found soon, and not run over.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the API server says.
pub(super) enum Told {
    Route(Source, Box<Asked>),
    RouteUnreadable(Source, Key, String),
    RouteGone(Key),
    Slice(Source, Key, Slice),
    SliceGone(Key),
    /// The list of a watch is over: of routes, or of slices.
    Listed(Source, bool),
}

/// Watches routes.
pub(super) async fn routes(
    number: usize,
    api: Api<DeserializeGuard<GatewayRoute>>,
    only: Option<&str>,
    told: mpsc::Sender<Told>,
) {
    let mut config = config();
    if let Some(name) = only {
        config = config.fields(&format!("metadata.name={name}"));
    }
    let say = |source, guarded: DeserializeGuard<GatewayRoute>| match guarded.0 {
        Ok(route) => Told::Route(source, Box::new(Asked::of(route))),
        Err(error) => {
            let namespace = error.metadata.namespace.clone().unwrap_or_default();
            let name = error.metadata.name.clone().unwrap_or_default();
            Told::RouteUnreadable(source, Key { namespace, name }, error.error)
        }
    };
    follow(number, true, api, config, told, say, |guarded| Told::RouteGone(Key::of(guarded))).await;
}

/// Watches endpoints.
pub(super) async fn slices(number: usize, api: Api<EndpointSlice>, labels: &str, told: mpsc::Sender<Told>) {
    let say = |source, slice: EndpointSlice| {
        let key = Key::of(&slice);
        match Slice::of(&slice) {
            Some(slice) => Told::Slice(source, key, slice),
            None => Told::SliceGone(key),
        }
    };
    follow(number, false, api, config().labels(labels), told, say, |slice| Told::SliceGone(Key::of(slice)))
        .await;
}

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE_SIZE)
}

async fn follow<K>(
    watch: usize,
    of_routes: bool,
    api: Api<K>,
    config: watcher::Config,
    told: mpsc::Sender<Told>,
    say: impl Fn(Source, K) -> Told,
    gone: impl Fn(&K) -> Told,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watcher(api, config));
    let (mut source, mut pause) = (Source { watch, list: 0 }, FIRST_PAUSE);
    loop {
        let said = match events.try_next().await {
            Ok(Some(Event::Init)) => {
                source.list += 1;
                continue;
            }
            Ok(Some(Event::InitApply(object) | Event::Apply(object))) => say(source, object),
            Ok(Some(Event::InitDone)) => Told::Listed(source, of_routes),
            Ok(Some(Event::Delete(object))) => gone(&object),
            // It never ends by itself.
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(
                    what = if of_routes { "routes" } else { "endpoints" },
                    error = chain(&error),
                    "cannot listen to the API server; what is known stays"
                );
                let share = rand::rng().random_range(0.5..1.0);
                sleep(pause.mul_f64(share)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        pause = FIRST_PAUSE;
        if told.send(said).await.is_err() {
            return;
        }
    }
}

/// The API of a namespace, or of all.
pub(super) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
