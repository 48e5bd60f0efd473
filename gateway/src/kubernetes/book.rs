//! What Kubernetes said of routes and of what is behind them, and the table that comes of it. Pure.
//!
//! A route that cannot be is refused alone: it stays as it was, and the others change. Of two that want the same requests
//! the older has them, as the operator decides too; so the order in which they are heard of does not matter.

use std::{
    collections::{BTreeMap, HashMap},
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
    pub(super) fn of(route: GatewayRoute) -> Self {
        let created = route.creation_timestamp().map_or(Timestamp::MAX, |time| time.0);
        Self { key: Key::of(&route), created, uid: route.uid().unwrap_or_default(), spec: route.spec }
    }
}

/// A route, and what came of it.
#[derive(Debug)]
struct Entry {
    source: Source,
    asked: Asked,
    /// The last one that could be, and the route that it is.
    good: Option<(GatewayRouteSpec, Arc<Route>)>,
    /// Why it is not as it is asked for.
    wrong: Option<String>,
    /// Whether something about it changed since.
    stale: bool,
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
    slices: BTreeMap<Key, (Source, Slice)>,
    /// Which slices belong to a Service.
    services: HashMap<Key, Vec<Key>>,
    /// Which routes lead to a Service.
    leading: HashMap<Key, Vec<Key>>,
    /// What the table before was without.
    refused: BTreeMap<Key, String>,
    changed: bool,
    generation: u64,
}

/// What a gateway can start from when nobody answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    routes: Vec<Asked>,
    slices: Vec<(Key, Slice)>,
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
            changed: false,
            generation: 0,
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
        saved.routes.into_iter().for_each(|asked| self.route(never, asked));
        saved.slices.into_iter().for_each(|(key, slice)| self.slice(never, key, slice));
    }

    /// A route is asked for.
    pub(super) fn route(&mut self, source: Source, asked: Asked) {
        self.changed |= self.unreadable.remove(&asked.key).is_some();
        if let Some(entry) = self.routes.get_mut(&asked.key) {
            entry.source = source;
            if entry.asked == asked {
                return;
            }
            let before = std::mem::replace(&mut entry.asked, asked.clone());
            entry.stale = true;
            self.lead(&before, false);
        } else {
            let entry = Entry { source, asked: asked.clone(), good: None, wrong: None, stale: true };
            self.routes.insert(asked.key.clone(), entry);
        }
        self.changed = true;
        self.lead(&asked, true);
    }

    /// It is not asked for any more.
    pub(super) fn route_gone(&mut self, key: &Key) {
        self.changed |= self.unreadable.remove(key).is_some();
        if let Some(entry) = self.routes.remove(key) {
            self.lead(&entry.asked, false);
            self.changed = true;
        }
    }

    /// It is there, and what it says cannot be read: it stays as it was.
    pub(super) fn route_unreadable(&mut self, source: Source, key: Key, why: String) {
        if let Some(entry) = self.routes.get_mut(&key) {
            entry.source = source;
        }
        let before = self.unreadable.insert(key, (source, why.clone()));
        self.changed |= before.is_none_or(|(_, before)| before != why);
    }

    /// Notes to which Services a route leads, or that it leads there no more.
    fn lead(&mut self, asked: &Asked, leads: bool) {
        for service in services(self.role, &asked.spec) {
            let service = Key { namespace: asked.key.namespace.clone(), name: service.to_owned() };
            let routes = self.leading.entry(service.clone()).or_default();
            routes.retain(|route| *route != asked.key);
            if leads {
                routes.push(asked.key.clone());
            } else if routes.is_empty() {
                self.leading.remove(&service);
            }
        }
    }

    /// Endpoints of a Service.
    pub(super) fn slice(&mut self, source: Source, key: Key, slice: Slice) {
        if let Some((known, before)) = self.slices.get_mut(&key) {
            *known = source;
            if *before == slice {
                return;
            }
        }
        self.slice_gone(&key);
        let service = Key { namespace: key.namespace.clone(), name: slice.service.clone() };
        self.touch(&service);
        self.services.entry(service).or_default().push(key.clone());
        self.slices.insert(key, (source, slice));
    }

    /// There are no such endpoints any more.
    pub(super) fn slice_gone(&mut self, key: &Key) {
        let Some((_, slice)) = self.slices.remove(key) else { return };
        let service = Key { namespace: key.namespace.clone(), name: slice.service };
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
        for route in self.leading.get(service).into_iter().flatten() {
            if let Some(entry) = self.routes.get_mut(route) {
                entry.stale = true;
                self.changed = true;
            }
        }
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
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.generation += 1;
        for (key, entry) in self.routes.iter_mut().filter(|(_, entry)| entry.stale) {
            entry.stale = false;
            let behind = |service: &str| {
                let service = Key { namespace: key.namespace.clone(), name: service.to_owned() };
                let slices = self.services.get(&service).into_iter().flatten();
                slices.filter_map(|slice| self.slices.get(slice)).map(|(_, slice)| slice).collect()
            };
            let attempt = |spec: &GatewayRouteSpec| {
                let origin = Origin { object: key.to_string().into(), generation: spec.generation };
                compile(self.role, spec, &behind)
                    .map(|route| Arc::new(Route { origin: Some(origin), ..route }))
            };
            match attempt(&entry.asked.spec) {
                Ok(route) => {
                    entry.wrong = None;
                    entry.good = Some((entry.asked.spec.clone(), route));
                }
                Err(error) => {
                    entry.wrong = Some(error.to_string());
                    // As it was, with the endpoints that there are now.
                    entry.good = entry
                        .good
                        .take()
                        .and_then(|(spec, _)| attempt(&spec).ok().map(|route| (spec, route)));
                }
            }
        }
        let mut routes: Vec<_> =
            self.routes.values().filter_map(|entry| Some((&entry.asked, &entry.good.as_ref()?.1))).collect();
        routes.sort_by(|(a, _), (b, _)| (a.created, &a.uid, &a.key).cmp(&(b.created, &b.uid, &b.key)));
        let mut refused: BTreeMap<_, _> = self
            .routes
            .iter()
            .filter_map(|(key, entry)| Some((key.clone(), entry.wrong.clone()?)))
            .chain(self.unreadable.iter().map(|(key, (_, why))| (key.clone(), why.clone())))
            .collect();
        let mut taken = Taken::of(routes.len());
        let mut table = Vec::with_capacity(routes.len());
        for (asked, route) in routes {
            match taken.take(&asked.key, route) {
                Ok(()) => table.push(route.clone()),
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
        Some((RouteTable::new(self.generation, table).without(named), news))
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
