//! The real binary against a scripted server.

// Clippy knows test functions, and takes their helpers for product code.
#![allow(clippy::unwrap_used)]

mod bonds;
mod fundctl;
mod server;
mod stream;
mod task;
