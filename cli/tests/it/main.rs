//! The real binary against a scripted server.

// Clippy knows test functions, and takes their helpers for product code.
#![allow(clippy::unwrap_used)]

mod bonds;
mod doctor;
mod fundctl;
mod kubernetes;
mod report;
mod route;
mod server;
mod status;
mod stream;
mod task;
mod wait;
