//! The applied table with everything that lives beside it: endpoints, their probes, whose turn it is.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::task::AbortOnDropHandle;

use crate::{
    answer::Failure,
    config::{Config, Timeouts},
    decide::{Aim, Decision, Endpoints, Picker, RequestHead, Route, RouteTable, Target},
    endpoint::{Admission, Clock, Endpoint, Load, News},
    limits::{RouteRate, RouteState, whole_seconds},
    probe,
};

/// An endpoint and the task that probes it, where somebody has to; the task ends when the last table that names the endpoint
/// goes, even while a stream still holds it.
#[derive(Debug)]
struct Named {
    endpoint: Arc<Endpoint>,
    _probing: Option<AbortOnDropHandle<()>>,
}

impl Named {
    fn new(endpoint: Endpoint, config: &Config) -> Self {
        if !config.routes.probes() {
            return Self { endpoint: Arc::new(endpoint.known_ready()), _probing: None };
        }
        let endpoint = Arc::new(endpoint);
        let probing = tokio::spawn(probe::run(endpoint.clone(), config.probe_interval));
        Self { endpoint, _probing: Some(AbortOnDropHandle::new(probing)) }
    }
}

/// One applied table.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) table: RouteTable,
    /// `[route][endpoint]`, in the order of the table.
    pub(crate) endpoints: Vec<Vec<Arc<Endpoint>>>,
    pub(crate) timeouts: Vec<Timeouts>,
    pub(crate) states: Vec<Arc<RouteState>>,
    pub(crate) rates: Vec<Option<Arc<RouteRate>>>,
    pub(crate) clock: Clock,
    signals: Endpoints,
    picker: Mutex<Picker>,
    named: HashMap<Target, Arc<Named>>,
    news: News,
}

impl Live {
    /// `table` with probes running, taking over from `previous` whatever both name. Needs a runtime.
    pub(crate) fn new(table: RouteTable, previous: Option<&Self>, config: &Config) -> Self {
        let news = previous.map_or_else(News::new, |p| p.news.clone());
        let clock = previous.map_or_else(Clock::start, |p| p.clock);
        let mut named: HashMap<Target, Arc<Named>> = HashMap::new();
        let mut endpoints = Vec::with_capacity(table.routes().len());
        for route in table.routes() {
            let mut of_route = Vec::with_capacity(route.endpoints.len());
            for target in &route.endpoints {
                let one = named.entry(target.clone()).or_insert_with(|| {
                    let known = previous.and_then(|p| p.named.get(target));
                    known.cloned().unwrap_or_else(|| {
                        let endpoint = Endpoint::new(target.clone(), config.breaker, clock, news.clone());
                        Arc::new(Named::new(endpoint, config))
                    })
                });
                of_route.push(one.endpoint.clone());
            }
            endpoints.push(of_route);
        }
        let of_route = |route: &Vec<Arc<Endpoint>>| route.iter().map(|e| e.signals().clone()).collect();
        let signals = Endpoints(endpoints.iter().map(of_route).collect());
        let seed = rand::random();
        let picker = match previous {
            Some(p) => Picker::new(&table, Some((&p.table, &p.picker())), seed),
            None => Picker::new(&table, None, seed),
        };
        let timeouts = table.routes().iter().map(|route| merged(route, &config.timeouts)).collect();
        let (states, rates) = kept(&table, previous);
        let picker = Mutex::new(picker);
        Self { table, endpoints, timeouts, states, rates, clock, signals, picker, named, news }
    }

    fn picker(&self) -> MutexGuard<'_, Picker> {
        self.picker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next usable endpoint of `route` that was not tried yet, with leave to send it one request.
    pub(crate) fn choose(&self, route: usize, aim: Aim, tried: &mut Vec<usize>) -> Option<Chosen> {
        // Held until the choice counts: whoever chooses next sees it.
        let mut picker = self.picker();
        loop {
            let choice =
                self.table.choose(route, aim, &self.signals, &mut picker, self.clock.now(), tried)?;
            let index = choice.endpoint;
            match self.endpoints.get(route)?.get(index)?.admit() {
                Some((admission, load)) => {
                    return Some(Chosen { index, admission, load, spilled: choice.spilled });
                }
                // Another request, of another route or table, became its probe meanwhile.
                None => tried.push(index),
            }
        }
    }

    /// Why no endpoint of `route` can be chosen for a request with this aim.
    pub(crate) fn why_none(&self, route: usize, aim: Aim) -> Failure {
        let strategy = self.table.routes().get(route).map(|route| &route.strategy);
        let allowed = |endpoint| strategy.is_some_and(|strategy| strategy.allows(aim, endpoint));
        match self.signals.admit_from(route, allowed) {
            None => Failure::NoReadyEndpoint,
            Some(from) => {
                let seconds = whole_seconds(from.saturating_sub(self.clock.now()));
                Failure::EndpointsFailing { seconds }
            }
        }
    }

    /// What would be decided about a request of `client` now; nobody loses a turn by the question.
    pub(crate) fn rehearse(&self, head: &RequestHead<'_>, client: IpAddr) -> Decision {
        let mut picker = self.picker().clone();
        self.table.pick(head, client, &self.signals, &mut picker, self.clock.now())
    }

    /// The endpoints that have never been ready, by name.
    pub(crate) fn silent(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .named
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
    pub(crate) fn not_made_yet(&self, previous: &Self) -> Option<&Arc<Route>> {
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
        self.named.len()
    }
}

/// An endpoint, and leave to send it one request.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) index: usize,
    pub(crate) admission: Admission,
    pub(crate) load: Load,
    /// Whether the endpoint of the request's key had its share.
    pub(crate) spilled: bool,
}

/// What the routes of `table` remember from `previous`: budgets and counts of routes with the same name, and
/// the buckets of those whose rate limit is the same, too.
fn kept(table: &RouteTable, previous: Option<&Live>) -> (Vec<Arc<RouteState>>, Vec<Option<Arc<RouteRate>>>) {
    let known: HashMap<&str, usize> = previous
        .map(|p| p.table.routes().iter().enumerate().map(|(index, r)| (&*r.name, index)).collect())
        .unwrap_or_default();
    let before = |route: &Arc<Route>| previous.zip(known.get(&*route.name).copied());
    let state = |route: &Arc<Route>| {
        let state = before(route).and_then(|(p, index)| p.states.get(index).cloned());
        state.unwrap_or_default()
    };
    let rate = |route: &Arc<Route>| {
        let spec = route.rate_limit?;
        let rate = before(route).and_then(|(p, index)| p.rates.get(index).cloned().flatten());
        Some(rate.filter(|r| r.spec == spec).unwrap_or_else(|| Arc::new(RouteRate::new(spec))))
    };
    (table.routes().iter().map(state).collect(), table.routes().iter().map(rate).collect())
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
