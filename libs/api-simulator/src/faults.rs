//! What goes wrong, as a test plans it.
//!
//! Flow: each request, and each event of a watch, is shown to the [`Plan`] of the test -> what it says is done to that one.
//! Without a plan nothing goes wrong. Plans see everything in the order of its numbers, which is the same in every run of
//! the same program under paused time.

use tokio::time::Duration;

use crate::{failure::Failure, trace::Entry};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this code (409, 410, 429, 500, 503 ...), and nothing is done.
    Refuse(u16),
    /// It is refused with 429, to be asked again after so many seconds.
    Later(u64),
    /// It is never done, and never answered.
    Hang,
    /// It is done, and never answered.
    HangAfter,
    /// The connection breaks before it is done.
    Drop,
    /// The connection breaks after it is done.
    DropAfter,
    /// It is done, and answered so much later.
    Slow(Duration),
    /// It is done so much later, whether or not anybody waits for the answer still.
    Late(Duration),
}

/// What becomes of an event of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is told.
    Now,
    /// It is never told by this watch.
    Never,
    /// It is told twice.
    Twice,
    /// The next one is told before it; where none comes, it is told a second later.
    AfterNext,
    /// It is told so much later, and all after it not before it: a cache that is stale.
    Late(Duration),
    /// The connection of the watch breaks instead.
    Break,
    /// The watch is told that it expired instead.
    Expire,
}

/// An event that is about to be told.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The how manyth event of all watches it is, from 0.
    pub number: u64,
    /// The number of the request that began the watch.
    pub watch: u64,
    /// Whose watch it is.
    pub identity: &'a str,
    /// What it watches: `deployments`.
    pub resource: &'a str,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub word: &'static str,
    /// Where the object is.
    pub namespace: &'a str,
    /// What it is called.
    pub name: &'a str,
}

/// What goes wrong. A closure over requests is one.
pub trait Plan: Send {
    /// What becomes of that request; nothing is that it is done.
    fn request(&mut self, request: &Entry) -> Option<Fault>;

    /// What becomes of that event.
    fn event(&mut self, event: &Event<'_>) -> Delivery {
        let _ = event;
        Delivery::Now
    }
}

impl<F: FnMut(&Entry) -> Option<Fault> + Send> Plan for F {
    fn request(&mut self, request: &Entry) -> Option<Fault> {
        self(request)
    }
}

/// The plan of a test, if it has one.
#[derive(Default)]
pub(crate) struct Planned {
    plan: Option<Box<dyn Plan>>,
    events: u64,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planned").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Planned {
    pub(crate) fn set(&mut self, plan: Option<Box<dyn Plan>>) {
        self.plan = plan;
    }

    pub(crate) fn is_none(&self) -> bool {
        self.plan.is_none()
    }

    pub(crate) fn request(&mut self, request: &Entry) -> Option<Fault> {
        self.plan.as_mut().and_then(|plan| plan.request(request))
    }

    /// `event` comes without its number.
    pub(crate) fn event(&mut self, event: Event<'_>) -> Delivery {
        let number = self.events;
        self.events += 1;
        self.plan.as_mut().map_or(Delivery::Now, |plan| plan.event(&Event { number, ..event }))
    }
}

/// What the server would say with that code.
pub(crate) fn refusal(code: u16, retry_after: Option<u64>) -> Failure {
    let (reason, message) = match code {
        400 => ("BadRequest", "the request is not understood"),
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => (
            "Conflict",
            "the object has been modified; please apply your changes to the latest version and try again",
        ),
        410 => ("Expired", "too old resource version"),
        429 => ("TooManyRequests", "too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    Failure { retry_after, ..Failure::new(code, reason, message) }
}
