//! Which endpoint takes a request, and the file that lists the endpoints. Pure: the caller says which
//! endpoints are ready, how much runs there and what time it is; a strategy answers with an index.
//!
//! Flow: a [`spec::RouteFile`] (what operators write and the `GatewayRoute` resource carries) is validated
//! by the gateway into its own table; each route has a [`strategy`] and owns the state of one ([`RoundRobin`],
//! [`LeastStreams`], [`Rendezvous`] with or without a [`LoadBound`], [`ShardTable`]), its [`RetryBudget`] and, where asked for, a [`RateLimiter`]; each endpoint has a
//! [`Breaker`].
//!
//! This crate never does IO, never reads a clock, never spawns and never draws random numbers of its own.

pub mod route_header;
pub mod spec;
pub mod strategy;

mod breaker;
mod hash;
mod least_streams;
mod load_bound;
mod rate_limit;
mod rendezvous;
mod retry_budget;
mod round_robin;
mod shards;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Permit, Verdict};
pub use hash::KeyHash;
pub use least_streams::LeastStreams;
pub use load_bound::{LoadBound, LoadBoundError};
pub use rate_limit::{Rate, RateLimiter};
pub use rendezvous::{Bounded, Rendezvous};
pub use retry_budget::RetryBudget;
pub use round_robin::RoundRobin;
pub use shards::{ShardError, ShardTable};
