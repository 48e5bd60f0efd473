//! Which endpoint takes a request, and the file that lists the endpoints. Pure: the caller says which
//! endpoints are ready, how much runs there and what time it is; a strategy answers with an index.
//!
//! Flow: a [`spec::RouteFile`] (what operators write and the `GatewayRoute` resource carries) is validated
//! by the gateway into its own table; each route owns the state of one strategy ([`RoundRobin`],
//! [`LeastStreams`]), its [`RetryBudget`] and, where asked for, a [`RateLimiter`]; each endpoint has a
//! [`Breaker`].
//!
//! This crate never does IO, never reads a clock, never spawns and never draws random numbers of its own.

pub mod spec;

mod breaker;
mod least_streams;
mod rate_limit;
mod retry_budget;
mod round_robin;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Permit, Verdict};
pub use least_streams::LeastStreams;
pub use rate_limit::{Rate, RateLimiter};
pub use retry_budget::RetryBudget;
pub use round_robin::RoundRobin;
