//! What a run leaves behind: facts in the order in which they happened, each with its time since the start.
//!
//! Facts say what was seen and never what it means; [`check`](crate::check) decides that.

use std::{fmt, time::Duration};

use fundbond_protocol::{ConnectionId, EventId, TaskId};
use serde::{Serialize, Serializer};

use crate::plan::FaultKind;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// When, since the start of the run.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// One `EventSource` of a client: a connection may have several, as a user may have two pages open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Page {
    /// The stream it reads.
    pub connection: ConnectionId,
    /// Which of its pages.
    pub number: u8,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "camelCase")]
pub enum What {
    /// A page asks for its stream, after the id `last` (empty: from the start).
    Asks {
        /// Who.
        page: Page,
        /// After what.
        last: String,
    },
    /// The head of an answer: 200 for a stream, 204 for nothing more, anything else is wrong.
    Opened {
        /// Who.
        page: Page,
        /// The status.
        status: u16,
        /// The pod that answers, where the gateways say which.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// No answer came, as while a gateway is down.
    Unanswered {
        /// Who.
        page: Page,
        /// Why.
        why: String,
    },
    /// A frame of an open stream.
    Saw {
        /// Who.
        page: Page,
        /// What it said.
        frame: Frame,
    },
    /// An open stream ended.
    Ended {
        /// Whose.
        page: Page,
        /// How.
        how: Ending,
    },
    /// A page will not ask again.
    Gone {
        /// Which.
        page: Page,
        /// Why.
        why: Farewell,
    },
    /// A task is asked for; the same request is made until it is answered.
    Submits {
        /// Which.
        task: TaskId,
    },
    /// The answer to it: 202 is a promise.
    Answered {
        /// To which.
        task: TaskId,
        /// The status.
        status: u16,
    },
    /// No answer came: nobody knows what became of it.
    Unheard {
        /// Of which.
        task: TaskId,
        /// Why.
        why: String,
    },
    /// A task was asked to stop, and this was the answer.
    Cancelled {
        /// Which.
        task: TaskId,
        /// The status; none where no answer came.
        status: Option<u16>,
    },
    /// Something is sent to a user, or to everybody; the same request is made until it is answered.
    Sends {
        /// To whom; none for everybody.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<ConnectionId>,
        /// Which.
        number: u32,
    },
    /// The answer to it.
    Sent {
        /// To whom; none for everybody.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<ConnectionId>,
        /// Which.
        number: u32,
        /// The status; none where no answer came.
        status: Option<u16>,
    },
    /// What a task's state is after the calm; none where nobody knows the task.
    State {
        /// Whose.
        task: TaskId,
        /// What it is.
        state: Option<State>,
    },
    /// A fault begins.
    Breaks {
        /// Its place in the plan.
        fault: usize,
        /// Its kind.
        kind: FaultKind,
        /// What it is about, for people.
        target: String,
    },
    /// It is over, and what it broke was mended.
    Mended {
        /// Its place in the plan.
        fault: usize,
        /// Its kind.
        kind: FaultKind,
    },
    /// A process ended although nobody ended it, or ended badly although it was asked to in order.
    Died {
        /// Which.
        process: String,
        /// How.
        how: String,
    },
    /// A line in the log of a process that should not be there.
    Line {
        /// Whose.
        process: String,
        /// What it says.
        text: String,
    },
    /// Who holds an open stream after the calm; none where the store does not know that it is open.
    Holder {
        /// Which.
        connection: ConnectionId,
        /// The registration, where it names a pod that lives.
        pod: Option<String>,
    },
    /// Who is registered, of a number of streams that are open.
    Registrations {
        /// How many are open.
        open: usize,
        /// Those of which the store does not know who holds them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<ConnectionId>,
    },
    /// What the store still has of a pod that is gone.
    Left {
        /// Which process it was.
        process: String,
        /// Under which name.
        pod: String,
        /// Streams registered to it.
        registrations: usize,
        /// Keys and entries of its own.
        keys: Vec<String>,
    },
    /// A sweep is under way.
    Midway {
        /// Of what this pod left.
        pod: String,
        /// Streams that were registered to it.
        of: usize,
        /// Those that still are.
        left: usize,
        /// Under whose orders: each leader's number is greater than those before.
        token: u64,
    },
    /// The store was given an order by a leader that had slept.
    LateOrder {
        /// Under which number.
        token: u64,
        /// Whether the store did nothing.
        refused: bool,
    },
    /// A process said that it leads.
    Led {
        /// Which.
        process: String,
        /// Under which number.
        token: u64,
    },
    /// A process that runs was declared dead.
    BuriedAlive {
        /// Which.
        process: String,
        /// Under which name.
        pod: String,
    },
    /// A key that should be gone by now.
    Key {
        /// Which.
        key: String,
        /// Why it should be.
        why: String,
    },
}

/// How an open stream ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// In order, by the server.
    Closed,
    /// Broken off.
    Broken(String),
    /// By the page itself.
    Left,
    /// By the page itself, which heard nothing for longer than any silence that is promised.
    Silent,
}

/// Why a page does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Farewell {
    /// 204: everything was said.
    Finished,
    /// Another page has the stream.
    Replaced,
    /// Somebody closed it.
    Closed,
    /// Its script says so.
    Left,
    /// The run is over.
    Over,
}

