//! The reading rules of one stream, with no IO and no clock.
//!
//! Input: what the store answered and what the bus said. Output: frames into a buffer, and the next thing
//! the shell has to ask the store ([`Session::want`]). The log is the truth: a live event is written only if
//! it is exactly the next one of the same history; everything else makes the session *behind*, and a
//! session that is behind ignores live events and reads pages until it stands at the end. So there is no
//! buffer of pending events, and no race between a page and the events that overtake it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use fundbond_protocol::{
    ConnectionId, Epoch, ForeignEvent, PodId, Position, Status, TaskEvent, TaskId, position::replaced_id,
    sse::Frame,
};
use fundbond_store::{Asserted, Entry, EntryKind, Finished, Generation, Opened, Outcome, Reading, Snapshot};
use jiff::Timestamp;

/// Events of others kept until the registration's answer: the hundredth of a second that it takes has few.
const EARLY: usize = 64;

/// What the shell must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Wait.
    Nothing,
    /// Read on from here, once the queue has room.
    CatchUp(Position),
    /// Ask whether the stream may end here.
    Finish(Position),
    /// Nothing more: the stream has ended.
    Ended(End),
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Every task is final and the client has everything; the registration is gone.
    Finished,
    /// Another stream took the connection over; its registration stands.
    Replaced,
    /// Somebody closed it; its registration is gone.
    Closed,
    /// The client should come back: drain, or the lifetime is over.
    Draining,
    /// The client stopped reading.
    Slow,
    /// The client went away.
    ClientLeft,
}

impl End {
    /// The value of the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Replaced => "replaced",
            Self::Closed => "closed",
            Self::Draining => "draining",
            Self::Slow => "slow",
            Self::ClientLeft => "client-left",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The register answer is outstanding.
    Registering,
    /// At the end, as far as is known: live events are written.
    Live,
    /// Something lies between the client and the end of the log.
    Behind,
    Ended(End),
}

/// One stream's state.
pub struct Session {
    connection: ConnectionId,
    pod: PodId,
    /// Statuses the client asked for; empty for all. Finals and moves always pass.
    only: BTreeSet<Status>,
    phase: Phase,
    generation: Generation,
    position: Option<Position>,
    tasks: BTreeMap<TaskId, bool>,
    finish_wanted: bool,
    /// The store had forgotten the registration when asked whether the stream may end: ask again once it knows it.
    finish_lost: bool,
    /// The last event that was ignored while behind: whoever caught up must stand at it or beyond.
    heard: Option<(Epoch, u64)>,
    /// The greatest generation that somebody else registered or closed with, while our own is not known yet.
    lost: Option<(Generation, End)>,
    /// With which generation the bus said that this pod has the stream, while nothing was missed since: what others
    /// publish is this pod's to take from there on.
    gained: Option<Generation>,
    /// Events of others that came before the answer to the registration, with what `gained` was then.
    early: Vec<(Arc<ForeignEvent>, Option<Generation>)>,
    heartbeats: u64,
}

