//! What somebody else needs to understand a trouble, in one file that is safe to pass on.
//!
//! Flow: the command takes what it may -> every text and every object goes through a [`Redactor`] -> [`Archive`] (a zip, for
//! its owner's eyes) -> [`Manifest`], which says what is in it, what is not, and why. Secrets are never asked for; what looks
//! like one elsewhere is taken out.

mod archive;
mod redact;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

pub use archive::{Archive, ArchiveError};
pub use redact::{REDACTED, Redactor};

/// What is in a report and what is not.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Which program made it, of which version.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// Of which server.
    pub server: String,
    /// Where was looked.
    pub scope: String,
    /// Whether ids of users are as they were, or others in their place.
    pub users: &'static str,
    /// What is in it.
    pub taken: Vec<Taken>,
    /// What should be and is not.
    pub missing: Vec<Missing>,
    /// How often something was taken out.
    pub redacted: usize,
    /// What that means.
    pub note: &'static str,
}

/// What every manifest says.
pub const NOTE: &str = "Secrets were not read. What looks like a password, a token or a key was replaced by REDACTED; look through it \
                        all the same before you pass it on: logs name users and trades, and objects name hosts.";

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its name in the archive.
    pub file: String,
    /// What is in it.
    pub what: String,
    /// Its length, once redacted.
    pub bytes: usize,
}

/// What could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What it is.
    pub what: String,
    /// Why not.
    pub why: String,
}
