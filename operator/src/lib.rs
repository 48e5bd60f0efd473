//! Makes objects of FundClusters, and keeps them as they should be.
//!
//! Flow: each kind has its [`watch`], which fills the [`cache`] and says which FundCluster is to be looked at -> the
//! [`queue`] holds each one once -> a worker looks at it ([`reconcile`]): *observe* what the cache knows, *validate* the
//! spec, [`plan`] the writes (pure), read the FundCluster afresh, see whether the names of what is new are free, *carry out*
//! the plan, and tell its [`status`] (pure). Who has a route that several want is decided by [`routes`].
//!
//! Whether a child is as it should be is told by the API server's own books ([`fields`]): it says what was applied, and all
//! of that still belongs to the operator. So nothing is written where nothing is to change, also after a restart.
//!
//! Several operators may run: all watch, one writes. Which one, a lease decides; the [`fence`] holds back what another one
//! would still send, and each write names the version of the object that it means.
//!
//! How many streams a cluster has, and who leads it, its own pods say ([`rounds`] asks them, by their proxies); what of that
//! is news is decided by [`reports`]. Which routes gateways have, [`polls`] asks them and [`acknowledged`] knows; until they
//! were heard, what a former leader was told of them stands.
//!
//! It never opens a Redis or a database, and it never writes on the word of a watch alone.

#[cfg(all(not(debug_assertions), any(feature = "bug-blind-delete", feature = "bug-early-status")))]
compile_error!("the bug-* features are mistakes for the tests to find, and no release has them");

mod acknowledged;
mod announce;
mod api;
mod backoff;
mod cache;
mod client;
pub mod config;
mod failure;
pub mod fence;
mod fields;
#[cfg(test)]
mod fixtures;
mod gateways;
pub mod kinds;
mod leader;
mod metrics;
mod operator;
mod plan;
mod polls;
mod proxies;
mod queue;
mod reconcile;
mod reports;
pub mod rights;
mod rounds;
mod routes;
mod seen;
mod status;
mod texts;
mod wanted;
mod watch;
mod watches;

use fundbond_service_runtime::metrics::Described;

/// The metrics of an operator, for the reference.
pub fn described_metrics() -> Vec<Described> {
    metrics::described()
}

pub use client::NoSurroundings;
pub use config::{Config, Program};
pub use fence::Fence;
pub use gateways::{BadService, GatewayService, Gateways, Heard, Hearing, Unseen};
pub use operator::{Operator, RunError, Surroundings};
pub use proxies::{Answering, BadAddress, Proxies, ProxyAddress, Question, Unanswered};
