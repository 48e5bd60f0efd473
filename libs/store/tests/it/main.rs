//! One binary: the contract that every store must keep, the stores it is run on, and the contract's rules
//! at work under thousands of random interleavings.

// The whole binary is a test: helpers outside of `#[test]` functions say what they expect by panicking too.
#![allow(clippy::unwrap_used)]

mod contract;
mod interleavings;
mod memory;
mod redis;
mod scene;
