//! Which endpoint takes a request, and the file that lists the endpoints. Pure: the caller says which
//! endpoints are ready, a strategy answers with an index.
//!
//! Flow: a [`spec::RouteFile`] (what operators write and the `GatewayRoute` resource carries) is validated
//! by the gateway into its own table; each route owns the state of one strategy, here [`RoundRobin`].
//!
//! This crate never does IO, never reads a clock, never spawns and never draws random numbers of its own.

pub mod spec;

mod round_robin;

pub use round_robin::RoundRobin;
