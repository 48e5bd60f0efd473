//! The applied table with everything that lives beside it: endpoints, their probes, whose turn it is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    config::{Config, Timeouts},
    decide::{Endpoints, Picker, ReadyFlag, RequestHead, Route, RouteTable, Target},
    health::Readiness,
    pool::Pool,
    probe,
};

/// One endpoint, shared by every table that names it and every request that runs there.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    pub(crate) pool: Pool,
    readiness: Mutex<Readiness>,
    flag: ReadyFlag,
    news: News,
}

/// Told whenever the first probe of an endpoint ends, and whenever an endpoint answers for the first time.
#[derive(Clone, Debug)]
pub(crate) struct News(Arc<watch::Sender<()>>);

impl News {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    pub(crate) fn tell(&self) {
        self.0.send_replace(());
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

impl Endpoint {
    fn new(target: Target, news: News) -> Self {
        Self { target, pool: Pool::default(), readiness: Mutex::default(), flag: ReadyFlag::default(), news }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        *self.state()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.flag.get()
    }

    fn state(&self) -> MutexGuard<'_, Readiness> {
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a probe found; `why` says it in words.
    pub(crate) fn probed(&self, ok: bool, why: &str) {
        self.change(|state| state.probed(ok), why);
    }

    /// A request could not connect.
    pub(crate) fn refused(&self, why: &str) {
        self.change(Readiness::refused, why);
    }

    fn change(&self, change: impl FnOnce(&mut Readiness), why: &str) {
        let mut state = self.state();
        let known = (state.was_asked(), state.has_answered());
        change(&mut state);
        let ready = state.is_ready();
        // Under the lock, so that two changes reach the flag in their order.
        let before = self.flag.set(ready);
        let first = known != (state.was_asked(), state.has_answered());
        drop(state);
        if ready != before {
            tracing::info!(endpoint = %self.target.address, name = %self.target.name, ready, why, "endpoint readiness changed");
        }
        if first {
            self.news.tell();
        }
    }
}

/// An endpoint and the task that probes it; the task ends when the last table that names it goes, even while
/// a stream still holds the endpoint.
#[derive(Debug)]
struct Probed {
    endpoint: Arc<Endpoint>,
    task: JoinHandle<()>,
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One applied table.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) table: RouteTable,
    /// `[route][endpoint]`, in the order of the table.
    pub(crate) endpoints: Vec<Vec<Arc<Endpoint>>>,
    pub(crate) timeouts: Vec<Timeouts>,
    flags: Endpoints,
    picker: Mutex<Picker>,
    probed: HashMap<Target, Arc<Probed>>,
    news: News,
}

impl Live {
    /// `table` with probes running, taking over from `previous` whatever both name. Needs a runtime.
    pub(crate) fn new(table: RouteTable, previous: Option<&Self>, config: &Config) -> Self {
        let news = previous.map_or_else(News::new, |p| p.news.clone());
        let mut probed: HashMap<Target, Arc<Probed>> = HashMap::new();
        let mut endpoints = Vec::with_capacity(table.routes().len());
        for route in table.routes() {
            let mut of_route = Vec::with_capacity(route.endpoints.len());
            for target in &route.endpoints {
                let one = probed.entry(target.clone()).or_insert_with(|| {
                    let known = previous.and_then(|p| p.probed.get(target));
                    known.cloned().unwrap_or_else(|| {
                        let endpoint = Arc::new(Endpoint::new(target.clone(), news.clone()));
                        let task = tokio::spawn(probe::run(endpoint.clone(), config.probe_interval));
                        Arc::new(Probed { endpoint, task })
                    })
                });
                of_route.push(one.endpoint.clone());
            }
            endpoints.push(of_route);
        }
        let flags =
            Endpoints(endpoints.iter().map(|route| route.iter().map(|e| e.flag.clone()).collect()).collect());
        let picker = match previous {
            Some(p) => Picker::new(&table, Some((&p.table, &p.picker()))),
            None => Picker::new(&table, None),
        };
        let timeouts = table.routes().iter().map(|route| merged(route, &config.timeouts)).collect();
        Self { table, endpoints, timeouts, flags, picker: Mutex::new(picker), probed, news }
    }

    fn picker(&self) -> MutexGuard<'_, Picker> {
        self.picker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ready endpoint of `route` that was not tried yet.
    pub(crate) fn choose(&self, route: usize, tried: &[usize]) -> Option<(usize, Arc<Endpoint>)> {
        let index = self.table.choose(route, &self.flags, &mut self.picker(), tried)?;
        Some((index, self.endpoints.get(route)?.get(index)?.clone()))
    }

    /// What would be decided about a request now; nobody loses a turn by the question.
    pub(crate) fn rehearse(&self, head: &RequestHead<'_>) -> crate::decide::Decision {
        let mut picker = self.picker().clone();
        self.table.pick(head, &self.flags, &mut picker)
    }

    /// The endpoints that have never been ready, by name.
    pub(crate) fn silent(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .probed
            .values()
            .filter(|p| !p.endpoint.readiness().has_answered())
            .map(|p| p.endpoint.target.name.to_string())
            .collect();
        names.sort_unstable();
        names
    }

    /// What is heard of the endpoints of this table and of those before and after it.
    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    /// The first route that `previous` can serve and this table cannot yet, only because nobody asked its
    /// new endpoints so far.
    pub(crate) fn not_made_yet(&self, previous: &Self) -> Option<&Route> {
        let served: HashSet<&str> = previous
            .table
            .routes()
            .iter()
            .zip(&previous.endpoints)
            .filter(|(_, endpoints)| endpoints.iter().any(|e| e.is_ready()))
            .map(|(route, _)| &*route.name)
            .collect();
        self.table.routes().iter().zip(&self.endpoints).find_map(|(route, endpoints)| {
            let waits = served.contains(&*route.name)
                && !endpoints.iter().any(|e| e.is_ready())
                && endpoints.iter().any(|e| !e.readiness().was_asked());
            waits.then_some(route)
        })
    }

    /// How many different endpoints there are.
    pub(crate) fn endpoint_count(&self) -> usize {
        self.probed.len()
    }
}

fn merged(route: &Route, defaults: &Timeouts) -> Timeouts {
    let own = &route.timeouts;
    Timeouts {
        connect: own.connect.unwrap_or(defaults.connect),
        request_body: own.request_body.unwrap_or(defaults.request_body),
        response_headers: own.response_headers.unwrap_or(defaults.response_headers),
        idle: own.idle.unwrap_or(defaults.idle),
    }
}
