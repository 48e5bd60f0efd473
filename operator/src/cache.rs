//! What this operator knows of the cluster: filled by watches and by the answers to its own writes.
//!
//! Both come in any order, so each object keeps the greatest version that was seen of it. An answer that a watch has
//! already gone past says nothing new: where the object is not here any more, it was deleted after that answer.
//!
//! It is never asked for permission: before anything is written, the FundCluster itself is read afresh ([`crate::reconcile`]).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::api::DynamicObject;

use crate::{
    fields::Books,
    kinds::Kind,
    routes::{Rival, Routes},
    seen::{Key, Seen, Uid, Whole, version},
    texts::{Kept, Texts},
};

/// One of the watches, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WatchId(u32);

impl WatchId {
    /// The `number`th, from 0.
    pub(crate) fn of(number: usize) -> Self {
        Self(u32::try_from(number).expect("nobody has so many namespaces"))
    }

    fn place(self) -> usize {
        self.0 as usize
    }
}

/// All there is.
#[derive(Debug)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug)]
struct State {
    entries: HashMap<Key, Entry>,
    watches: Vec<Watch>,
    routes: Routes,
    books: Books,
    texts: Texts,
}

/// How far a watch is.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    /// Counts its lists: what the last one did not name is gone.
    list: u16,
    /// The greatest version it has told.
    told: u64,
    /// Whether it has told all there is once.
    complete: bool,
}

#[derive(Debug, Default)]
struct Entry {
    cluster: Option<Cluster>,
    children: Vec<(Source, Seen)>,
}

/// Which list of which watch an object was seen under last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    watch: WatchId,
    list: u16,
}

/// A FundCluster.
#[derive(Debug)]
struct Cluster {
    source: Source,
    version: u64,
    text: Kept,
}

/// What is known of what belongs to one FundCluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) children: Vec<Seen>,
    /// Who has its route, if not itself.
    pub(crate) rival: Option<Rival>,
}

