//! The way messages take from a store into a pod: bounded, and honest about what it dropped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use fundbond_protocol::{ConnectionId, Epoch, ForeignEvent, TaskId, Unusable};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::{Answer, Entry, Generation, Question};

/// Messages waiting in one subscription. 16,384 events of the usual 300 bytes are 5 MB: more than a second
/// of the highest rate a pod is built for, and little enough to lose on purpose.
const CAPACITY: usize = 16_384;

/// Room that foreign events leave to the rest: their publishers may say as much as they like, and must not cost a
/// stream its own events.
const KEPT_FROM_FOREIGN: usize = CAPACITY / 2;

/// What a pod is told. All of it can be missed without harm: the log has the events, and a re-assertion
/// brings out the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A connection's log grew.
    Event {
        /// Whose log.
        connection: ConnectionId,
        /// In which history.
        epoch: Epoch,
        /// By what.
        entry: Entry,
    },
    /// Somebody registered the connection with this generation: who holds it with a smaller one has lost it.
    Lost {
        /// The connection.
        connection: ConnectionId,
        /// The new generation.
        generation: Generation,
    },
    /// The pod registered the connection with this generation: from here on, what others publish for it is
    /// the pod's to take.
    Gained {
        /// The connection.
        connection: ConnectionId,
        /// The generation.
        generation: Generation,
    },
    /// Somebody closed the connection, whose registrations before this generation are over: its client is told `CLOSED`.
    Closed {
        /// The connection.
        connection: ConnectionId,
        /// Greater than that of the registration that was closed.
        generation: Generation,
    },
    /// A task was attached to a connection.
    Attached {
        /// The connection.
        connection: ConnectionId,
        /// The task.
        task: TaskId,
    },
    /// A task was ended by somebody else than its runner, which should stop.
    Ended {
        /// The task.
        task: TaskId,
    },
    /// Somebody runs a task that this pod accepted: its request need not be remembered any more.
    Claimed {
        /// The task.
        task: TaskId,
    },
    /// There may be a task to run.
    Work,
    /// Somebody else published an event; every pod hears it. The pod that holds its stream takes it
    /// ([`Bus::foreign`](crate::Bus::foreign)).
    Foreign(Arc<ForeignEvent>),
    /// Somebody published what cannot become an event.
    Unusable(Unusable),
    /// Another pod asks about a stream; see [`Users::ask`](crate::Users::ask).
    Asked(Question),
    /// Another pod answers.
    Answered(Answer),
    /// Messages were or may have been missed here: catch up with every stream, and re-assert.
    Gap,
}

impl Message {
    /// What a pod is told of a message that somebody else published; see [`ForeignEvent::parse`].
    pub(crate) fn published(message: &[u8], nonce: &str, now: Timestamp) -> Self {
        match ForeignEvent::parse(message, nonce, now) {
            Ok(event) => Self::Foreign(event.into()),
            Err(unusable) => Self::Unusable(unusable),
        }
    }
}

/// The store's end.
#[derive(Clone, Debug)]
pub struct Publisher {
    messages: mpsc::Sender<Message>,
    missed: Arc<Missed>,
}

/// What did not fit.
#[derive(Debug, Default)]
struct Missed {
    gap: AtomicBool,
    foreign: AtomicU64,
}

impl Publisher {
    /// Gives `message` to the pod, or notes that it missed one; never waits. False once the pod is gone.
    ///
    /// A foreign event that finds the queue half full is dropped and counted: there was no promise for it, and nothing
    /// else is missed.
    pub fn publish(&self, message: Message) -> bool {
        if matches!(message, Message::Foreign(_) | Message::Unusable(_))
            && self.messages.capacity() <= KEPT_FROM_FOREIGN
        {
            self.missed.foreign.fetch_add(1, Ordering::Relaxed);
            return !self.is_closed();
        }
        match self.messages.try_send(message) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.gap();
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Whether the pod is gone, or took another subscription.
    pub fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }

    /// Notes that the pod missed messages.
    pub fn gap(&self) {
        self.missed.gap.store(true, Ordering::Release);
        // Wakes a pod that waits; a full queue means it will come by anyway.
        let _ = self.messages.try_send(Message::Gap);
    }
}

/// The pod's end.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Message>,
    missed: Arc<Missed>,
}

impl Subscription {
    /// A new pair.
    pub fn new() -> (Publisher, Self) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let missed = Arc::new(Missed::default());
        (Publisher { messages: sender, missed: missed.clone() }, Self { messages: receiver, missed })
    }

    /// How many foreign events were dropped since the last time this was asked.
    pub fn dropped_foreign(&self) -> u64 {
        self.missed.foreign.swap(0, Ordering::Relaxed)
    }

    /// Waits for at least one message and appends up to `limit` of them to `batch`. 0 once the store is gone
    /// or another subscription took over. Where messages were dropped, the batch ends with one
    /// [`Message::Gap`], however many were.
    ///
    /// Cancel safe.
    pub async fn recv_many(&mut self, batch: &mut Vec<Message>, limit: usize) -> usize {
        let before = batch.len();
        let received = self.messages.recv_many(batch, limit).await;
        if received == 0 {
            return 0;
        }
        // Gap wake-ups in the queue only repeat what the flag says.
        let mut at = 0;
        batch.retain(|message| {
            at += 1;
            at <= before || *message != Message::Gap
        });
        if self.missed.gap.swap(false, Ordering::AcqRel) {
            batch.push(Message::Gap);
        }
        received
    }
}
