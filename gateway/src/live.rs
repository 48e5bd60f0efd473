//! The applied table with everything that lives beside it: endpoints, their probes, whose turn it is.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderValue;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    answer::Failure,
    config::{Config, Timeouts},
    decide::{Aim, Carried, Decision, Endpoints, Picker, RequestHead, Route, RouteTable, Target},
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
    pub(crate) endpoints: Vec<Arc<[Arc<Endpoint>]>>,
    pub(crate) timeouts: Vec<Timeouts>,
    pub(crate) states: Vec<Arc<RouteState>>,
    pub(crate) rates: Vec<Option<Arc<RouteRate>>>,
    pub(crate) clock: Clock,
    signals: Endpoints,
    picker: Mutex<Picker>,
    /// Shared with tables that lead to the same endpoints.
    named: Arc<HashMap<Target, Held>>,
    news: News,
    /// Names what `/routes/applied` says of this table: the same as long as it says the same.
    pub(crate) applied_tag: HeaderValue,
}

/// An endpoint, and how many routes of the table lead to it.
#[derive(Clone, Debug)]
struct Held {
    named: Arc<Named>,
    routes: usize,
}

impl Live {
    /// `table` with probes running, taking over from `previous` whatever both name. Needs a runtime.
    pub(crate) fn new(table: RouteTable, previous: Option<&Self>, config: &Config) -> Self {
        let news = previous.map_or_else(News::new, |p| p.news.clone());
        let clock = previous.map_or_else(Clock::start, |p| p.clock);
        let carried = previous.map(|p| (p, Carried::between(&p.table, &table)));
        // Where a route that leads to the same endpoints was, be it the same or not.
        let leads_as = |place: usize, route: &Route| {
            let (p, carried) = carried.as_ref()?;
            let at = carried.of_name(place, &route.name)?;
            let leads_as = carried.same(place).is_some() || p.table.routes()[at].endpoints == route.endpoints;
            leads_as.then_some((*p, at))
        };
        // Those of all routes of before; who goes is let go of below.
        let mut named = previous.map_or_else(Arc::default, |p| p.named.clone());
        let mut stay = HashSet::new();
        let (mut endpoints, mut signals) = (Vec::new(), Vec::new());
        for (place, route) in table.routes().iter().enumerate() {
            if let Some((p, at)) = leads_as(place, route) {
                endpoints.push(p.endpoints[at].clone());
                signals.push(p.signals.0[at].clone());
                if !Arc::ptr_eq(&p.table.routes()[at], route) {
                    stay.insert(at);
                }
                continue;
            }
            let named = Arc::make_mut(&mut named);
            let name = |target: &Target| {
                let held = named.entry(target.clone()).or_insert_with(|| {
                    let endpoint = Endpoint::new(target.clone(), config.breaker, clock, news.clone());
                    Held { named: Arc::new(Named::new(endpoint, config)), routes: 0 }
                });
                held.routes += 1;
                held.named.endpoint.clone()
            };
            let of_route: Arc<[Arc<Endpoint>]> = route.endpoints.iter().map(name).collect();
            signals.push(of_route.iter().map(|endpoint| endpoint.signals().clone()).collect());
            endpoints.push(of_route);
        }
        for target in carried
            .iter()
            .flat_map(|(p, carried)| carried.left().map(|at| (at, &p.table.routes()[at])))
            .filter(|(at, _)| !stay.contains(at))
            .flat_map(|(_, route)| &route.endpoints)
        {
            let named = Arc::make_mut(&mut named);
            if let Entry::Occupied(mut held) = named.entry(target.clone()) {
                held.get_mut().routes -= 1;
                if held.get().routes == 0 {
                    held.remove();
                }
            }
        }
        let seed = rand::random();
        let picker = match previous {
            Some(p) => Picker::new(&table, Some((&p.table, &p.picker())), seed),
            None => Picker::new(&table, None, seed),
        };
        let timeouts = table.routes().iter().map(|route| merged(route, &config.timeouts)).collect();
        let (states, rates) = kept(&table, carried.as_ref().map(|(p, carried)| (*p, carried)));
        let (signals, picker) = (Endpoints(signals), Mutex::new(picker));
        let applied_tag = match previous {
            Some(p) if p.table.says_as(&table) => p.applied_tag.clone(),
            _ => crate::head::value(&format!("\"{:016x}\"", rand::random::<u64>())),
        };
        Self { table, endpoints, timeouts, states, rates, clock, signals, picker, named, news, applied_tag }
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
            .map(|held| &held.named.endpoint)
            .filter(|endpoint| !endpoint.readiness().has_answered())
            .map(|endpoint| endpoint.target.name.to_string())
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
        let served = |name: &str| {
            let place = previous.table.routes().iter().position(|route| *route.name == *name);
            let endpoints = place.and_then(|place| previous.endpoints.get(place));
            endpoints.is_some_and(|endpoints| endpoints.iter().any(|e| e.is_ready()))
        };
        self.table.routes().iter().zip(&self.endpoints).enumerate().find_map(|(place, (route, endpoints))| {
            // Most are the very same, and as ready as they were.
            if previous.endpoints.get(place).is_some_and(|before| Arc::ptr_eq(before, endpoints)) {
                return None;
            }
            let waits = !endpoints.iter().any(|e| e.is_ready())
                && endpoints.iter().any(|e| !e.readiness().was_asked())
                && served(&route.name);
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

/// What the routes of `table` remember from before: budgets and counts of routes with the same name, and the buckets of
/// those whose rate limit is the same, too.
fn kept(
    table: &RouteTable,
    previous: Option<(&Live, &Carried<'_>)>,
) -> (Vec<Arc<RouteState>>, Vec<Option<Arc<RouteRate>>>) {
    let before = |place: usize, route: &Route| {
        let (p, carried) = previous?;
        Some((p, carried.of_name(place, &route.name)?))
    };
    let state = |(place, route): (usize, &Arc<Route>)| {
        let state = before(place, route).and_then(|(p, at)| p.states.get(at).cloned());
        state.unwrap_or_default()
    };
    let rate = |(place, route): (usize, &Arc<Route>)| {
        let spec = route.rate_limit?;
        let rate = before(place, route).and_then(|(p, at)| p.rates.get(at).cloned().flatten());
        Some(rate.filter(|r| r.spec == spec).unwrap_or_else(|| Arc::new(RouteRate::new(spec))))
    };
    let routes = || table.routes().iter().enumerate();
    (routes().map(state).collect(), routes().map(rate).collect())
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
