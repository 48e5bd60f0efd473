//! Both proxy hops with one forwarder: `gateway` picks the cluster by header, `cluster-proxy` picks the pod.
//!
//! Flow of a request: [`server`] accepts -> [`guard`] refuses what two servers could read differently ->
//! `forward` asks [`decide`] for its route (pure: by header, query or default) -> `limits` give it a place, or it is told to come back -> `head` takes off what belongs to
//! one hop and adds ids -> `attempt` asks [`decide`] for an endpoint (pure: ready, let through by its breaker,
//! then what the strategy says), again where that is safe -> `pool` lends a connection -> bodies stream both
//! ways through `body` -> `record` logs and counts the end.
//!
//! Flow of a route edit: `source` watches the file, or `kubernetes` the API server -> [`route_file`] validates it -> `live` swaps the table
//! in one step. Endpoints that stay keep their connections and what probes know; open streams never notice.
//! A bad edit changes nothing but a counter and one log line.
//!
//! A gateway stores nothing but its route table. It never buffers a body, never replays one that has begun,
//! never ends a response that broke off as if it were whole, and never sheds a stream with an error status.

pub mod config;
pub mod decide;
pub mod guard;
pub mod role;
pub mod route_file;
pub mod server;

mod admin;
mod answer;
mod attempt;
mod body;
mod endpoint;
mod forward;
mod gateway;
mod head;
mod health;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod limits;
mod live;
mod metrics;
mod pool;
mod probe;
mod record;
mod source;
mod trace;

pub use config::{Config, RouteSource, Timeouts};
pub use metrics::described as described_metrics;
pub use role::Role;
pub use server::{Bound, RunError, bind, run};
pub use source::LoadError;
