//! What was asked of the server, by whom, and what came of it.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::Duration;

use crate::call::Verb;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is being done.
    Open,
    /// The server answered with this code.
    Answered(u16),
    /// A fault answered with this code, and nothing was done.
    Refused(u16),
    /// Nobody ever answered.
    Hung {
        /// Whether it was done.
        done: bool,
    },
    /// The connection broke before anything was done, or after.
    Dropped {
        /// Whether it was done.
        done: bool,
    },
    /// The server was away.
    Away,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The how manyth it was, from 0.
    pub number: u64,
    /// When it came, since the simulator began.
    pub at: Duration,
    /// Whose it was: the name that the client was made with.
    pub identity: Arc<str>,
    /// What was to be done.
    pub verb: Verb,
    /// Of which group; nothing for the core.
    pub group: String,
    /// Of which kind, as in paths: `deployments`.
    pub resource: String,
    /// `status`, or nothing.
    pub subresource: &'static str,
    /// Where; nothing for all namespaces.
    pub namespace: Arc<str>,
    /// Of which name; nothing where many are meant. Of one that the server named, the name it got.
    pub name: Arc<str>,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether anything was different afterwards.
    pub changed: bool,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, at, identity, verb, group, resource, subresource, namespace, name, .. } = self;
        let dot = if group.is_empty() { "" } else { "." };
        let slash = if subresource.is_empty() { "" } else { "/" };
        write!(
            f,
            "#{number} {:.3}s {identity} {verb} {resource}{dot}{group}{slash}{subresource} ",
            at.as_secs_f64()
        )?;
        write!(f, "{namespace}/{name} {:?}", self.outcome)?;
        if self.changed { f.write_str(" changed") } else { Ok(()) }
    }
}

/// A right that was used: verb, group, resource with its subresource.
pub type Right = (Verb, String, String);

/// All requests since it was last emptied.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) entries: Vec<Entry>,
    /// The number of the first entry kept.
    first: u64,
    /// Nothing is kept, for runs of which nobody asks.
    pub(crate) off: bool,
    next: u64,
}

impl Trace {
    /// The number of the next request.
    pub(crate) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.off {
            self.first = self.next;
        }
        number
    }

    /// Keeps a request, if that is wanted.
    pub(crate) fn begin(&mut self, entry: Entry) {
        if !self.off {
            self.entries.push(entry);
        }
    }

    pub(crate) fn end(&mut self, number: u64, end: impl FnOnce(&mut Entry)) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            end(entry);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        self.first = self.next;
        std::mem::take(&mut self.entries)
    }
}

/// The rights that these requests needed.
pub fn rights<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeSet<Right> {
    let right = |entry: &Entry| {
        let slash = if entry.subresource.is_empty() { "" } else { "/" };
        (entry.verb, entry.group.clone(), format!("{}{slash}{}", entry.resource, entry.subresource))
    };
    entries.into_iter().map(right).collect()
}
