//! Everything the crate promises, checked from outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests say what they expect by panicking, as tests do")]

mod errors;
mod portfolio;
mod properties;
mod vectors;
