//! One task: where it belongs, what it said last, and how it was asked for.

use std::{collections::HashSet, sync::Arc};

use fundbond_protocol::{ConnectionId, EventId, PodId, Status};
use tokio::time::Instant;

use crate::{Attempt, Submission};

/// The newest event of a task.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    pub(super) event_id: EventId,
    pub(super) status: Status,
    pub(super) json: Arc<str>,
}

/// How a task was asked for, and who runs it.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    /// Place among all tasks, by time: newer is greater.
    pub(super) sequence: u64,
    /// Without its body once the task has ended.
    pub(super) submission: Submission,
    /// The latest run; 0 before the first.
    pub(super) attempt: Attempt,
    /// Who runs it. Nobody while it waits, and after its end.
    pub(super) pod: Option<PodId>,
    /// Pods that died while they ran it.
    pub(super) deaths: u32,
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
    /// Whether it was accepted and has not ended: then it has no end of life.
    pub(super) fn is_pending(&self) -> bool {
        self.accepted.is_some() && !self.ended
    }

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
