//! The real binary against a scripted server, and against API servers.

// Clippy knows test functions, and takes their helpers for product code.
#![allow(clippy::unwrap_used)]

mod bonds;
mod cluster;
mod completion;
mod doctor;
mod documents;
mod fundctl;
mod golden;
mod kubernetes;
mod live_diff;
mod manifests;
mod report;
mod route;
mod server;
mod status;
mod stream;
mod task;
mod wait;
