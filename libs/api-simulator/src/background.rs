//! What happens by itself, a while after a write: the garbage collector and the rest of what controllers do.
//!
//! Flow: a write plans work for a time -> one task sleeps until then and does it. Without work it sleeps for ever, so that
//! paused time never advances for its sake.

use std::sync::{Arc, PoisonError, Weak};

use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

use crate::{object::Stored, simulator::Shared, state::State};

/// How long the garbage collector takes to notice, where nothing else is said: about what it takes elsewhere.
const COLLECTING: Duration = Duration::from_millis(50);

/// How the rest of a cluster behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long after a deletion what belonged to the object is deleted; nothing where nobody does that, as with an API
    /// server alone.
    pub garbage_collection: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { garbage_collection: Some(COLLECTING) }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// See what the object of that uid means for what belongs to it.
    Collect(Arc<str>),
}

impl State {
    /// Plans what follows from a write.
    pub(crate) fn follow(&mut self, before: Option<&Stored>, after: Option<&Stored>) {
        self.collect_later(before, after);
    }

    pub(crate) fn plan(&mut self, after: Duration, work: Work) {
        if !self.work.values().any(|planned| *planned == work) {
            self.planned += 1;
            self.work.insert((Instant::now() + after, self.planned), work);
        }
    }

    /// Does what is due, and says when there is more.
    fn work(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some(entry) = self.work.first_entry() {
            if entry.key().0 > now {
                return Some(entry.key().0);
            }
            match entry.remove() {
                Work::Collect(uid) => self.collect(&uid),
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
