//! What Kubernetes said of routes and of what is behind them, and the table that comes of it. Pure.
//!
//! A route that cannot be is refused alone: it stays as it was, and the others change. Of two that want the same requests
//! the older has them, as the operator decides too; so the order in which they are heard of does not matter. What a route
//! was counts as its wish, too, where what it is to be cannot: nobody younger gets its clients by its mistake.

mod taken;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use fundbond_crds::{GatewayRoute, GatewayRouteSpec};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use self::taken::Taken;
use super::{compile::compile, slices::Slice};
use crate::{
    decide::{Origin, Route, RouteTable},
    role::Role,
    route_file::RouteFileError,
};

/// Which object: its namespace and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Key {
    pub(super) fn of(object: &impl kube::ResourceExt) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

/// What is known from a snapshot was told by no watch.
const NEVER: usize = usize::MAX;

/// Which watch, by number, and which of its lists: what the last list did not name is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) watch: usize,
    pub(super) list: u64,
}

/// A route that is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) key: Key,
    created: Timestamp,
    uid: String,
    spec: GatewayRouteSpec,
}

impl Asked {
    /// Who is older has what both want: the one with less of this.
    fn age(&self) -> (Timestamp, &str, &Key) {
        (self.created, &self.uid, &self.key)
    }

    pub(super) fn of(route: GatewayRoute) -> Self {
        let created = route.creation_timestamp().map_or(Timestamp::MAX, |time| time.0);
        Self { key: Key::of(&route), created, uid: route.uid().unwrap_or_default(), spec: route.spec }
    }
}

/// A route, and what came of it.
#[derive(Debug)]
struct Entry {
    source: Source,
    asked: Arc<Asked>,
    /// The same, when it was last looked at, and the route that it is; none where it cannot be one.
    wanted: Option<Version>,
    /// Why it cannot.
    wrong: Option<String>,
    /// What was in the table last, with the endpoints of now.
    served: Option<Version>,
    /// The Services that this leads to: what is asked for, and what is still served instead.
    leads: BTreeSet<Key>,
}

/// What was asked for once, and the route that it is.
type Version = (Arc<Asked>, Arc<Route>);

impl Entry {
    fn new(source: Source, asked: Arc<Asked>) -> Self {
        Self { source, asked, wanted: None, wrong: None, served: None, leads: BTreeSet::new() }
    }

    /// Whether what was in the table last is what is asked for.
    fn is_as_asked(&self) -> bool {
        let both = self.wanted.as_ref().zip(self.served.as_ref());
        both.is_some_and(|((_, wanted), (_, served))| Arc::ptr_eq(wanted, served))
    }

    /// What it may be in the table, the better one first.
    fn versions(&self) -> [Option<Version>; 2] {
        [self.wanted.clone(), self.served.clone().filter(|_| !self.is_as_asked())]
    }
}

/// A route that is not as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GatewayRoute {key}: {why}")]
pub(super) struct Refused {
    pub(super) key: Key,
    pub(super) why: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Book {
    role: Role,
    routes: BTreeMap<Key, Entry>,
    /// Routes of which nothing can be read.
    unreadable: BTreeMap<Key, (Source, String)>,
    slices: BTreeMap<Key, (Source, Arc<Slice>)>,
    /// Which slices belong to a Service.
    services: HashMap<Key, Vec<Key>>,
    /// Which routes lead to a Service.
    leading: HashMap<Key, Vec<Key>>,
    /// What the table before was without.
    refused: BTreeMap<Key, String>,
    /// The table before.
    table: RouteTable,
    /// Where in it a route is.
    places: HashMap<Key, usize>,
    /// Routes about which something changed since.
    stale: BTreeSet<Key>,
    /// Whether there are others than before, so that who has what is to be found out anew.
    others: bool,
}

/// What a gateway can start from when nobody answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    routes: Vec<Arc<Asked>>,
    /// What those are that are not as they are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    served: Vec<Arc<Asked>>,
    slices: Vec<(Key, Arc<Slice>)>,
}

