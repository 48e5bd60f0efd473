//! What Kubernetes said of routes and of what is behind them, and the table that comes of it. Pure.
//!
//! A route that cannot be is refused alone: it stays as it was, and the others change. Of two that want the same requests
//! the older has them, as the operator decides too; so the order in which they are heard of does not matter.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use fundbond_crds::{GatewayRoute, GatewayRouteSpec};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use super::slices::Slice;
use crate::{
    config::Role,
    decide::{Route, RouteTable},
    kubernetes::compile::compile,
    route_file::RouteFileError,
};

/// Which object: its namespace and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
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
    /// Whether something about it changed since.
    stale: bool,
}

/// A route that is not as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GatewayRoute {namespace}/{name}: {why}")]
pub(super) struct Refused {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) why: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Book {
    role: Role,
    routes: BTreeMap<Key, Entry>,
    slices: BTreeMap<Key, (Source, Slice)>,
    /// Which slices belong to a Service.
    services: HashMap<Key, Vec<Key>>,
    /// What was refused and told.
    told: HashSet<Key>,
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
            slices: BTreeMap::new(),
            services: HashMap::new(),
            told: HashSet::new(),
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
        if let Some(entry) = self.routes.get_mut(&asked.key) {
            entry.source = source;
            if entry.asked != asked {
                entry.asked = asked;
                entry.stale = true;
                self.changed = true;
            }
            return;
        }
        self.changed = true;
        self.routes.insert(asked.key.clone(), Entry { source, asked, good: None, stale: true });
    }

    /// It is not asked for any more.
    pub(super) fn route_gone(&mut self, key: &Key) {
        if self.routes.remove(key).is_some() {
            self.told.remove(key);
            self.changed = true;
        }
    }

    /// It is there, and what it says cannot be read: it stays as it was.
    pub(super) fn route_unreadable(&mut self, source: Source, key: &Key) {
        if let Some(entry) = self.routes.get_mut(key) {
            entry.source = source;
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

    /// Whatever leads to a Service is stale. A FundCluster's routes lead to its own Services, so there is one at most; but
    /// nothing here relies on that.
    fn touch(&mut self, service: &Key) {
        for entry in self.routes.values_mut().filter(|entry| entry.asked.key.namespace == service.namespace) {
            let spec = &entry.asked.spec;
            let leads = match self.role {
                Role::Gateway => spec.proxy.name == service.name,
                Role::ClusterProxy => spec.pods.iter().any(|pods| pods.service.name == service.name),
            };
            if leads {
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
            let gone = self.routes.iter().filter(|(_, entry)| is_gone(&entry.source));
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

    /// The table, if it is another than before; and what was refused since.
    pub(super) fn table(&mut self) -> Option<(RouteTable, Vec<Refused>)> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.generation += 1;
        let mut refused = Vec::new();
        for (key, entry) in self.routes.iter_mut().filter(|(_, entry)| entry.stale) {
            entry.stale = false;
            let behind = |service: &str| {
                let service = Key { namespace: key.namespace.clone(), name: service.to_owned() };
                let slices = self.services.get(&service).into_iter().flatten();
                slices.filter_map(|slice| self.slices.get(slice)).map(|(_, slice)| slice).collect()
            };
            let attempt = |spec: &GatewayRouteSpec| compile(self.role, spec, &behind);
            match attempt(&entry.asked.spec) {
                Ok(route) => {
                    self.told.remove(key);
                    entry.good = Some((entry.asked.spec.clone(), Arc::new(route)));
                }
                Err(error) => {
                    // As it was, with the endpoints that there are now.
                    entry.good = entry
                        .good
                        .take()
                        .and_then(|(spec, _)| attempt(&spec).ok().map(|route| (spec, Arc::new(route))));
                    refused.extend(tell(&mut self.told, key, &error));
                }
            }
        }
        let mut routes: Vec<_> =
            self.routes.values().filter_map(|entry| Some((&entry.asked, &entry.good.as_ref()?.1))).collect();
        routes.sort_by(|(a, _), (b, _)| (a.created, &a.uid, &a.key).cmp(&(b.created, &b.uid, &b.key)));
        let mut taken = Taken::default();
        let mut table = Vec::with_capacity(routes.len());
        for (asked, route) in routes {
            match taken.take(&asked.key, route) {
                Ok(()) => table.push(Route::clone(route)),
                Err(error) => refused.extend(tell(&mut self.told, &asked.key, &error)),
            }
        }
        Some((RouteTable::new(self.generation, table), refused))
    }
}

/// Says once that a route is refused.
fn tell(told: &mut HashSet<Key>, key: &Key, error: &RouteFileError) -> Option<Refused> {
    told.insert(key.clone()).then(|| Refused {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        why: error.to_string(),
    })
}

/// What routes that are in the table already have.
#[derive(Default)]
struct Taken<'a> {
    values: HashMap<(&'a str, &'a str), &'a Key>,
    names: HashMap<&'a str, &'a Key>,
    default: Option<&'a Key>,
}

impl<'a> Taken<'a> {
    fn take(&mut self, key: &'a Key, route: &'a Route) -> Result<(), RouteFileError> {
        let older = |older: &Key, what: String| {
            Err(RouteFileError::Shape(format!(
                "{what} is that of {}/{}, which is older",
                older.namespace, older.name
            )))
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
