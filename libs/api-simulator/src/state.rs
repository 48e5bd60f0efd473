//! Everything that a request can change, behind one lock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    background::{Settings, Work},
    clock::Clock,
    faults::Planned,
    object::{Place, Stored},
    resources::{Resource, Resources},
    store::Store,
    trace::Trace,
};

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Answered,
    /// Whether anything is different now.
    pub(crate) changed: bool,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    /// An object as it is kept.
    Object(Arc<Stored>),
    /// Something that is not.
    Text(bytes::Bytes),
}

/// The state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) trace: Trace,
    pub(crate) settings: Settings,
    pub(crate) faults: Planned,
    /// What is to be done when, in order.
    pub(crate) work: BTreeMap<(Instant, u64), Work>,
    pub(crate) times: HashMap<Work, (Instant, u64)>,
    /// The kind of Deployments.
    pub(crate) deployments: usize,
    /// The templates that were rolled out, by the uid of the Deployment.
    pub(crate) templates: HashMap<Arc<str>, Value>,
    pub(crate) planned: u64,
    /// How often the server went away: watches of before are broken.
    pub(crate) outages: u64,
    /// Whether it is away now.
    pub(crate) away: bool,
    random: StdRng,
}

impl State {
    pub(crate) fn new(seed: u64, resources: &Resources) -> Self {
        Self {
            store: Store::new(resources),
            clock: Clock::new(),
            trace: Trace::default(),
            settings: Settings::default(),
            faults: Planned::default(),
            away: false,
            work: BTreeMap::new(),
            times: HashMap::new(),
            deployments: resources.of_path("apps", "v1", "deployments").unwrap_or(usize::MAX),
            templates: HashMap::new(),
            planned: 0,
            outages: 0,
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(crate) fn resource(&self, kind: usize) -> Arc<Resource> {
        self.store.of(kind).resource.clone()
    }

    /// A uid that was never given before.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low): (u64, u64) = (self.random.random(), self.random.random());
        let time = format!("{:08x}-{:04x}-4{:03x}", high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        format!("{time}-{:04x}-{:012x}", (low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff)
    }

    /// The end of a name that the server completes: no vowels, nothing that looks like something else.
    pub(crate) fn name_end(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let letter = |_| char::from(LETTERS[self.random.random_range(0..LETTERS.len())]);
        (0..5).map(letter).collect()
    }

    /// Puts an object there, and has done what follows from it.
    pub(crate) fn put(&mut self, kind: usize, place: Place, object: &Value) -> Arc<Stored> {
        let before = self.store.get(kind, &place).cloned();
        let stored = self.store.put(kind, place, object);
        self.follow(kind, before.as_deref(), Some(&stored));
        stored
    }

    /// Takes an object out, and has done what follows from it.
    pub(crate) fn take(&mut self, kind: usize, place: &Place) {
        if let Some(before) = self.store.take(kind, place) {
            self.follow(kind, Some(&before), None);
        }
    }
}
