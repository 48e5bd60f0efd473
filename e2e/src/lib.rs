//! What the end-to-end tests share: they run against a real Kubernetes that `cargo xtask e2e` brings up.
//!
//! Flow of a test: [`trial::Trial`] (its name, its figures, and whether others may run beside it) -> the [`release`] of
//! the charts, installed once -> a [`namespace`] of its own, in which it applies FundClusters -> [`clients`], which are
//! those of the chaos runs: they resume as a browser does, and every promise is checked over all that they saw ->
//! [`eventually`], for everything that takes time.
//!
//! Never: a pause that hopes (whoever waits names a condition and a deadline), a client that repairs what it sees, or a
//! test that passes without a cluster: that is an error that names the fix.

pub mod clients;
pub mod eventually;
pub mod fund_clusters;
pub mod namespace;
pub mod program;
pub mod release;
pub mod stage;
pub mod trial;

pub use clients::{Clients, steps};
pub use eventually::{eventually, until};
pub use namespace::Namespace;
pub use stage::Stage;
pub use trial::Trial;
