//! The gateway over real sockets: clients and endpoints are written here, on any port of 127.0.0.1.

// Helpers of tests panic like tests; clippy's own exemption sees only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod support;

mod admin;
mod balance;
mod breaker;
mod clients;
mod corpus;
mod cors;
mod drain;
mod edits;
mod explain;
mod failures;
mod framing;
mod guard;
mod headers;
mod kubernetes;
mod limits;
mod lingering;
mod processes;
mod real_server;
mod recorder;
mod routing;
mod smuggling;
mod strategies;
mod streaming;
mod timeouts;
