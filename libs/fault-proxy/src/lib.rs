//! A TCP proxy that does to connections what networks and dying servers do to them.
//!
//! Flow: [`FaultProxy::start`] listens on a port of its own -> each accepted connection is joined to one of the
//! server's, by one [`pump`] a direction -> a pump asks for every piece what the [`Weather`] is. Three things can be
//! done, to all connections or to those that sent the mark only ([`Which`]):
//!
//! - the weather changes, for open connections and new ones alike: latency, bandwidth, bytes held back or lost;
//! - a blow strikes open connections once: closed, reset, or silent for ever;
//! - the door decides about new ones: open, reset on arrival, or nobody listens.
//!
//! It never reorders or changes bytes, and never passes on what follows a lost byte: a peer that misses the middle of
//! a conversation must not be given its end. It is no part of a deployment.

mod connection;
mod faults;
mod mark;
mod proxy;
mod pump;

pub use faults::{Blow, Carry, Counts, Door, Flow, Upstream, Weather, Which};
pub use proxy::FaultProxy;
