//! Leases over a coordination API that behaves as a real one does, and misbehaves as networks do; and over a real one,
//! which says how one behaves.

// The whole binary is a test: helpers outside of `#[test]` functions say what they expect by panicking too.
#![allow(clippy::unwrap_used)]

mod contract;
mod elections;
mod failures;
mod real_server;
mod server;
mod wire;