impl Saved {
    /// What is of these namespaces; everything where none is named. Nobody would ever say that the rest is gone.
    pub(super) fn of(mut self, namespaces: &[String]) -> Self {
        let is_of = |key: &Key| namespaces.is_empty() || namespaces.contains(&key.namespace);
        self.routes.retain(|asked| is_of(&asked.key));
        self.served.retain(|asked| is_of(&asked.key));
        self.slices.retain(|(key, _)| is_of(key));
        self
    }
}

impl Book {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            routes: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            slices: BTreeMap::new(),
            services: HashMap::new(),
            leading: HashMap::new(),
            refused: BTreeMap::new(),
            table: RouteTable::default(),
            places: HashMap::new(),
            stale: BTreeSet::new(),
            others: false,
        }
    }

    /// What it says, to be read by [`load`](Self::load).
    pub(super) fn save(&self) -> Saved {
        let others = |entry: &Entry| {
            let (served, _) = entry.served.as_ref()?;
            (!Arc::ptr_eq(served, &entry.asked)).then(|| served.clone())
        };
        Saved {
            routes: self.routes.values().map(|entry| entry.asked.clone()).collect(),
            served: self.routes.values().filter_map(others).collect(),
            slices: self.slices.iter().map(|(key, (_, slice))| (key.clone(), slice.clone())).collect(),
        }
    }

    /// As it was once. It belongs to no list: the first that ends takes away what is gone of its namespace.
    pub(super) fn load(&mut self, saved: Saved) {
        let never = Source { watch: NEVER, list: 0 };
        saved.routes.into_iter().for_each(|asked| self.route(never, Arc::unwrap_or_clone(asked)));
        saved.slices.into_iter().for_each(|(key, slice)| self.slice(never, key, Arc::unwrap_or_clone(slice)));
        for served in saved.served {
            // It was one once.
            let Ok(route) = self.make(&served) else { continue };
            let key = served.key.clone();
            if let Some(entry) = self.routes.get_mut(&key) {
                entry.served = Some((served, route));
                self.lead(&key);
            }
        }
    }

    /// A route is asked for.
    pub(super) fn route(&mut self, source: Source, asked: Asked) {
        self.others |= self.unreadable.remove(&asked.key).is_some();
        let asked = Arc::new(asked);
        if let Some(entry) = self.routes.get_mut(&asked.key) {
            entry.source = source;
            if entry.asked == asked {
                return;
            }
            let before = std::mem::replace(&mut entry.asked, asked.clone());
            self.others |= before.age() != asked.age();
        } else {
            self.routes.insert(asked.key.clone(), Entry::new(source, asked.clone()));
        }
        self.stale.insert(asked.key.clone());
        self.lead(&asked.key);
    }

    /// It is not asked for any more.
    pub(super) fn route_gone(&mut self, key: &Key) {
        self.others |= self.unreadable.remove(key).is_some();
        if let Some(entry) = self.routes.remove(key) {
            self.lead_no_more(key, &entry.leads);
            self.others = true;
        }
    }

    /// It is there, and what it says cannot be read: it stays as it was.
    pub(super) fn route_unreadable(&mut self, source: Source, key: Key, why: String) {
        if let Some(entry) = self.routes.get_mut(&key) {
            entry.source = source;
        }
        let before = self.unreadable.insert(key, (source, why.clone()));
        self.others |= before.is_none_or(|(_, before)| before != why);
    }

    /// Notes to which Services a route leads now.
    fn lead(&mut self, key: &Key) {
        let Some(entry) = self.routes.get_mut(key) else { return };
        let served = entry.served.iter().map(|(asked, _)| asked);
        let of_one = |asked: &Arc<Asked>| {
            let names = services(self.role, &asked.spec).into_iter().map(str::to_owned);
            names.map(|name| Key { namespace: key.namespace.clone(), name }).collect::<Vec<_>>()
        };
        let now: BTreeSet<Key> = [&entry.asked].into_iter().chain(served).flat_map(of_one).collect();
        let before = std::mem::replace(&mut entry.leads, now.clone());
        self.lead_no_more(key, before.difference(&now));
        for service in now.difference(&before) {
            self.leading.entry(service.clone()).or_default().push(key.clone());
        }
    }

    fn lead_no_more<'a>(&mut self, key: &Key, services: impl IntoIterator<Item = &'a Key>) {
        for service in services {
            let Some(routes) = self.leading.get_mut(service) else { continue };
            routes.retain(|route| route != key);
            if routes.is_empty() {
                self.leading.remove(service);
            }
        }
    }

    /// Endpoints of a Service.
    pub(super) fn slice(&mut self, source: Source, key: Key, slice: Slice) {
        if let Some((known, before)) = self.slices.get_mut(&key) {
            *known = source;
            if **before == slice {
                return;
            }
        }
        self.slice_gone(&key);
        let service = Key { namespace: key.namespace.clone(), name: slice.service.clone() };
        self.touch(&service);
        self.services.entry(service).or_default().push(key.clone());
        self.slices.insert(key, (source, Arc::new(slice)));
    }

    /// There are no such endpoints any more.
    pub(super) fn slice_gone(&mut self, key: &Key) {
        let Some((_, slice)) = self.slices.remove(key) else { return };
        let service = Key { namespace: key.namespace.clone(), name: slice.service.clone() };
        self.touch(&service);
        if let Some(slices) = self.services.get_mut(&service) {
            slices.retain(|other| other != key);
            if slices.is_empty() {
                self.services.remove(&service);
            }
        }
    }

    /// Whatever leads to a Service is stale.
    fn touch(&mut self, service: &Key) {
        self.stale.extend(self.leading.get(service).into_iter().flatten().cloned());
    }

    /// A watch of routes or slices has listed all there is, in a namespace or in all.
    pub(super) fn listed(&mut self, current: Source, routes: bool, namespace: Option<&str>) {
        let is_gone = |key: &Key, source: &Source| match source.watch {
            NEVER => namespace.is_none_or(|namespace| key.namespace == namespace),
            watch => watch == current.watch && *source != current,
        };
        if routes {
            let known = self.routes.iter().map(|(key, entry)| (key, &entry.source));
            let unreadable = self.unreadable.iter().map(|(key, (source, _))| (key, source));
            let gone = known.chain(unreadable).filter(|(key, source)| is_gone(key, source));
            let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
            for key in &gone {
                self.route_gone(key);
            }
        } else {
            let gone = self.slices.iter().filter(|(key, (source, _))| is_gone(key, source));
            let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
            for key in &gone {
                self.slice_gone(key);
            }
        }
    }

    /// The table, if it is another than before; and what is refused that was not before.
    pub(super) fn table(&mut self) -> Option<(RouteTable, Vec<Refused>)> {
        self.table_of(|_| true)
    }

    /// The same, with changes in those namespaces alone that are `settled`. In the others things stay as they were: half of
    /// what is there was not heard of yet.
    pub(super) fn table_of(&mut self, settled: impl Fn(&str) -> bool) -> Option<(RouteTable, Vec<Refused>)> {
        let stale = std::mem::take(&mut self.stale);
        let (stale, waits): (BTreeSet<_>, _) = stale.into_iter().partition(|key| settled(&key.namespace));
        self.stale = waits;
        if stale.is_empty() && !self.others {
            return None;
        }
        let replaced: Vec<_> = stale.iter().filter_map(|key| self.remake(key)).collect();
        let generation = self.table.generation() + 1;
        let news = if std::mem::take(&mut self.others) {
            self.judge(generation)
        } else {
            self.table = self.table.replacing(generation, replaced);
            Vec::new()
        };
        Some((self.table.clone(), news))
    }

    /// The route that something asked for is, with the endpoints of now.
    fn make(&self, asked: &Asked) -> Result<Arc<Route>, RouteFileError> {
        let key = &asked.key;
        let behind = |service: &str| {
            let service = Key { namespace: key.namespace.clone(), name: service.to_owned() };
            let slices = self.services.get(&service).into_iter().flatten();
            slices.filter_map(|slice| self.slices.get(slice)).map(|(_, slice)| &**slice).collect()
        };
        let origin = Origin { object: key.to_string().into(), generation: asked.spec.generation };
        let route = compile(self.role, &asked.spec, &behind)?;
        Ok(Arc::new(Route { origin: Some(origin), ..route }))
    }

    /// Makes a route anew: what is asked for now, and what is served instead. Answers it with its place in the table before,
    /// if it is in it; notes where it may get or lose another one by the change.
    fn remake(&mut self, key: &Key) -> Option<(usize, Arc<Route>)> {
        // One that is gone is in no table.
        let entry = self.routes.get(key)?;
        let place = self.places.get(key).copied();
        let (wanted, wrong) = match self.make(&entry.asked) {
            Ok(route) => (Some((entry.asked.clone(), route)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let is_found_as_before = match (&entry.wanted, &wanted) {
            (Some((_, before)), Some((_, now))) => before.is_found_as(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        let served = if place.is_some() && entry.is_as_asked() && is_found_as_before {
            wanted.clone()
        } else {
            self.serve_on(entry, wanted.as_ref())
        };
        let is_let_go = served.is_none() && entry.served.is_some();
        let others = !is_found_as_before || entry.wrong != wrong || is_let_go;
        let route = served.as_ref().map(|(_, route)| route.clone());
        let entry = self.routes.get_mut(key)?;
        (entry.wanted, entry.wrong, entry.served) = (wanted, wrong, served);
        self.others |= others;
        self.lead(key);
        Some((place?, route?))
    }

    /// What was served of an entry, with the endpoints of now; of those before where that cannot be.
    fn serve_on(&self, entry: &Entry, wanted: Option<&Version>) -> Option<Version> {
        let (asked, route) = entry.served.as_ref()?;
        // Another object of the same name: what the one before was is gone with it.
        if asked.uid != entry.asked.uid {
            return None;
        }
        let now = if Arc::ptr_eq(asked, &entry.asked) {
            wanted.map(|(_, route)| route.clone())
        } else {
            self.make(asked).ok()
        };
        Some((asked.clone(), now.unwrap_or_else(|| route.clone())))
    }

    /// Finds out who is in the table, of all, and as what; answers what is refused that was not before.
    fn judge(&mut self, generation: u64) -> Vec<Refused> {
        let versions = |entry: &Entry| (entry.asked.clone(), entry.versions());
        let mut routes: Vec<_> = self.routes.values().map(versions).collect();
        routes.sort_by(|(a, _), (b, _)| a.age().cmp(&b.age()));
        let mut refused: BTreeMap<_, _> = self
            .routes
            .iter()
            .filter_map(|(key, entry)| Some((key.clone(), entry.wrong.clone()?)))
            .chain(self.unreadable.iter().map(|(key, (_, why))| (key.clone(), why.clone())))
            .collect();
        let mut taken = Taken::of(routes.len());
        let mut winners: Vec<&Version> = Vec::with_capacity(routes.len());
        self.places.clear();
        for (asked, versions) in &routes {
            for version in versions.iter().flatten() {
                match taken.take(&asked.key, &version.1) {
                    Ok(()) => {
                        self.places.insert(asked.key.clone(), winners.len());
                        winners.push(version);
                        break;
                    }
                    // Of what is asked for, for that comes first.
                    Err(error) => {
                        refused.entry(asked.key.clone()).or_insert_with(|| error.to_string());
                    }
                }
            }
        }
        let news = refused
            .iter()
            .filter(|(key, why)| self.refused.get(key) != Some(why))
            .map(|(key, why)| Refused { key: key.clone(), why: why.clone() })
            .collect();
        let named = refused.iter().map(|(key, why)| (key.to_string(), why.clone())).collect();
        self.refused = refused;
        let table = winners.iter().map(|(_, route)| route.clone());
        self.table = RouteTable::new(generation, table).without(named);
        for version in winners {
            self.serve(version);
        }
        news
    }

    /// Notes what is in the table of a route.
    fn serve(&mut self, version: &Version) {
        let Some(entry) = self.routes.get_mut(&version.0.key) else { return };
        let before = entry.served.replace(version.clone());
        if before.is_none_or(|(before, _)| !Arc::ptr_eq(&before, &version.0)) {
            self.lead(&version.0.key);
        }
    }
}

/// Where a route leads, as this hop sees it.
fn services(role: Role, spec: &GatewayRouteSpec) -> Vec<&str> {
    match role {
        Role::Gateway => vec![&spec.proxy.name],
        Role::ClusterProxy => spec.pods.iter().map(|pods| pods.service.name.as_str()).collect(),
    }
}

#[cfg(test)]
mod tests;
