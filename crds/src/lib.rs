//! What people and programs write and read in Kubernetes: [`FundCluster`] and [`GatewayRoute`].
//!
//! Flow: users write a `FundCluster`; the operator makes objects of it, one of them a `GatewayRoute`, which gateways and
//! cluster proxies read. Types here say what is spelled; shape, bounds and defaults are in their schemas, rules between
//! fields in CEL, each with a message that names the fix. The API server judges by both, and so does [`check`](check::check)
//! without one.
//!
//! The definitions stand as YAML beside this crate; a test keeps them equal to the types. Nothing here talks to anybody.

#[cfg(feature = "check")]
pub mod check;
pub mod claim;
pub mod definitions;
pub mod fund_cluster;
pub mod gateway_route;
pub mod labels;
pub mod routing;
mod rules;

pub use fund_cluster::{FundCluster, FundClusterSpec, FundClusterStatus};
pub use gateway_route::{GatewayRoute, GatewayRouteSpec};

/// The API group of both kinds.
pub const GROUP: &str = "fundbond.dev";

/// Their version.
pub const VERSION: &str = "v1alpha1";
