//! One connection: its log, the tasks attached to it, and who holds it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use fundbond_protocol::{ClusterId, Epoch, EventId, LastEventId, PodId, Status, TaskId};
use tokio::time::Instant;

use super::users::Named;
use crate::{Entry, EntryKind, Generation, ReadLimit};

/// What became of a task on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    Ended,
    /// It belongs to another connection now. Kept, because its coming back leaves a hole.
    Moved,
}

/// A task as this connection knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) standing: Standing,
    /// Offset of its latest event here, 0 before the first.
    pub(super) latest: u64,
}

/// An entry that has no place yet.
#[derive(Clone, Debug)]
pub(super) struct Unplaced {
    pub(super) task: TaskId,
    pub(super) event_id: EventId,
    pub(super) status: Status,
    pub(super) kind: EntryKind,
    pub(super) json: Arc<str>,
}

/// What lies after a position.
pub(super) enum Found {
    Entries(Vec<Entry>),
    /// Something between the position and the log is gone; the reader goes on from this offset.
    Gone {
        at: u64,
    },
    /// The position lies in the future of its own history: the log was rolled back.
    Ahead,
}

#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// The life of the store that wrote this history.
    pub(super) run: u64,
    pub(super) epoch: Epoch,
    /// Offset of the newest entry.
    pub(super) end: u64,
    pub(super) generation: Generation,
    pub(super) holder: Option<(PodId, ClusterId)>,
    /// The kept entries, contiguous up to `end`.
    log: VecDeque<Entry>,
    members: HashMap<TaskId, Member>,
    /// Members that have not moved away.
    attached: usize,
    /// Members that are open.
    open: usize,
    had_tasks: bool,
    /// When the newest request to hold it was made.
    pub(super) asked: Option<Instant>,
    /// Nobody may resume it.
    pub(super) closed: bool,
    /// Ids that senders gave.
    pub(super) named: Named,
    pub(super) expires: Instant,
    /// When the expiry queue looks at it next.
    pub(super) queued: Instant,
}

impl Connection {
    pub(super) fn new(run: u64, epoch: Epoch, expires: Instant) -> Self {
        Self {
            run,
            epoch,
            end: 0,
            generation: Generation(0),
            holder: None,
            log: VecDeque::new(),
            members: HashMap::new(),
            attached: 0,
            open: 0,
            had_tasks: false,
            asked: None,
            closed: false,
            named: Named::default(),
            expires,
            queued: expires,
        }
    }

    /// Ends the history and begins another at offset `end`.
    pub(super) fn renew(&mut self, run: u64, epoch: Epoch, end: u64) {
        self.log.clear();
        self.run = run;
        self.epoch = epoch;
        self.end = end;
    }

    /// How many attached tasks are open; `None` if there never was one.
    pub(super) fn open(&self) -> Option<usize> {
        self.had_tasks.then_some(self.open)
    }

    pub(super) fn knows(&self, task: &TaskId) -> bool {
        self.members.contains_key(task)
    }

    /// Every task and what became of it here.
    pub(super) fn members(&self) -> impl Iterator<Item = (&TaskId, &Member)> {
        self.members.iter()
    }

    /// Lists `task`, in place of what was known of it.
    pub(super) fn join(&mut self, task: &TaskId, member: Member) {
        self.strike(task);
        self.had_tasks = true;
        self.attached += usize::from(member.standing != Standing::Moved);
        self.open += usize::from(member.standing == Standing::Open);
        self.members.insert(task.clone(), member);
    }

    /// Forgets `task`, unless it is still open here: its end must not be forgotten before it came.
    pub(super) fn forget(&mut self, task: &TaskId) {
        if self.members.get(task).is_some_and(|member| member.standing != Standing::Open) {
            self.strike(task);
        }
    }

    fn strike(&mut self, task: &TaskId) {
        if let Some(member) = self.members.remove(task) {
            self.attached -= usize::from(member.standing != Standing::Moved);
            self.open -= usize::from(member.standing == Standing::Open);
        }
    }

    /// Appends `entry` and lets go of the oldest beyond what is to be kept.
    pub(super) fn append(&mut self, entry: Unplaced, floor: usize, per_task: usize) -> &Entry {
        self.end += 1;
        if let Some(member) = self.members.get_mut(&entry.task) {
            member.latest = self.end;
            let standing = match entry.kind {
                EntryKind::Event | EntryKind::Note => member.standing,
                EntryKind::Final => Standing::Ended,
                EntryKind::Moved => Standing::Moved,
            };
            self.attached -= usize::from(standing == Standing::Moved && member.standing != Standing::Moved);
            self.open -= usize::from(standing != Standing::Open && member.standing == Standing::Open);
            member.standing = standing;
        }
        let keep = floor.max(per_task * self.attached);
        // The newest always stays, so that there is one to tell the holder of.
        while !self.log.is_empty() && self.log.len() >= keep {
            self.log.pop_front();
        }
        self.log.push_back(Entry {
            offset: self.end,
            task: entry.task,
            event_id: entry.event_id,
            status: entry.status,
            kind: entry.kind,
            json: entry.json,
        });
        &self.log[self.log.len() - 1]
    }

    /// The kept events of `task`, oldest first.
    pub(super) fn history(&self, task: &TaskId) -> Vec<Unplaced> {
        let of_task = self
            .log
            .iter()
            .filter(|e| e.task == *task && matches!(e.kind, EntryKind::Event | EntryKind::Final));
        of_task
            .map(|entry| Unplaced {
                task: entry.task.clone(),
                event_id: entry.event_id.clone(),
                status: entry.status.clone(),
                kind: entry.kind,
                json: entry.json.clone(),
            })
            .collect()
    }

    /// Offset before the oldest kept entry.
    fn before_first(&self) -> u64 {
        self.end - self.log.len() as u64
    }

    /// Reads on from `last`.
    ///
    /// A reset tells how tasks stand. A stream of a user has none, so a reader who missed something is given what is left.
    pub(super) fn read(&self, last: &LastEventId, limit: ReadLimit, of_user: bool) -> Found {
        let missed = if of_user { self.before_first() } else { self.end };
        match last {
            LastEventId::Start if self.before_first() > 0 => Found::Gone { at: self.before_first() },
            LastEventId::Start => Found::Entries(self.page(0, limit)),
            LastEventId::At(position) if position.epoch != self.epoch => Found::Gone { at: missed },
            LastEventId::At(position) if position.offset > self.end => Found::Ahead,
            LastEventId::At(position) if position.offset < self.before_first() => Found::Gone { at: missed },
            LastEventId::At(position) => Found::Entries(self.page(position.offset, limit)),
            LastEventId::Replaced | LastEventId::Unknown => Found::Gone { at: self.end },
        }
    }

    /// Entries after `offset`, which must not lie before the log.
    fn page(&self, offset: u64, limit: ReadLimit) -> Vec<Entry> {
        let skip = usize::try_from(offset - self.before_first()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        self.log
            .range(skip.min(self.log.len())..)
            .enumerate()
            .take_while(|(count, entry)| {
                bytes += entry.json.len();
                // The first always passes, or a large event would stop its reader for ever.
                *count == 0 || *count < limit.entries && bytes <= limit.bytes
            })
            .map(|(_, entry)| entry.clone())
            .collect()
    }
}
