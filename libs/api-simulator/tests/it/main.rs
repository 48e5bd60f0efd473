//! The simulator as clients see it: through a real client and a real watcher.

// Helpers of tests panic like tests; clippy's own exemption sees only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod applying;
mod collecting;
mod failing;
mod listening;
mod real_server;
mod requests;
mod rolling;
mod support;
mod watching;
