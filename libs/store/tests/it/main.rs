//! One binary: the contract that every store must keep, the stores it is run on, the contract's rules at work
//! under thousands of random interleavings, the races of housekeeping, and the list of the simpler rules that all this tells from them.

// The whole binary is a test: helpers outside of `#[test]` functions say what they expect by panicking too.
#![allow(clippy::unwrap_used)]
// What happened in the interleavings, for whoever runs them by hand.
#![allow(clippy::print_stdout)]

mod contract;
mod interleavings;
mod memory;
mod naive;
mod observer;
mod races;
mod redis;
mod scene;
mod strangers;
mod sweeps;
