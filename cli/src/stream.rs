//! A stream of server-sent events that survives what lies between.
//!
//! Flow: [`Transport`] opens -> bytes -> [`reader`](reader::Reader) (parse, dedupe, position) -> [`Signal`]s;
//! a loss -> [`backoff`] decides whether and when to open again, with `Last-Event-ID`. Deciding is pure;
//! [`EventStream::next`] is the only place that waits. It may be dropped at any await and called again.

mod backoff;
mod reader;
mod transport;

use std::{collections::VecDeque, time::Duration};

use fundbond_protocol::sse::{self, ParseError};
use futures::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::ClientError;

pub use backoff::{Backoff, Policy, Verdict};
pub use reader::Reader;
pub use transport::{ByteStream, HttpTransport, Opened, Transport};

/// What a stream has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// An event, each one once.
    Event(sse::Event),
    /// The stream is lost; it is opened again after a while.
    Lost {
        /// Which try comes next, from 1.
        try_number: u32,
        /// How many there are.
        tries: u32,
        /// How long until then.
        after: Duration,
        /// What happened.
        why: String,
        /// Whether the server ended it in order: it may have nothing left to send, which the next try tells.
        in_order: bool,
    },
    /// The stream is open again and goes on where it was lost.
    Reopened,
    /// Nothing more comes, and that is right.
    Ended(Ended),
}

/// Why a stream is over for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server has nothing left to send: every task of the stream has its final event.
    Finished,
    /// Another reader took the stream over.
    Replaced,
    /// Somebody closed it.
    Closed,
}

/// Why a stream ended although it should not have.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It could not be opened, or the server refuses to open it again.
    #[error("cannot open the stream")]
    Open(#[source] ClientError),
    /// It was lost and could not be opened again.
    #[error("the stream was lost and did not come back in {tries} tries; the last one: {why}")]
    GaveUp {
        /// How often it was tried.
        tries: u32,
        /// The last failure.
        why: String,
    },
    /// What came is not a stream of ours.
    #[error("the stream cannot be read")]
    Garbled(#[source] ParseError),
}

/// One stream, from its first open to its end. See the module for how it behaves.
pub struct EventStream<T> {
    transport: T,
    policy: Policy,
    backoff: Backoff,
    reader: Reader,
    state: State,
    ready: VecDeque<Signal>,
    /// It was lost and opened again, and has not said anything since.
    reopening: bool,
}

enum State {
    /// Never opened: a failure is the caller's business at once.
    First,
    /// Lost; the next try is due at this instant.
    Waiting(Instant),
    Open(ByteStream),
    Over,
}

impl<T: Transport> EventStream<T> {
    /// A stream that opens at the first [`next`](Self::next), after `last_event_id` (empty: from the start).
    pub fn new(transport: T, policy: Policy, last_event_id: &str) -> Self {
        Self {
            transport,
            backoff: Backoff::new(policy),
            policy,
            reader: Reader::new(last_event_id),
            state: State::First,
            ready: VecDeque::new(),
            reopening: false,
        }
    }

    /// The id to continue after.
    pub fn last_event_id(&self) -> &str {
        self.reader.last_event_id()
    }

    /// What comes next; `None` after [`Signal::Ended`] or an error. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Signal>, StreamError> {
        loop {
            if let Some(signal) = self.ready.pop_front() {
                return Ok(Some(signal));
            }
            match &mut self.state {
                State::Over => return Ok(None),
                State::First => self.open(true).await?,
                State::Waiting(due) => {
                    sleep_until(*due).await;
                    self.open(false).await?;
                }
                State::Open(bytes) => match timeout(self.policy.silence, bytes.next()).await {
                    Ok(Some(Ok(piece))) => self.take(&piece)?,
                    Ok(Some(Err(why))) => self.lose(why, false)?,
                    Ok(None) => self.lose("the server ended the stream".to_owned(), true)?,
                    Err(_) => {
                        self.lose(format!("nothing came for {} s", self.policy.silence.as_secs()), false)?;
                    }
                },
            }
        }
    }

    async fn open(&mut self, first: bool) -> Result<(), StreamError> {
        match self.transport.open(self.reader.last_event_id()).await {
            Ok(Opened::Stream(bytes)) => {
                self.backoff.opened(Instant::now());
                self.reader.reopened();
                self.state = State::Open(bytes);
                self.reopening = !first;
                Ok(())
            }
            Ok(Opened::Finished) => {
                self.end(Ended::Finished);
                Ok(())
            }
            Err(error) if first || !error.is_temporary() => {
                self.state = State::Over;
                Err(StreamError::Open(error))
            }
            Err(error) => {
                if let Some(wish) = error.retry_after() {
                    self.backoff.wish(wish);
                }
                self.lose(error.to_string(), false)
            }
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), StreamError> {
        let found = self.reader.feed(piece).map_err(|error| {
            self.state = State::Over;
            StreamError::Garbled(error)
        })?;
        for wish in found.wishes {
            self.backoff.wish(wish);
        }
        // A server that sheds load answers 200 and ends: the stream is back once it says something.
        if !found.events.is_empty() && std::mem::take(&mut self.reopening) {
            self.ready.push_back(Signal::Reopened);
        }
        self.ready.extend(found.events.into_iter().map(Signal::Event));
        if let Some(ended) = found.ended {
            self.end(ended);
        }
        Ok(())
    }

    fn end(&mut self, ended: Ended) {
        self.state = State::Over;
        self.ready.push_back(Signal::Ended(ended));
    }

    fn lose(&mut self, why: String, in_order: bool) -> Result<(), StreamError> {
        let now = Instant::now();
        match self.backoff.lost(now, rand::random_range(-1.0..=1.0)) {
            Verdict::Retry { try_number, after } => {
                self.state = State::Waiting(now + after);
                let tries = self.policy.tries;
                self.ready.push_back(Signal::Lost { try_number, tries, after, why, in_order });
                Ok(())
            }
            Verdict::GiveUp => {
                self.state = State::Over;
                Err(StreamError::GaveUp { tries: self.policy.tries, why })
            }
        }
    }
}

#[cfg(test)]
mod tests;
