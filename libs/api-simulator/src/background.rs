//! What happens by itself, a while after a write: the garbage collector and the rest of what controllers do.
//!
//! Flow: a write plans work for a time -> one task sleeps until then and does it. Without work it sleeps for ever, so that
//! paused time never advances for its sake.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, Weak},
};

use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

use crate::{object::Stored, rollout::Step, simulator::Shared, state::State};

/// How long the garbage collector takes to notice, where nothing else is said: about what it takes elsewhere.
const COLLECTING: Duration = Duration::from_millis(50);

/// How long pods take to start, where nothing else is said: long enough to be seen.
const ROLLING: Duration = Duration::from_secs(2);

/// How the rest of a cluster behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long after a deletion what belonged to the object is deleted; nothing where nobody does that, as with an API
    /// server alone.
    pub garbage_collection: Option<Duration>,
    /// How long after a change of a Deployment all its pods are ready; nothing where there is nobody who starts any.
    pub rollouts: Option<Duration>,
    /// The Deployments whose pods never become ready: `namespace/name`.
    pub never_ready: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { garbage_collection: Some(COLLECTING), rollouts: Some(ROLLING), never_ready: BTreeSet::new() }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// See what the object of that uid means for what belongs to it.
    Collect(Arc<str>),
    /// Take a step of the Deployment of that uid.
    Roll(Arc<str>, Step),
}

impl State {
    /// Plans what follows from a write.
    pub(crate) fn follow(&mut self, kind: usize, before: Option<&Stored>, after: Option<&Stored>) {
        self.collect_later(before, after);
        if let Some(after) = after {
            self.roll_later(kind, before, after);
        } else if let Some(before) = before {
            self.templates.remove(&before.uid);
        }
    }

    pub(crate) fn plan(&mut self, after: Duration, work: Work) {
        if !self.times.contains_key(&work) {
            self.planned += 1;
            let time = (Instant::now() + after, self.planned);
            self.times.insert(work.clone(), time);
            self.work.insert(time, work);
        }
    }

    pub(crate) fn unplan(&mut self, work: &Work) {
        if let Some(time) = self.times.remove(work) {
            self.work.remove(&time);
        }
    }

    /// Does what is due, and says when there is more.
    fn work(&mut self) -> Option<Instant> {
        if self.away {
            // Controllers need the server as well.
            return None;
        }
        let now = Instant::now();
        while let Some(entry) = self.work.first_entry() {
            if entry.key().0 > now {
                return Some(entry.key().0);
            }
            let work = entry.remove();
            self.times.remove(&work);
            match work {
                Work::Collect(uid) => self.collect(&uid),
                Work::Roll(uid, step) => self.roll(&uid, step),
            }
        }
        None
    }
}

/// Does the work when it is due, for as long as there is a simulator.
pub(crate) async fn run(shared: Weak<Shared>, planned: Arc<Notify>) {
    loop {
        let next = match shared.upgrade() {
            Some(shared) => shared.state.lock().unwrap_or_else(PoisonError::into_inner).work(),
            None => return,
        };
        match next {
            None => planned.notified().await,
            Some(due) => tokio::select! {
                () = sleep_until(due) => {}
                () = planned.notified() => {}
            },
        }
    }
}