impl Cache {
    /// For so many watches.
    pub(crate) fn new(watches: usize) -> Self {
        Self(Mutex::new(State {
            entries: HashMap::new(),
            watches: vec![Watch::default(); watches],
            routes: Routes::default(),
            books: Books::default(),
            texts: Texts::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch begins to list.
    pub(crate) fn list_begins(&self, watch: WatchId) {
        let mut state = self.state();
        let known = &mut state.watches[watch.place()];
        known.list = known.list.wrapping_add(1);
        known.told = 0;
    }

    /// A watch has listed all there is. Answers what is to be looked at because something is gone.
    pub(crate) fn list_ends(&self, watch: WatchId) -> Vec<Key> {
        let mut state = self.state();
        let state = &mut *state;
        state.watches[watch.place()].complete = true;
        let current = Source { watch, list: state.watches[watch.place()].list };
        let is_gone = |source: Source| source.watch == watch && source != current;
        let mut touched = Vec::new();
        for (key, entry) in &mut state.entries {
            let before = entry.children.len();
            entry.children.retain(|(source, _)| !is_gone(*source));
            let mut changed = entry.children.len() != before;
            if entry.cluster.take_if(|cluster| is_gone(cluster.source)).is_some() {
                changed = true;
                touched.extend(state.routes.leave(key));
            }
            if changed {
                touched.push(key.clone());
            }
        }
        state.entries.retain(|_, entry| !entry.is_empty());
        touched
    }

    /// Whether every watch has told all there is, at least once.
    pub(crate) fn is_complete(&self) -> bool {
        self.state().watches.iter().all(|watch| watch.complete)
    }

    /// A watch tells of a FundCluster. Answers what is to be looked at.
    pub(crate) fn cluster(&self, watch: WatchId, listed: bool, object: &DynamicObject) -> Vec<Key> {
        let mut state = self.state();
        let key = Key::of(&object.metadata);
        let version = version(&object.metadata);
        let source = state.told(watch, version);
        let entry = state.entries.entry(key.clone()).or_default();
        if let Some(known) = &mut entry.cluster
            && is_newer(known.version, version, listed && known.source != source)
        {
            known.source = source;
            return Vec::new();
        }
        state.keep_cluster(key, source, version, object)
    }

    /// The server answered with a FundCluster. Answers what is to be looked at because of it, but for itself.
    pub(crate) fn answered_cluster(&self, watch: WatchId, object: &DynamicObject) -> Vec<Key> {
        let mut state = self.state();
        let key = Key::of(&object.metadata);
        let version = version(&object.metadata);
        let known =
            state.entries.get(&key).and_then(|entry| entry.cluster.as_ref()).map(|known| known.version);
        if known.unwrap_or(state.watches[watch.place()].told) >= version {
            return Vec::new();
        }
        let source = state.source(watch);
        let mut touched = state.keep_cluster(key.clone(), source, version, object);
        touched.retain(|other| *other != key);
        touched
    }

    /// A watch tells that a FundCluster is gone.
    pub(crate) fn cluster_gone(&self, watch: WatchId, object: &DynamicObject) -> Vec<Key> {
        let mut state = self.state();
        let key = Key::of(&object.metadata);
        let version = version(&object.metadata);
        state.told(watch, version);
        let Some(entry) = state.entries.get_mut(&key) else { return Vec::new() };
        if entry.cluster.take_if(|known| known.version <= version || version == 0).is_none() {
            return Vec::new();
        }
        let empty = entry.is_empty();
        if empty {
            state.entries.remove(&key);
        }
        let mut touched = state.routes.leave(&key);
        touched.push(key);
        touched
    }

    /// A watch tells of a child. Answers whose it is, where something about it is new.
    pub(crate) fn child(&self, watch: WatchId, listed: bool, kind: Kind, object: &Whole) -> Option<Key> {
        let mut state = self.state();
        let source = state.told(watch, version(&object.metadata));
        let (key, seen) = Seen::of(kind, object, &mut state.books)?;
        let entry = state.entries.entry(key.clone()).or_default();
        let Some((known_source, known)) = entry.find(kind, &seen.name) else {
            entry.add(source, seen);
            return Some(key);
        };
        let listed_anew = listed && *known_source != source;
        *known_source = source;
        if is_newer(known.version, seen.version, listed_anew) || known.version == seen.version {
            return None;
        }
        let settled = known.settled.take();
        *known = Seen { settled, ..seen };
        Some(key)
    }

    /// The server answered with what has the name of a child of `key`. None where it is somebody else's: it is not kept.
    pub(crate) fn answered_child(
        &self,
        watch: WatchId,
        key: &Key,
        kind: Kind,
        object: &Whole,
    ) -> Option<Seen> {
        // One that nothing says that of any more is told by its books.
        if Key::of_child(&object.metadata).is_some_and(|whose| whose != *key) {
            return None;
        }
        let mut state = self.state();
        let seen = Seen::read(kind, object, &mut state.books);
        if !seen.is_own() {
            return None;
        }
        let (source, told) = (state.source(watch), state.watches[watch.place()].told);
        let entry = state.entries.entry(key.clone()).or_default();
        match entry.find(kind, &seen.name) {
            Some((_, known)) if known.version >= seen.version => {}
            Some((_, known)) => {
                let settled = known.settled.take();
                *known = Seen { settled, ..seen.clone() };
            }
            None if seen.version <= told => {}
            None => entry.add(source, seen.clone()),
        }
        Some(seen)
    }

    /// What the server takes of it, it has: asking again changes nothing.
    pub(crate) fn settle(&self, key: &Key, applied: &Seen, digest: u64) {
        let Some(fields) = &applied.fields else { return };
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(key) else { return };
        if let Some((_, known)) = entry.find(applied.kind, &applied.name) {
            known.settled = Some((digest, fields.clone()));
        }
    }

    /// A watch tells that a child is gone.
    pub(crate) fn child_gone(&self, watch: WatchId, kind: Kind, object: &Whole) -> Option<Key> {
        let mut state = self.state();
        let told = version(&object.metadata);
        state.told(watch, told);
        let key = Key::of_child(&object.metadata)?;
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let gone =
            |seen: &Seen| seen.kind == kind && *seen.name == *name && (seen.version <= told || told == 0);
        state.drop_child(&key, gone)
    }

    /// The server says that there is no such child.
    pub(crate) fn child_not_found(&self, key: &Key, kind: Kind, name: &str) {
        self.state().drop_child(key, |seen| seen.kind == kind && *seen.name == *name);
    }

    /// A FundCluster.
    pub(crate) fn cluster_of(&self, key: &Key) -> Option<DynamicObject> {
        let state = self.state();
        let text = state.entries.get(key)?.cluster.as_ref()?.text.clone();
        let texts = state.texts.clone();
        drop(state);
        Some(
            serde_json::from_slice(&texts.read(&text))
                .expect("it was written from the type that it is read into"),
        )
    }

    /// What is known of what belongs to a FundCluster.
    pub(crate) fn known(&self, key: &Key) -> Known {
        let state = self.state();
        let Some(entry) = state.entries.get(key) else { return Known::default() };
        Known {
            children: entry.children.iter().map(|(_, seen)| seen.clone()).collect(),
            rival: state.routes.rival(key),
        }
    }

    /// The server is to delete a child, which may take a while.
    pub(crate) fn child_leaves(&self, key: &Key, kind: Kind, name: &str, uid: &Uid) {
        let mut state = self.state();
        let found = state.entries.get_mut(key).and_then(|entry| entry.find(kind, name));
        if let Some((_, seen)) = found.filter(|(_, seen)| seen.uid == *uid) {
            seen.leaving = true;
        }
    }

    /// Everything there is something of.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.state().entries.keys().cloned().collect()
    }

    /// How many FundClusters and children there are.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let state = self.state();
        let clusters = state.entries.values().filter(|entry| entry.cluster.is_some()).count();
        (clusters, state.entries.values().map(|entry| entry.children.len()).sum())
    }
}

/// Whether what is known is newer than what is told. A list that begins anew is right whatever it says: where a server was
/// set back, its versions begin again below.
fn is_newer(known: u64, told: u64, listed_anew: bool) -> bool {
    !listed_anew && told != 0 && known > told
}

impl State {
    fn source(&self, watch: WatchId) -> Source {
        Source { watch, list: self.watches[watch.place()].list }
    }

    fn told(&mut self, watch: WatchId, version: u64) -> Source {
        let known = &mut self.watches[watch.place()];
        known.told = known.told.max(version);
        self.source(watch)
    }

    fn keep_cluster(&mut self, key: Key, source: Source, version: u64, object: &DynamicObject) -> Vec<Key> {
        let mut touched = self.routes.ask(&key, object);
        let mut kept = object.clone();
        kept.metadata.managed_fields = None;
        let text = self.texts.keep(&serde_json::to_vec(&kept).expect("an object is JSON"));
        let entry = self.entries.entry(key.clone()).or_default();
        let same = entry.cluster.as_ref().is_some_and(|known| known.version == version && version != 0);
        entry.cluster = Some(Cluster { source, version, text });
        if !same {
            touched.push(key);
        }
        touched
    }

    fn drop_child(&mut self, key: &Key, gone: impl Fn(&Seen) -> bool) -> Option<Key> {
        let entry = self.entries.get_mut(key)?;
        let before = entry.children.len();
        entry.children.retain(|(_, seen)| !gone(seen));
        let dropped = entry.children.len() != before;
        if entry.is_empty() {
            self.entries.remove(key);
        }
        dropped.then(|| key.clone())
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.children.is_empty()
    }

    /// One by one, and no room for more: of ten thousand lists of seventeen, half would be room.
    fn add(&mut self, source: Source, seen: Seen) {
        self.children.reserve_exact(1);
        self.children.push((source, seen));
    }

    fn find(&mut self, kind: Kind, name: &str) -> Option<&mut (Source, Seen)> {
        self.children.iter_mut().find(|(_, seen)| seen.kind == kind && *seen.name == *name)
    }
}

#[cfg(test)]
mod tests;
