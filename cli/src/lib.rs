//! `fundctl`: prices bonds offline, starts tasks and shows them live.
//!
//! Flow: [`args`] -> [`commands`] -> [`client`] (one request, one answer) or [`stream`] (an SSE stream that
//! survives what lies between) -> [`watch`] (a pure fold of events into a view) -> [`render`] (the view for
//! a person on a terminal, for a log file or for a program).
//!
//! Data goes to standard output and everything said about it to standard error. Everything a server sent is
//! data: it is made printable before it reaches a terminal.
//!
//! What is about FundClusters goes another way: files are judged, rendered and compared without a server (`manifest`).
//!
//! This crate never decides whether a task is valid (the server does), never keeps state between two
//! runs, and never ends a task because its watcher went away. Pricing never touches the network.

#[cfg(feature = "kubernetes")]
pub mod admin;
pub mod args;
pub mod body;
pub mod client;
#[cfg(feature = "kubernetes")]
pub mod cluster;
pub mod commands;
#[cfg(feature = "kubernetes")]
pub mod completion;
#[cfg(feature = "kubernetes")]
pub mod doctor;
pub mod error;
#[cfg(feature = "manifests")]
pub mod manifest;
pub mod output;
pub mod program;
pub mod render;
#[cfg(feature = "kubernetes")]
pub mod report;
#[cfg(feature = "kubernetes")]
pub mod route;
#[cfg(feature = "kubernetes")]
pub mod status;
pub mod stream;
#[cfg(feature = "kubernetes")]
pub mod wait;
pub mod watch;

#[cfg(test)]
mod golden;

pub use error::{Error, Exit};
