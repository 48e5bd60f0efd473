//! One watch: lists what there is, follows what changes, and goes on whatever fails.
//!
//! Each has its own patience, so that one which fails does not slow down the others. Errors end here: nobody behind it
//! hears of them. From time to time it begins anew with a list, so that an event that got lost on the way does not stay lost.

use std::{sync::Arc, time::Duration};

use fundbond_crds::labels;
use fundbond_service_runtime::exit::chain;
use futures::{Stream, StreamExt as _, stream::BoxStream};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::{DynamicResourceScope, PartialObjectMeta},
    runtime::watcher::{self, Event},
};
use rand::RngExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    backoff,
    cache::{Cache, WatchId},
    kinds::{Kind, fund_clusters},
    metrics::Metrics,
    seen::{Key, Whole},
};

/// So many objects of a list come at once. All lists begin together, and what one answer of each takes is what the operator
/// takes at most beyond what it keeps; more answers cost little, for the server has them ready.
const PAGE_SIZE: u32 = 100;

/// The server ends a watch after so many seconds, and it is begun again where it was. A connection that was cut without a
/// word is noticed a little later.
const WATCH_SECONDS: u32 = 200;

/// A page of a list that takes longer is asked for again.
const PAGE: Duration = Duration::from_mins(1);

/// Everything is listed anew so often, or up to half as often again.
const ANEW: Duration = Duration::from_mins(10);

/// A kind that the server does not know yet is asked for again after so long. Whatever needs it is tried more often.
const UNKNOWN: Duration = Duration::from_mins(5);

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Clusters,
    Children(Kind),
}

impl Subject {
    fn resource(self) -> &'static ApiResource {
        match self {
            Self::Clusters => fund_clusters(),
            Self::Children(kind) => kind.resource(),
        }
    }
}

/// One watch.
pub(crate) struct Watch {
    pub(crate) id: WatchId,
    pub(crate) subject: Subject,
    /// All namespaces where there is none.
    pub(crate) namespace: Option<String>,
    pub(crate) client: Client,
    pub(crate) cache: Arc<Cache>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What a watch tells.
enum Told {
    ListBegins,
    ListEnds,
    Cluster { object: Box<DynamicObject>, listed: bool },
    ClusterGone(Box<DynamicObject>),
    Child { object: Box<Whole>, listed: bool },
    ChildGone(Box<Whole>),
}

impl Watch {
    /// Watches, and says which FundClusters are to be looked at.
    pub(crate) async fn run(self, mut touched: impl FnMut(Key)) {
        let mut failures = 0;
        loop {
            let anew = Instant::now() + ANEW.mul_f64(rand::rng().random_range(1.0..1.5));
            let mut events = self.open();
            let mut listing = true;
            while Instant::now() < anew {
                // While it lists, something comes all the time; afterwards only what happens.
                let until = if listing { Instant::now() + PAGE } else { anew };
                let next = timeout_at(until, events.next()).await;
                match next {
                    Ok(Some(Ok(told))) => {
                        if !matches!(told, Told::ListBegins) {
                            self.succeeded(&mut failures);
                        }
                        match told {
                            Told::ListBegins => listing = true,
                            Told::ListEnds => listing = false,
                            _ => {}
                        }
                        self.take_in(told).into_iter().for_each(&mut touched);
                    }
                    Ok(Some(Err(error))) if self.is_of_nothing(&error) => {
                        failures = 0;
                        for told in [Told::ListBegins, Told::ListEnds] {
                            self.take_in(told).into_iter().for_each(&mut touched);
                        }
                        sleep(UNKNOWN).await;
                        break;
                    }
                    Ok(Some(Err(error))) => {
                        self.failed(&mut failures, &chain(&error));
                        sleep(backoff::watching(failures)).await;
                    }
                    Err(_) if listing => {
                        self.failed(&mut failures, "a list does not go on");
                        sleep(backoff::watching(failures)).await;
                        break;
                    }
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }

    /// Whether the server does not know the kind: somebody else may bring it, or may not.
    fn is_of_nothing(&self, error: &watcher::Error) -> bool {
        let Subject::Children(kind) = self.subject else { return false };
        kind.brought_by().is_some()
            && matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
    }

    fn succeeded(&self, failures: &mut u32) {
        if *failures > 0 {
            tracing::info!(kind = self.subject.resource().kind, failures, "watched again");
            *failures = 0;
        }
    }

    fn failed(&self, failures: &mut u32, error: &str) {
        *failures += 1;
        self.metrics.watch_failed(&self.subject.resource().kind);
        if *failures == 1 {
            tracing::warn!(kind = self.subject.resource().kind, error, "a watch failed; trying again");
        }
    }

    fn take_in(&self, told: Told) -> Vec<Key> {
        let one = |key: Option<Key>| key.into_iter().collect();
        match (self.subject, told) {
            (_, Told::ListBegins) => {
                self.cache.list_begins(self.id);
                Vec::new()
            }
            (_, Told::ListEnds) => self.cache.list_ends(self.id),
            (_, Told::Cluster { object, listed }) => self.cache.cluster(self.id, listed, &object),
            (_, Told::ClusterGone(object)) => self.cache.cluster_gone(self.id, &object),
            (Subject::Children(kind), Told::Child { object, listed }) => {
                one(self.cache.child(self.id, listed, kind, &object))
            }
            (Subject::Children(kind), Told::ChildGone(object)) => {
                one(self.cache.child_gone(self.id, kind, &object))
            }
            (Subject::Clusters, Told::Child { .. } | Told::ChildGone(_)) => Vec::new(),
        }
    }

    fn open(&self) -> BoxStream<'static, Result<Told, watcher::Error>> {
        let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE_SIZE);
        let selector = format!("{}={}", labels::MANAGED_BY, labels::OPERATOR);
        match self.subject {
            Subject::Clusters => {
                let clusters = watcher::watcher(self.api::<DynamicObject>(), config);
                told(clusters, |object, listed| match listed {
                    Some(listed) => Told::Cluster { object: Box::new(object), listed },
                    None => Told::ClusterGone(Box::new(object)),
                })
            }
            Subject::Children(kind) if kind.is_seen_whole() => {
                let children = watcher::watcher(self.api::<Whole>(), config.labels(&selector));
                told(children, child)
            }
            Subject::Children(_) => {
                let heads = watcher::watcher(
                    self.api::<PartialObjectMeta<DynamicObject>>(),
                    config.labels(&selector),
                );
                told(heads, |head, listed| child(head.into(), listed))
            }
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope> + DeserializeOwned,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, self.subject.resource()),
            None => Api::all_with(self.client.clone(), self.subject.resource()),
        }
    }
}

fn child(object: Whole, listed: Option<bool>) -> Told {
    match listed {
        Some(listed) => Told::Child { object: Box::new(object), listed },
        None => Told::ChildGone(Box::new(object)),
    }
}

/// Events as they are told here. `of` is given whether an object was listed, and nothing of one that is gone.
fn told<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
    of: impl Fn(K, Option<bool>) -> Told + Send + 'static,
) -> BoxStream<'static, Result<Told, watcher::Error>> {
    let told = events.map(move |event| {
        Ok(match event? {
            Event::Init => Told::ListBegins,
            Event::InitDone => Told::ListEnds,
            Event::InitApply(object) => of(object, Some(true)),
            Event::Apply(object) => of(object, Some(false)),
            Event::Delete(object) => of(object, None),
        })
    });
    told.boxed()
}
