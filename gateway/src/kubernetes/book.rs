//! What Kubernetes said of routes and of what is behind them, and the table that comes of it. Pure.
//!
//! A route that cannot be is refused alone: it stays as it was, and the others change. Of two that want the same requests
//! the older has them, as the operator decides too; so the order in which they are heard of does not matter.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use fundbond_crds::{GatewayRoute, GatewayRouteSpec};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

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
    /// The last one that could be, and the route that it is.
    good: Option<(Arc<Asked>, Arc<Route>)>,
    /// Why it is not as it is asked for.
    wrong: Option<String>,
    /// The Services that this leads to: what is asked for, and what is still served instead.
    leads: BTreeSet<Key>,
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
    slices: Vec<(Key, Arc<Slice>)>,
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
        Saved {
            routes: self.routes.values().map(|entry| entry.asked.clone()).collect(),
            slices: self.slices.iter().map(|(key, (_, slice))| (key.clone(), slice.clone())).collect(),
        }
    }

    /// As it was once. It belongs to no list: the first that ends takes away what is gone.
    pub(super) fn load(&mut self, saved: Saved) {
        let never = Source { watch: usize::MAX, list: 0 };
        saved.routes.into_iter().for_each(|asked| self.route(never, Arc::unwrap_or_clone(asked)));
        saved.slices.into_iter().for_each(|(key, slice)| self.slice(never, key, Arc::unwrap_or_clone(slice)));
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
            let entry =
                Entry { source, asked: asked.clone(), good: None, wrong: None, leads: BTreeSet::new() };
            self.routes.insert(asked.key.clone(), entry);
            self.others = true;
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
        let served = entry.good.iter().map(|(asked, _)| asked);
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

    /// A watch of routes or slices has listed all there is.
    pub(super) fn listed(&mut self, current: Source, routes: bool) {
        let is_gone = |source: &Source| {
            (source.watch == current.watch && *source != current) || source.watch == usize::MAX
        };
        if routes {
            let known = self.routes.iter().map(|(key, entry)| (key, &entry.source));
            let unreadable = self.unreadable.iter().map(|(key, (source, _))| (key, source));
            let gone = known.chain(unreadable).filter(|(_, source)| is_gone(source));
            let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
            for key in &gone {
                self.route_gone(key);
            }
        } else {
            let gone = self.slices.iter().filter(|(_, (source, _))| is_gone(source));
            let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
            for key in &gone {
                self.slice_gone(key);
            }
        }
    }

    /// The table, if it is another than before; and what is refused that was not before.
    pub(super) fn table(&mut self) -> Option<(RouteTable, Vec<Refused>)> {
        let stale = std::mem::take(&mut self.stale);
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

    /// Makes a route anew, of what is asked for now or, where that cannot be, as it was. Answers it with its place in the
    /// table before, if it is in it; notes where it may get or lose another one by the change.
    fn remake(&mut self, key: &Key) -> Option<(usize, Arc<Route>)> {
        // One that is gone is in no table.
        let entry = self.routes.get_mut(key)?;
        let behind = |service: &str| {
            let service = Key { namespace: key.namespace.clone(), name: service.to_owned() };
            let slices = self.services.get(&service).into_iter().flatten();
            slices.filter_map(|slice| self.slices.get(slice)).map(|(_, slice)| &**slice).collect()
        };
        let attempt = |asked: &Arc<Asked>| -> Result<_, RouteFileError> {
            let origin = Origin { object: key.to_string().into(), generation: asked.spec.generation };
            let route = compile(self.role, &asked.spec, &behind)?;
            Ok((asked.clone(), Arc::new(Route { origin: Some(origin), ..route })))
        };
        let (good, wrong) = match attempt(&entry.asked) {
            Ok(good) => (Some(good), None),
            // As it was, with the endpoints that there are now.
            Err(error) => {
                let before = entry.good.as_ref().and_then(|(asked, _)| attempt(asked).ok());
                (before, Some(error.to_string()))
            }
        };
        let is_found_as_before = match (&entry.good, &good) {
            (Some((_, before)), Some((_, route))) => before.is_found_as(route),
            (before, now) => before.is_none() && now.is_none(),
        };
        self.others |= !is_found_as_before || entry.wrong != wrong;
        (entry.good, entry.wrong) = (good, wrong);
        let route = entry.good.as_ref().map(|(_, route)| route.clone());
        self.lead(key);
        Some((*self.places.get(key)?, route?))
    }

    /// Finds out who is in the table, of all; answers what is refused that was not before.
    fn judge(&mut self, generation: u64) -> Vec<Refused> {
        let good = |entry: &Entry| Some((entry.asked.clone(), entry.good.as_ref()?.1.clone()));
        let mut routes: Vec<_> = self.routes.values().filter_map(good).collect();
        routes.sort_by(|(a, _), (b, _)| a.age().cmp(&b.age()));
        let mut refused: BTreeMap<_, _> = self
            .routes
            .iter()
            .filter_map(|(key, entry)| Some((key.clone(), entry.wrong.clone()?)))
            .chain(self.unreadable.iter().map(|(key, (_, why))| (key.clone(), why.clone())))
            .collect();
        let mut taken = Taken::of(routes.len());
        let mut table = Vec::with_capacity(routes.len());
        self.places.clear();
        for (asked, route) in &routes {
            match taken.take(&asked.key, route) {
                Ok(()) => {
                    self.places.insert(asked.key.clone(), table.len());
                    table.push(route.clone());
                }
                Err(error) => {
                    refused.insert(asked.key.clone(), error.to_string());
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
        self.table = RouteTable::new(generation, table).without(named);
        news
    }
}

/// Where a route leads, as this hop sees it.
fn services(role: Role, spec: &GatewayRouteSpec) -> Vec<&str> {
    match role {
        Role::Gateway => vec![&spec.proxy.name],
        Role::ClusterProxy => spec.pods.iter().map(|pods| pods.service.name.as_str()).collect(),
    }
}

/// What routes that are in the table already have.
struct Taken<'a> {
    values: HashMap<(&'a str, &'a str), &'a Key>,
    names: HashMap<&'a str, &'a Key>,
    default: Option<&'a Key>,
}

impl<'a> Taken<'a> {
    /// For so many routes.
    fn of(routes: usize) -> Self {
        Self { values: HashMap::with_capacity(routes), names: HashMap::with_capacity(routes), default: None }
    }

    fn take(&mut self, key: &'a Key, route: &'a Route) -> Result<(), RouteFileError> {
        let older = |older: &Key, what: String| {
            Err(RouteFileError::Shape(format!("{what} is that of {older}, which is older")))
        };
        let value = (route.header.as_str(), &*route.value);
        if let Some(other) = self.values.get(&value) {
            return older(other, format!("match `{}: {}`", value.0, value.1));
        }
        if let Some(other) = self.names.get(&*route.name) {
            return older(other, format!("the name {:?}", route.name));
        }
        if let Some(other) = self.default.filter(|_| route.default) {
            return older(other, "the default".to_owned());
        }
        self.values.insert(value, key);
        self.names.insert(&route.name, key);
        if route.default {
            self.default = Some(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
