//! FundClusters as people keep them in files: what is wrong with them, what becomes of them, what a change of one does.
//!
//! Flow: [`file`] (the only IO) -> [`document`] -> [`lint`] -> a FundCluster that a server would take -> [`render`],
//! [`mesh`] or [`diff`]. What a server would say is asked of its own rules (`fundbond_crds::check`), what the operator would
//! write of the operator's own code (`fundbond_desired`), and where a user would go of the code that the hops decide by
//! (`fundbond_routing::strategy`): nothing of it is known here a second time.
//!
//! Nothing here speaks to a server.

pub mod diff;
pub mod document;
pub mod error;
#[cfg(feature = "kubernetes")]
pub mod file;
pub mod lint;
mod locate;
pub mod mesh;
pub mod render;
mod wrap;

pub use diff::{
    endpoints::Endpoints,
    users::{User, Users},
};
pub use document::{Document, File};
pub use error::ManifestError;
