//! The way messages take from a store into a pod: bounded, and honest about what it dropped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use fundbond_protocol::{ConnectionId, Epoch, TaskId};
use tokio::sync::mpsc;

use crate::{Entry, Generation};

/// Messages waiting in one subscription. 16,384 events of the usual 300 bytes are 5 MB: more than a second
/// of the highest rate a pod is built for, and little enough to lose on purpose.
const CAPACITY: usize = 16_384;

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
    /// Messages were or may have been missed here: catch up with every stream, and re-assert.
    Gap,
}

/// The store's end.
#[derive(Clone, Debug)]
pub struct Publisher {
    messages: mpsc::Sender<Message>,
    gap: Arc<AtomicBool>,
}

impl Publisher {
    /// Gives `message` to the pod, or notes that it missed one; never waits. False once the pod is gone.
    pub fn publish(&self, message: Message) -> bool {
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
        self.gap.store(true, Ordering::Release);
        // Wakes a pod that waits; a full queue means it will come by anyway.
        let _ = self.messages.try_send(Message::Gap);
    }
}

/// The pod's end.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Message>,
    gap: Arc<AtomicBool>,
}

impl Subscription {
    /// A new pair.
    pub fn new() -> (Publisher, Self) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let gap = Arc::new(AtomicBool::new(false));
        (Publisher { messages: sender, gap: gap.clone() }, Self { messages: receiver, gap })
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
        if self.gap.swap(false, Ordering::AcqRel) {
            batch.push(Message::Gap);
        }
        received
    }
}
