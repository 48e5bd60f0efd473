//! What two Fundbond processes must agree on, and nothing else: ids, header names, task events, stream
//! positions, the SSE codec, Redis key names, request and answer bodies, and problem+json.
//!
//! Flow: bytes at an edge -> the typed values of this crate -> a service's own domain. A value of one of
//! these types is already valid: ids hold no character that could break out of a header, a key or a frame.
//!
//! This crate never reads a clock, never does IO and never spawns; time is always an argument. It is the
//! only place that spells a header name or a Redis key.

pub mod api;
pub mod event;
pub mod foreign;
pub mod headers;
pub mod identity;
pub mod ids;
pub mod keys;
pub mod position;
pub mod problem;
#[cfg(feature = "openapi")]
mod schema;
pub mod sse;
pub mod trace;
pub mod users;

pub use event::{Status, TaskEvent};
pub use foreign::{ForeignEvent, Unusable};
pub use identity::PodId;
pub use ids::{ClusterId, ConnectionId, EventId, IdError, TaskId, UserId};
pub use position::{Epoch, LastEventId, Position};
pub use problem::{FieldProblem, Problem};
pub use trace::{TraceId, TraceIdError, TraceParent};
