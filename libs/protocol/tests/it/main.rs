//! The SSE codec against itself and against two readers that are not ours.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod differential;
mod identity;
mod round_trip;
