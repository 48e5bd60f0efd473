//! One task: where it belongs, what it said last, and how it was asked for.

use std::{collections::HashSet, sync::Arc};

use fundbond_protocol::{ClusterId, ConnectionId, EventId, Status};
use jiff::Timestamp;
use tokio::time::Instant;

/// The newest event of a task.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    pub(super) event_id: EventId,
    pub(super) status: Status,
    pub(super) json: Arc<str>,
}

/// How a task was asked for.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    /// Place among all tasks, by time: newer is greater.
    pub(super) sequence: u64,
    pub(super) connection: ConnectionId,
    pub(super) cluster: ClusterId,
    pub(super) kind: String,
    pub(super) fingerprint: [u8; 32],
    pub(super) at: Timestamp,
    pub(super) acceptance: Arc<str>,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The connection it belongs to, if it does.
    pub(super) connection: Option<ConnectionId>,
    /// Every connection that lists it, so that it can be struck off when it is freed.
    pub(super) listed_by: Vec<ConnectionId>,
    /// Events logged so far: a log that has fewer of them has a hole.
    pub(super) events: usize,
    pub(super) latest: Option<Latest>,
    pub(super) ended: bool,
    /// Ids of its events while it runs.
    pub(super) seen: HashSet<EventId>,
    /// Ids that foreign publishers gave, kept apart: nobody may use up one of ours.
    pub(super) seen_foreign: HashSet<EventId>,
    pub(super) accepted: Option<Accepted>,
    pub(super) rows: Option<Vec<Arc<str>>>,
    pub(super) expires: Instant,
    /// When the expiry queue looks at it next.
    pub(super) queued: Instant,
}

impl Task {
    pub(super) fn new(expires: Instant) -> Self {
        Self {
            connection: None,
            listed_by: Vec::new(),
            events: 0,
            latest: None,
            ended: false,
            seen: HashSet::new(),
            seen_foreign: HashSet::new(),
            accepted: None,
            rows: None,
            expires,
            queued: expires,
        }
    }
}