/// A frame as a page saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Frame {
    /// The event's name; none for a frame that only moves the position.
    pub name: Option<String>,
    /// The id in force on this connection after it; empty before the first.
    pub id: String,
    /// What the event says of its task.
    pub said: Option<Said>,
    /// Which note or notice it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The tasks of a `RESET`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshot: Vec<Said>,
}

/// What an event says of its task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// Which.
    pub task: TaskId,
    /// The event.
    pub event: EventId,
    /// What it announces.
    pub status: String,
    /// Whether it is the last one.
    pub last: bool,
}

/// The state of a task, as its page tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// The status.
    pub status: String,
    /// Whether it is final.
    pub last: bool,
}

impl What {
    /// The page it is about.
    pub fn page(&self) -> Option<&Page> {
        match self {
            Self::Asks { page, .. }
            | Self::Opened { page, .. }
            | Self::Unanswered { page, .. }
            | Self::Saw { page, .. }
            | Self::Ended { page, .. }
            | Self::Gone { page, .. } => Some(page),
            _ => None,
        }
    }

    /// The task it is about.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Submits { task }
            | Self::Answered { task, .. }
            | Self::Unheard { task, .. }
            | Self::Cancelled { task, .. }
            | Self::State { task, .. } => Some(task),
            Self::Saw { frame, .. } => frame.said.as_ref().map(|said| &said.task),
            _ => None,
        }
    }

    /// Whether a fault begins or ends.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Breaks { .. } | Self::Mended { .. })
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.number)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {}", self.at.as_secs_f64(), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { page, last } if last.is_empty() => write!(f, "{page} asks, from the start"),
            Self::Asks { page, last } => write!(f, "{page} asks, after {last}"),
            Self::Opened { page, status, by: None } => write!(f, "{page} is answered {status}"),
            Self::Opened { page, status, by: Some(by) } => write!(f, "{page} is answered {status} by {by}"),
            Self::Unanswered { page, why } => write!(f, "{page} gets no answer: {why}"),
            Self::Saw { page, frame } => write!(f, "{page} sees {frame}"),
            Self::Ended { page, how } => write!(f, "{page} ends: {how:?}"),
            Self::Gone { page, why } => write!(f, "{page} is gone: {why:?}"),
            Self::Submits { task } => write!(f, "{task} is submitted"),
            Self::Answered { task, status } => write!(f, "{task} is answered {status}"),
            Self::Unheard { task, why } => write!(f, "{task} gets no answer: {why}"),
            Self::Cancelled { task, status: Some(status) } => {
                write!(f, "{task} is asked to stop: {status}")
            }
            Self::Cancelled { task, status: None } => write!(f, "{task} is asked to stop: no answer"),
            Self::Sends { to, number } => write!(f, "{} {number} is sent", Letter(to.as_ref())),
            Self::Sent { to, number, status: Some(status) } => {
                write!(f, "{} {number} is answered {status}", Letter(to.as_ref()))
            }
            Self::Sent { to, number, status: None } => {
                write!(f, "{} {number} gets no answer", Letter(to.as_ref()))
            }
            Self::State { task, state: Some(State { status, last }) } => {
                write!(f, "{task} is {status} at the end, {}", if *last { "final" } else { "not final" })
            }
            Self::State { task, state: None } => write!(f, "{task} is not known at the end"),
            Self::Breaks { fault, kind, target } => write!(f, "** fault {fault}: {kind} {target}"),
            Self::Mended { fault, kind } => write!(f, "** fault {fault}: {kind} is over"),
            Self::Died { process, how } => write!(f, "{process} died: {how}"),
            Self::Line { process, text } => write!(f, "{process} says: {text}"),
            Self::Holder { connection, pod: Some(pod) } => write!(f, "{connection} is held by {pod}"),
            Self::Holder { connection, pod: None } => write!(f, "{connection} is open and held by nobody"),
            Self::Registrations { open, missing } => {
                write!(f, "of {open} open streams, {} are registered", open.saturating_sub(missing.len()))
            }
            Self::Left { process, registrations, keys, .. } => {
                write!(f, "of {process}, {registrations} streams and {} keys are left", keys.len())
            }
            Self::Midway { pod, of, left, token } => {
                write!(f, "leader {token} is sweeping {pod}: {left} of {of} streams are left")
            }
            Self::LateOrder { token, refused } => {
                write!(f, "an order of leader {token} is {}", if *refused { "refused" } else { "obeyed" })
            }
            Self::Led { process, token } => write!(f, "{process} led as {token}"),
            Self::BuriedAlive { process, pod } => write!(f, "{process} was declared dead as {pod}"),
            Self::Key { key, why } => write!(f, "key {key} is there, {why}"),
        }
    }
}

/// What is sent, to a user or to everybody.
struct Letter<'a>(Option<&'a ConnectionId>);

impl fmt::Display for Letter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(to) => write!(f, "{to}: note"),
            None => f.write_str("notice"),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("an id alone"))?;
        if !self.id.is_empty() {
            write!(f, " at {}", self.id)?;
        }
        if let Some(said) = &self.said {
            write!(f, ", {said}")?;
        }
        if let Some(number) = self.number {
            write!(f, ", number {number}")?;
        }
        for said in &self.snapshot {
            write!(f, " [{said}]")?;
        }
        Ok(())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, status, last, .. } = self;
        write!(f, "{event} {status}{}", if *last { " (final)" } else { "" })
    }
}

fn seconds<S: Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(at.as_secs_f64())
}
