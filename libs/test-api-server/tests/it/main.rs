//! The fixture itself, against the programs it runs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod endings;
mod server;
