//! The driver against the real peer, and against servers that break their word.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod designs;
mod liar;
mod peer;
