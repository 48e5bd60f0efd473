//! A connection's log: what is kept, and how it is read.

use std::sync::Arc;

use fundbond_protocol::{Epoch, EventId, Status, TaskId};

/// What an entry means to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// An event of a running task.
    Event,
    /// The task's one final event.
    Final,
    /// The task moved to another connection; the reader is told `REPLACED` for it.
    Moved,
    /// What a foreign publisher says of the connection itself, or somebody to its user: of no task, and not kept with one.
    Note,
}

/// One logged event. `json` is encoded once, by whoever emitted it, and never again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in the connection's log, from 1, rising by one.
    pub offset: u64,
    /// Whose event it is: that of a task, or of the user it is for.
    pub task: TaskId,
    /// Which event of the task.
    pub event_id: EventId,
    /// The SSE event name.
    pub status: Status,
    /// What it means to the reader.
    pub kind: EntryKind,
    /// The event.
    pub json: Arc<str>,
}

/// The latest event of an attached task, for a `RESET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The task.
    pub task: TaskId,
    /// Whether it has ended.
    pub is_final: bool,
    /// Its latest event, if it had one (and it was not lost).
    pub json: Option<Arc<str>>,
}

/// How much one reading may bring; a reader that wants more asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Entries at most.
    pub entries: usize,
    /// Bytes of JSON at most, but always one entry.
    pub bytes: usize,
}

impl Default for ReadLimit {
    /// Half a stream's queue (256 KiB), so that a page always fits an empty one beside live events.
    fn default() -> Self {
        Self { entries: 256, bytes: 128 * 1024 }
    }
}

/// What lies after a reader's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next entries, contiguous: the first has the reader's offset + 1. Fewer than there are where the
    /// limit cut them; the reader stands at the end once its offset equals [`Reading::end`].
    Entries(Vec<Entry>),
    /// History between the reader and the log is gone. The reader stands at `at` now, and every attached
    /// task whose latest event lies at or before `at` is in `snapshot`.
    ///
    /// For a reader who knew a position, `at` is the end. For a reader from the start whose start is gone,
    /// `at` is just before the oldest kept entry, and what follows is read as usual.
    Reset {
        /// Offset the reader stands at.
        at: u64,
        /// State of the tasks up to there.
        snapshot: Vec<Snapshot>,
    },
}

/// One reading of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The history in force.
    pub epoch: Epoch,
    /// Offset of the newest entry, 0 where there is none.
    pub end: u64,
    /// Attached tasks that have not ended; `None` where the connection never had a task.
    pub open: Option<usize>,
    /// What lies after the reader's position.
    pub outcome: Outcome,
}
