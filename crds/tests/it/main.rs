//! The definitions as files, and what is judged by them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod definitions;
mod reference;
mod server;
mod verdicts;
