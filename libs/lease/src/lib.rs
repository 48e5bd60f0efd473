//! Fenced leader election: of many processes one leads, and what a former leader still does comes too late.
//!
//! Flow: a [`View`] holds what one candidate knows; [`decide`] says what it should do next, with no IO and no clock; the
//! [`Elector`] does it on a [`LeaseStore`] and tells the view what came of it. Whoever leads has a [`Token`] that is
//! greater than that of every leader before: everything the leader changes is checked against the greatest token seen.
//!
//! A lease that is not there may have been deleted under a leader. Whoever writes it anew leads only after
//! [`Timing::lead`], when that leader has noticed or lapsed. A lease that was given back is free at once.
//!
//! Three times keep two leaders apart. A leader counts from the moment it *sent* its last successful renewal and stops
//! after [`Timing::lead`]; a candidate counts from the moment it *saw* the lease change and takes it after
//! [`Timing::expire`]. A renewal is sent before anybody can see it, so the first clock always started earlier.
//!
//! No wall clock is read: neither a jump of one nor a difference between two matters. Nothing here keeps a process from
//! being stopped between a check and the act it was for; that is what the token is for.
//!
//! A lease is kept in this process ([`MemoryLeases`]), in Kubernetes ([`kubernetes`]), or wherever else somebody implements
//! [`LeaseStore`]; all of them pass one [`contract`].

#[cfg(all(not(debug_assertions), feature = "bug-blind-renewal"))]
compile_error!("the bug-* features are mistakes for the tests to find, and no release has them");

#[cfg(feature = "contract")]
pub mod contract;
mod elector;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod memory;
#[cfg(test)]
mod model;
pub mod names;
mod view;

use std::{fmt, time::Duration};

use async_trait::async_trait;

pub use elector::{Elector, Leadership};
pub use memory::MemoryLeases;
pub use view::{Action, View, decide};

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// A lease that has not changed for so long may be taken.
    pub expire: Duration,
    /// A leader stops so long after it sent its last successful renewal.
    pub lead: Duration,
    /// Between two attempts to take, renew or look.
    pub retry: Duration,
    /// An attempt that has no answer by then has failed.
    pub attempt: Duration,
}

impl Timing {
    /// What Kubernetes' own components use: a dead leader is followed within 17 s, and one that cannot renew has five
    /// seconds for what it is in the middle of. Three attempts of 3 s fit into the 10 s.
    pub const USUAL: Self = Self {
        expire: Duration::from_secs(15),
        lead: Duration::from_secs(10),
        retry: Duration::from_secs(2),
        attempt: Duration::from_secs(3),
    };
}

/// Orders leaderships: each is greater than all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One writing of a lease. Every successful write makes a greater one, also where the lease was deleted in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// What a lease says, and which writing of it that is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Who holds it: a name that no two starts of a process share. None for a lease that was given back.
    pub holder: Option<String>,
    /// Which writing.
    pub version: Version,
}

/// What must stand there for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// No lease.
    Absent,
    /// This very writing of it.
    Version(Version),
}

/// Answer to [`LeaseStore::write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// It stands there, as this writing.
    Done(Version),
    /// Something else stood there; nothing happened.
    Conflict,
}

/// A store that cannot answer. Nobody knows whether the write was done.
#[derive(Debug, thiserror::Error)]
#[error("the lease cannot be reached")]
pub struct LeaseError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl LeaseError {
    /// It and its causes in one line, joined by `: `. A cause that says what was said just before it is left out.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let said = cause.to_string();
            if !text.ends_with(&format!(": {said}")) {
                text.push_str(": ");
                text.push_str(&said);
            }
            source = cause.source();
        }
        text
    }
}

/// Where one lease is kept. An attempt is made once: a library that tries again by itself would make it unknowable when a
/// renewal was sent.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// What stands there now, from the one place that is never behind; none if there is no lease.
    async fn read(&self) -> Result<Option<Stored>, LeaseError>;

    /// Writes `holder`, if what is expected stands there: in one step, whoever else writes.
    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn an_error_is_told_with_its_causes_and_each_once() {
        let refused = Told("refused", None);
        let twice = Told("refused", Some(Box::new(refused)));
        let error = LeaseError(Box::new(Told("no answer", Some(Box::new(twice)))));
        assert_eq!(error.with_causes(), "the lease cannot be reached: no answer: refused");
    }
}
