//! The whole system over its own sockets, promise by promise.

// Clippy knows test functions, and takes their helpers for product code.
#![allow(clippy::unwrap_used)]

mod cors;
mod foreign;
mod fuzz;
mod harness;
mod housekeeping;
mod logs;
mod on_redis;
mod outage;
mod predicts;
mod program;
mod promises;
mod pubsub;
mod redis;
mod reference;
mod routing;
mod streams;
mod up;
mod users;
