//! A pod as its clients see it: over real sockets, with the in-memory store.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod absence;
mod api;
mod barriers;
mod between;
mod client;
mod cluster;
mod drain;
mod durable;
mod foreign;
mod hostile;
mod kubernetes;
mod live;
mod logs;
mod metrics;
mod openapi;
mod operated;
mod promises;
mod resume;
mod schemathesis;
mod slow;
mod suffering;
mod troubled;
mod user_lines;
mod user_requests;
mod users;
