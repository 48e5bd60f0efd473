//! Leases over a coordination API that behaves as a real one does, and misbehaves as networks do.

// The whole binary is a test: helpers outside of `#[test]` functions say what they expect by panicking too.
#![allow(clippy::unwrap_used)]

mod contract;
mod elections;
mod failures;
mod server;
mod wire;