/// What a session does with an event of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Takes it.
    Take,
    /// Says so once it is registered.
    Later,
    /// Leaves it: not its event, or not its time.
    Leave,
    /// Would have had to say so later, and had no room.
    Drop,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("connection", &self.connection)
            .field("phase", &self.phase)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A stream whose registration is about to be asked for. It takes bus messages from now on.
    pub fn new(connection: ConnectionId, pod: PodId, only: impl IntoIterator<Item = Status>) -> Self {
        Self {
            connection,
            pod,
            only: only.into_iter().collect(),
            phase: Phase::Registering,
            generation: Generation(0),
            position: None,
            tasks: BTreeMap::new(),
            finish_wanted: false,
            finish_lost: false,
            heard: None,
            lost: None,
            gained: None,
            early: Vec::new(),
            heartbeats: 0,
        }
    }

    /// The stream.
    pub fn connection(&self) -> &ConnectionId {
        &self.connection
    }

    /// Proof of ownership; meaningless before [`registered`](Self::registered).
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What has been written, once registered.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Every attached task that the session knows of.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.keys()
    }

    /// What the shell must do next.
    pub fn want(&self) -> Want {
        match (&self.phase, &self.position) {
            (Phase::Ended(end), _) => Want::Ended(*end),
            (Phase::Behind, Some(position)) => Want::CatchUp(position.clone()),
            (Phase::Live, Some(position)) if self.finish_wanted => Want::Finish(position.clone()),
            _ => Want::Nothing,
        }
    }

    /// The registration stands. Writes `CONNECTED` and the first page.
    ///
    /// Where a `RESET` follows, `CONNECTED` has no id: a client that is cut between the two must ask again
    /// with its old position, or it would never learn that history is gone.
    pub fn registered(&mut self, opened: Opened, now: Timestamp, out: &mut Vec<u8>) {
        self.generation = opened.generation;
        let known = std::mem::take(&mut self.tasks);
        self.tasks = opened.tasks.into_iter().collect();
        for (task, is_final) in known {
            self.tasks.entry(task).or_insert(is_final);
        }
        let id = match &opened.reading.outcome {
            Outcome::Reset { .. } => None,
            Outcome::Entries(entries) => {
                let offset = entries.first().map_or(opened.reading.end, |first| first.offset - 1);
                let position = Position { epoch: opened.reading.epoch.clone(), offset };
                let id = position.to_string();
                self.position = Some(position);
                Some(id)
            }
        };
        let connected =
            self.about_stream(self.generation.0, Status::CONNECTED, now).with_message("stream open");
        write(out, id.as_deref(), &connected.status, &connected.to_json());
        self.phase = Phase::Behind;
        self.apply(opened.reading, now, out);
        if let Some((lost, end)) = self.lost.filter(|(lost, _)| *lost > self.generation) {
            self.say_farewell(lost, end, now, out);
        }
    }

    /// A page was read after [`Want::CatchUp`].
    pub fn caught_up(&mut self, reading: Reading, now: Timestamp, out: &mut Vec<u8>) {
        if self.phase == Phase::Behind {
            self.apply(reading, now, out);
        }
    }

    fn apply(&mut self, reading: Reading, now: Timestamp, out: &mut Vec<u8>) {
        match reading.outcome {
            Outcome::Entries(entries) => {
                for entry in &entries {
                    self.write_entry(entry, &reading.epoch, out);
                }
            }
            Outcome::Reset { at, snapshot } => {
                let position = Position { epoch: reading.epoch.clone(), offset: at };
                self.write_reset(&position, &snapshot, now, out);
                for Snapshot { task, is_final, .. } in snapshot {
                    self.tasks.insert(task, is_final);
                }
                self.position = Some(position);
            }
        }
        let at_end = self.position.as_ref().is_some_and(|p| p.offset >= reading.end);
        // An ignored event of another epoch may be stale or may be news; one more page tells.
        let satisfied = self.heard.take().is_none_or(|(epoch, offset)| {
            self.position.as_ref().is_some_and(|p| p.epoch == epoch && p.offset >= offset)
        });
        self.phase = if at_end && satisfied { Phase::Live } else { Phase::Behind };
        self.finish_wanted = at_end && reading.open == Some(0);
    }

    /// The bus says that the log grew. `room` says whether the queue takes more; where it does not, the
    /// session falls behind instead of dropping anything. True if frames were written.
    pub fn event(&mut self, epoch: &Epoch, entry: &Entry, room: bool, out: &mut Vec<u8>) -> bool {
        let next = match (&self.phase, &self.position) {
            (Phase::Live, Some(position)) if position.epoch == *epoch => {
                if entry.offset <= position.offset {
                    return false;
                }
                room && entry.offset == position.offset + 1
            }
            _ => false,
        };
        if next {
            self.write_entry(entry, epoch, out);
            return true;
        }
        let overtaken = matches!(&self.heard, Some((e, offset)) if e == epoch && *offset > entry.offset);
        if !overtaken {
            self.heard = Some((epoch.clone(), entry.offset));
        }
        if self.phase == Phase::Live {
            self.phase = Phase::Behind;
        }
        false
    }

    /// Messages may have been missed.
    pub fn gap(&mut self) {
        // Among them, that somebody else has the stream: until it is said again, events of others are theirs.
        self.gained = None;
        self.fall_behind();
    }

    fn fall_behind(&mut self) {
        if self.phase == Phase::Live {
            self.phase = Phase::Behind;
        }
    }

    /// The bus says that this pod has the connection, with `generation`.
    pub fn gained(&mut self, generation: Generation) {
        self.gained = self.gained.max(Some(generation));
    }

    /// With which generation the bus said so last.
    pub fn gain(&self) -> Option<Generation> {
        self.gained
    }

    /// Whether the bus said so of this registration, and nothing was missed since.
    pub fn has_gained(&self) -> bool {
        self.gained == Some(self.generation)
    }

    /// Somebody else published an event.
    pub fn foreign(&mut self, event: &Arc<ForeignEvent>) -> Claim {
        match self.phase {
            Phase::Registering if self.early.len() < EARLY => {
                self.early.push((event.clone(), self.gained));
                Claim::Later
            }
            Phase::Registering => Claim::Drop,
            Phase::Live | Phase::Behind if self.has_gained() && self.is_about(event) => Claim::Take,
            _ => Claim::Leave,
        }
    }

    /// The events that came before the registration's answer and are this session's to take.
    pub fn early(&mut self) -> Vec<Arc<ForeignEvent>> {
        let mut early = std::mem::take(&mut self.early);
        early.retain(|(event, gained)| *gained == Some(self.generation) && self.is_about(event));
        early.into_iter().map(|(event, _)| event).collect()
    }

    fn is_about(&self, event: &ForeignEvent) -> bool {
        event.task.as_str() == self.connection.as_str() || self.tasks.contains_key(&event.task)
    }

    /// The bus says that a task was attached.
    pub fn attached(&mut self, task: &TaskId) {
        if !self.tasks.contains_key(task) {
            self.tasks.insert(task.clone(), false);
            self.finish_wanted = false;
        }
    }

    /// The bus says that registrations before `generation` are over: [`End::Replaced`] or [`End::Closed`].
    pub fn lost(&mut self, generation: Generation, end: End, now: Timestamp, out: &mut Vec<u8>) {
        match self.phase {
            Phase::Registering => self.lost = self.lost.max(Some((generation, end))),
            Phase::Live | Phase::Behind if generation > self.generation => {
                self.say_farewell(generation, end, now, out);
            }
            _ => {}
        }
    }

    /// The store answered [`Want::Finish`]. True if the pod must re-assert what it holds.
    #[must_use]
    pub fn finished(&mut self, answer: Finished, now: Timestamp, out: &mut Vec<u8>) -> bool {
        self.finish_wanted = false;
        if self.is_ended() {
            return false;
        }
        match answer {
            Finished::Closed => self.phase = Phase::Ended(End::Finished),
            Finished::Replaced => {
                self.say_farewell(Generation(self.generation.0 + 1), End::Replaced, now, out);
            }
            Finished::More => self.phase = Phase::Behind,
            Finished::Lost => {
                self.finish_lost = true;
                return true;
            }
        }
        false
    }

    /// The store answered a re-assertion.
    pub fn asserted(&mut self, answer: Asserted, now: Timestamp, out: &mut Vec<u8>) {
        if !matches!(self.phase, Phase::Live | Phase::Behind) {
            return;
        }
        let over = Generation(self.generation.0 + 1);
        match answer {
            // The store may have ended the stream meanwhile, which raises the generation as well; the answer to
            // that question tells the two apart.
            Asserted::Replaced if self.finish_wanted => {}
            Asserted::Replaced => self.say_farewell(over, End::Replaced, now, out),
            Asserted::Closed => self.say_farewell(over, End::Closed, now, out),
            Asserted::Held { epoch, end, open } => {
                let same = self.position.as_ref().is_some_and(|p| p.epoch == epoch && p.offset >= end);
                let done = open.is_empty() && !self.tasks.is_empty();
                for task in open {
                    self.tasks.entry(task).or_insert(false);
                }
                // A page brings what was missed; it also says whether the stream may end, which the tasks known here
                // cannot where the last one moved away.
                if !same || done || std::mem::take(&mut self.finish_lost) {
                    self.fall_behind();
                }
            }
        }
    }

    /// Writes a heartbeat.
    pub fn heartbeat(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        self.heartbeats += 1;
        let event = self.about_stream(self.heartbeats, Status::HEARTBEAT, now);
        write(out, None, &event.status, &event.to_json());
    }

    /// Ends the stream so that the client comes back after about `retry_millis`.
    pub fn drain(&mut self, retry_millis: u64, why: &str, now: Timestamp, out: &mut Vec<u8>) {
        if self.is_ended() {
            return;
        }
        fundbond_protocol::sse::write_retry(out, retry_millis);
        let event = self.about_stream(self.generation.0, Status::DRAINING, now).with_message(why);
        write(out, None, &event.status, &event.to_json());
        self.phase = Phase::Ended(End::Draining);
    }

    /// Ends the stream without a word: nobody reads it.
    pub fn abandon(&mut self, end: End) {
        if !self.is_ended() {
            self.phase = Phase::Ended(end);
        }
    }

    /// Whether the session waits for a page.
    pub fn is_behind(&self) -> bool {
        self.phase == Phase::Behind
    }

    /// Whether the stream has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// A close has no id of its own: whoever resumes is known by having one, whether or not this reached it.
    fn say_farewell(&mut self, by: Generation, end: End, now: Timestamp, out: &mut Vec<u8>) {
        let (status, id, why) = if end == End::Closed {
            (Status::CLOSED, None, "this stream was closed; do not reconnect")
        } else {
            let why = "another stream took this one's place; do not reconnect";
            (Status::REPLACED, Some(replaced_id(by.0)), why)
        };
        let event = self.about_stream(by.0, status, now).with_message(why);
        write(out, id.as_deref(), &event.status, &event.to_json());
        self.phase = Phase::Ended(end);
    }

    fn write_entry(&mut self, entry: &Entry, epoch: &Epoch, out: &mut Vec<u8>) {
        let position = Position { epoch: epoch.clone(), offset: entry.offset };
        let id = position.to_string();
        self.position = Some(position);
        match entry.kind {
            EntryKind::Event | EntryKind::Note => {}
            EntryKind::Final => {
                self.tasks.insert(entry.task.clone(), true);
            }
            EntryKind::Moved => {
                self.tasks.remove(&entry.task);
            }
        }
        let ends = matches!(entry.kind, EntryKind::Final | EntryKind::Moved);
        if ends {
            // The store decides in the end; this only saves asking while a task is known to be open.
            self.finish_wanted = self.tasks.values().all(|is_final| *is_final);
        }
        let passes = ends || self.only.is_empty() || self.only.contains(&entry.status);
        if passes {
            write(out, Some(&id), &entry.status, &entry.json);
        } else {
            write_id(out, &id);
        }
    }

    fn write_reset(&self, position: &Position, snapshot: &[Snapshot], now: Timestamp, out: &mut Vec<u8>) {
        let event = self.about_stream(position, Status::RESET, now).with_message(
            "history is gone; `tasks` holds the latest event of each task, later events follow",
        );
        let mut json = event.to_json();
        // Spliced and not parsed: the latest events go out exactly as they were emitted.
        json.truncate(json.len() - 1);
        json.push_str(",\"tasks\":[");
        for (index, latest) in snapshot.iter().filter_map(|s| s.json.as_deref()).enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(latest);
        }
        json.push_str("]}");
        write(out, Some(&position.to_string()), &event.status, &json);
    }

    fn about_stream(&self, step: impl fmt::Display, status: Status, now: Timestamp) -> TaskEvent {
        TaskEvent::of_stream(&self.connection, step, status, now).from_pod(&self.pod)
    }
}

fn write(out: &mut Vec<u8>, id: Option<&str>, status: &Status, json: &str) {
    let frame = Frame { id, event: Some(status.as_str()), data: Some(json) };
    // Ids are positions and names are statuses: neither type can hold a line break.
    frame.write(out).unwrap_or_else(|error| unreachable!("{error}"));
}

fn write_id(out: &mut Vec<u8>, id: &str) {
    Frame { id: Some(id), ..Frame::default() }.write(out).unwrap_or_else(|error| unreachable!("{error}"));
}
