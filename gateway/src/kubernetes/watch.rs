//! Listens to the API server, for as long as there is one and again when it is back.
//!
//! From time to time all is listed anew, so that an event that got lost on the way does not stay lost. What is listed again
//! and says the same changes nothing, and nothing is gone before the new list has ended without it.

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
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};

use super::{
    book::{Asked, Key, Source},
    slices::Slice,
};

/// The server ends a watch after so many seconds, and it is begun again where it was.
const WATCH_SECONDS: u32 = 200;

/// Objects in one answer to a list.
const PAGE_SIZE: u32 = 500;

/// A page of a list that takes longer is asked for again.
pub(super) const PAGE: Duration = Duration::from_mins(1);

/// Everything is listed anew so often, or up to half as often again.
pub(super) const ANEW: Duration = Duration::from_mins(10);

/// The code of a server that has forgotten where a watch was.
const GONE: u16 = 410;

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
    /// A watch failed: by its number, and whether because its list is refused.
    Failed(usize, bool),
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
    let what = if of_routes { "routes" } else { "endpoints" };
    let (mut source, mut patience) = (Source { watch, list: 0 }, Patience::new(what));
    loop {
        let anew = Instant::now() + ANEW.mul_f64(rand::rng().random_range(1.0..1.5));
        let mut events = std::pin::pin!(watcher(api.clone(), config.clone()));
        let mut listing = true;
        while Instant::now() < anew {
            // While it lists, something comes all the time; afterwards only what happens.
            let until = if listing { Instant::now() + PAGE } else { anew };
            let said = match timeout_at(until, events.try_next()).await {
                Ok(Ok(Some(event))) => match event {
                    Event::Init => {
                        listing = true;
                        source.list += 1;
                        continue;
                    }
                    Event::InitApply(object) | Event::Apply(object) => say(source, object),
                    Event::InitDone => {
                        listing = false;
                        Told::Listed(source, of_routes)
                    }
                    Event::Delete(object) => gone(&object),
                },
                Ok(Err(error)) => {
                    patience.failed(&chain(&error));
                    if told.send(Told::Failed(watch, is_refused(&error))).await.is_err() {
                        return;
                    }
                    patience.pause().await;
                    if is_of_the_past(&error) {
                        break;
                    }
                    continue;
                }
                Err(_) if listing => {
                    patience.failed("a list does not go on");
                    if told.send(Told::Failed(watch, false)).await.is_err() {
                        return;
                    }
                    patience.pause().await;
                    break;
                }
                // It is time, or it ended by itself, which it never does.
                Ok(Ok(None)) | Err(_) => break,
            };
            patience.succeeded();
            if told.send(said).await.is_err() {
                return;
            }
        }
    }
}

/// Whether the server does not let this gateway list.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_forbidden())
}

/// Whether the server has forgotten where the watch was. The watcher would ask for the same again for ever.
fn is_of_the_past(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == GONE)
}

/// How a watch waits after failures.
struct Patience {
    what: &'static str,
    failures: u32,
}

impl Patience {
    fn new(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    /// One more in a row, of which the first is told: others say the same.
    fn failed(&mut self, error: &str) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(
                what = self.what,
                error,
                "cannot listen to the API server; what is known stays, trying again"
            );
        }
    }

    fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(what = self.what, failures = self.failures, "listening to the API server again");
            self.failures = 0;
        }
    }

    async fn pause(&self) {
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.saturating_sub(1)));
        let share = rand::rng().random_range(0.5..1.0);
        sleep(doubled.min(LONGEST_PAUSE).mul_f64(share)).await;
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
