//! Everything that is kept: objects, what happened to them, and whom they belong to.
//!
//! One number counts all writes. What happened is kept for a while, so that a watch can go on where it was and a list of
//! many pages is that of one moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    object::{Place, Stored},
    resources::{Resource, Resources},
};

/// How many events of a kind are kept by default: more than any test makes in one go, and few enough to hold.
const KEPT_EVENTS: usize = 16_384;

/// The number of the first write, so that numbers have some digits as elsewhere.
const FIRST_REVISION: u64 = 1_000;

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) revision: u64,
    pub(crate) place: Place,
    pub(crate) before: Option<Arc<Stored>>,
    pub(crate) after: Option<Arc<Stored>>,
}

/// The objects of a kind.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) resource: Arc<Resource>,
    pub(crate) live: BTreeMap<Place, Arc<Stored>>,
    pub(crate) happened: VecDeque<Happened>,
    /// Nobody who comes anew is told what happened before this write.
    pub(crate) forgotten: u64,
    /// The last write that was forgotten: who has not seen it missed something.
    pub(crate) dropped: u64,
    /// Wakes watches.
    pub(crate) news: watch::Sender<u64>,
}

impl Objects {
    /// The objects as they stood after that write: a few that differ from now, and the rest.
    pub(crate) fn differing_at(&self, revision: u64) -> BTreeMap<Place, Option<Arc<Stored>>> {
        let mut then = BTreeMap::new();
        for event in self.happened.iter().skip(self.first_after(revision)) {
            then.entry(event.place.clone()).or_insert_with(|| event.before.clone());
        }
        then
    }

    /// Where what happened after that write begins.
    pub(crate) fn first_after(&self, revision: u64) -> usize {
        self.happened.partition_point(|event| event.revision <= revision)
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Store {
    kinds: Vec<Objects>,
    pub(crate) revision: u64,
    /// Where the object of that uid is.
    by_uid: HashMap<Arc<str>, (usize, Place)>,
    /// What belongs to the object of that uid, there or not.
    dependents: HashMap<Arc<str>, BTreeSet<(usize, Place)>>,
    pub(crate) kept_events: usize,
}

impl Store {
    pub(crate) fn new(resources: &Resources) -> Self {
        let kinds = resources.all().iter().map(|resource| Objects {
            resource: resource.clone(),
            live: BTreeMap::new(),
            happened: VecDeque::new(),
            forgotten: FIRST_REVISION,
            dropped: 0,
            news: watch::Sender::new(FIRST_REVISION),
        });
        Self {
            kinds: kinds.collect(),
            revision: FIRST_REVISION,
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
            kept_events: KEPT_EVENTS,
        }
    }

    pub(crate) fn of(&self, kind: usize) -> &Objects {
        &self.kinds[kind]
    }

    pub(crate) fn kinds(&self) -> &[Objects] {
        &self.kinds
    }

    pub(crate) fn get(&self, kind: usize, place: &Place) -> Option<&Arc<Stored>> {
        self.kinds[kind].live.get(place)
    }

    /// Where the object of that uid is.
    pub(crate) fn find(&self, uid: &str) -> Option<&(usize, Place)> {
        self.by_uid.get(uid)
    }

    /// What belongs to the object of that uid.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(usize, Place)> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    pub(crate) fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.contains_key(uid)
    }

    /// Puts an object there, in the place of what was there.
    pub(crate) fn put(&mut self, kind: usize, place: Place, object: &Value) -> Arc<Stored> {
        self.revision += 1;
        let stored = Arc::new(Stored::new(object, self.revision));
        let before = self.kinds[kind].live.insert(place.clone(), stored.clone());
        if let Some(before) = &before {
            self.unlink(kind, &place, before);
        }
        self.by_uid.insert(stored.uid.clone(), (kind, place.clone()));
        for owner in &stored.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert((kind, place.clone()));
        }
        self.tell(kind, Happened { revision: self.revision, place, before, after: Some(stored.clone()) });
        stored
    }

    /// Takes an object out.
    pub(crate) fn take(&mut self, kind: usize, place: &Place) -> Option<Arc<Stored>> {
        let before = self.kinds[kind].live.remove(place)?;
        self.revision += 1;
        self.unlink(kind, place, &before);
        let event = Happened {
            revision: self.revision,
            place: place.clone(),
            before: Some(before.clone()),
            after: None,
        };
        self.tell(kind, event);
        Some(before)
    }

    fn unlink(&mut self, kind: usize, place: &Place, stored: &Stored) {
        self.by_uid.remove(&stored.uid);
        for owner in &stored.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&(kind, place.clone()));
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    fn tell(&mut self, kind: usize, event: Happened) {
        let objects = &mut self.kinds[kind];
        let revision = event.revision;
        objects.happened.push_back(event);
        while objects.happened.len() > self.kept_events {
            if let Some(oldest) = objects.happened.pop_front() {
                objects.forgotten = oldest.revision;
                objects.dropped = oldest.revision;
            }
        }
        objects.news.send_replace(revision);
    }

    /// Wakes every watch, as something happened that is no event.
    pub(crate) fn wake(&self) {
        for objects in &self.kinds {
            objects.news.send_modify(|_| {});
        }
    }

    /// Forgets everything that happened so far.
    pub(crate) fn compact(&mut self) {
        for objects in &mut self.kinds {
            if let Some(last) = objects.happened.back() {
                objects.dropped = last.revision;
            }
            objects.happened.clear();
            objects.forgotten = self.revision;
        }
    }
}
