//! Who holds which stream, and which nodes live.

use std::time::Duration;

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, Epoch, LastEventId, PodId, Position, TaskId};
use tokio::time::Instant;

use crate::{NODE_TIMEOUT, ReadLimit, Reading, StoreError};

/// Orders the registrations of one connection: `max(previous + 1, time in µs)`, so it rises even where data
/// was lost. Whoever has the greatest owns the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// Whether a node may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// It is alive, for as long as it said.
    Alive,
    /// It was buried. Death is permanent: the process must take a new nonce.
    Buried,
}

/// A request to hold a stream.
#[derive(Clone, Debug)]
pub struct Register {
    /// The stream.
    pub connection: ConnectionId,
    /// Who will hold it.
    pub pod: PodId,
    /// The cluster of that pod.
    pub cluster: ClusterId,
    /// Where the client says it stands. [`LastEventId::Replaced`] is the caller's to answer, never sent.
    pub last: LastEventId,
    /// Tasks to attach. From the start they move here from whatever connection has them; with a position,
    /// only those that no connection has.
    pub tasks: Vec<TaskId>,
    /// How much of the log comes with the answer.
    pub limit: ReadLimit,
    /// When the client asked, by the clock of this process. A network that keeps a request back must not let it take the
    /// stream from one that the client made since.
    pub asked: Instant,
}

/// A held stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Proof of ownership.
    pub generation: Generation,
    /// What lies after the client's position.
    pub reading: Reading,
    /// Every attached task, and whether it has ended.
    pub tasks: Vec<(TaskId, bool)>,
}

/// Answer to [`Registry::register`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The stream is held.
    Open(Opened),
    /// Every task is final and the client stands at the end, or the stream was closed and this resumes it: there is
    /// nothing to hold (204).
    Done,
    /// Somebody asked for the stream after this request was made, and was given it: nothing happened.
    Late,
    /// The pod was buried; see [`Node::Buried`].
    Buried,
    /// The pod has no health; it must send a heartbeat first.
    NoHealth,
}

/// Who says it holds a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The stream.
    pub connection: ConnectionId,
    /// The pod.
    pub pod: PodId,
    /// Its proof.
    pub generation: Generation,
}

/// Answer to [`Registry::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Nothing is open and the client has everything: the registration is gone, the stream may end.
    Closed,
    /// Somebody else holds the stream.
    Replaced,
    /// The store does not know the registration: data was lost; re-assert.
    Lost,
    /// Something is open, or the client does not have everything: catch up.
    More,
}

/// Answer to [`Registry::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The registration is gone.
    Deleted,
    /// Somebody else's registration stands there (or none); it was not touched.
    Kept,
}

/// A pod's word on one stream it holds.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// The stream.
    pub connection: ConnectionId,
    /// The pod's proof.
    pub generation: Generation,
    /// What it has written to the client.
    pub position: Position,
    /// Every task it knows to be attached.
    pub tasks: Vec<TaskId>,
    /// Whether it heard [`Message::Gained`](crate::Message::Gained) and missed nothing since. Where not, it is told
    /// again: on the way that the events of foreign publishers take, and in order with them.
    pub gained: bool,
}

/// Answer to one [`Assertion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asserted {
    /// A greater generation exists: the local stream must end with `REPLACED`.
    Replaced,
    /// Somebody closed the stream: the local one must end with `CLOSED`.
    Closed,
    /// The stream is held; where epoch, end or open tasks differ from what the pod has, it catches up.
    Held {
        /// The history in force.
        epoch: Epoch,
        /// Offset of the newest entry.
        end: u64,
        /// The attached tasks that have not ended.
        open: Vec<TaskId>,
    },
}

/// Answer to [`Registry::reassert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reasserted {
    /// One answer an assertion, in order.
    Streams(Vec<Asserted>),
    /// The pod was buried.
    Buried,
    /// The pod has no health.
    NoHealth,
}

/// Who holds which stream. Every method is one atomic step.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Says that `pod` lives, and for how long that counts. Comes before its first registration.
    async fn lives(&self, pod: &PodId, cluster: &ClusterId, lasts: Duration) -> Result<Node, StoreError>;

    /// The same, for the usual time.
    async fn heartbeat(&self, pod: &PodId, cluster: &ClusterId) -> Result<Node, StoreError> {
        self.lives(pod, cluster, NODE_TIMEOUT).await
    }

    /// Takes `pod` out of its cluster: it ends in order and holds nothing any more.
    async fn leave(&self, pod: &PodId, cluster: &ClusterId) -> Result<(), StoreError>;

    /// Declares `pod` dead for ever if it has no health; says whether it is dead now.
    async fn bury(&self, pod: &PodId) -> Result<bool, StoreError>;

    /// Makes `pod` the holder of a stream: takes it over from whoever has it (told
    /// [`Message::Lost`](crate::Message::Lost)), attaches tasks, and reads from the client's position.
    /// Subscribe first, register second, or events between the two are missed until a catch-up.
    async fn register(&self, request: &Register) -> Result<Registered, StoreError>;

    /// Reads on from `after`.
    async fn catch_up(
        &self,
        connection: &ConnectionId,
        after: &Position,
        limit: ReadLimit,
    ) -> Result<Reading, StoreError>;

    /// Ends a stream whose tasks are all final: only if nothing is open and `position` is the end.
    async fn finish(&self, holder: &Holder, position: &Position) -> Result<Finished, StoreError>;

    /// Deletes a registration whose client left, if it still is this holder's: pod *and* generation, for a
    /// client may have come back to the same pod.
    async fn close(&self, holder: &Holder) -> Result<Closed, StoreError>;

    /// Repeats what `pod` holds: refreshes lifetimes, and brings back what a store lost.
    async fn reassert(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        streams: &[Assertion],
    ) -> Result<Reasserted, StoreError>;

    /// What `pod` holds, if that is more than the `known` streams it knows of: a store that went back in time brings back
    /// what had ended, and a registration may be done after its pod has given it up.
    async fn held(&self, pod: &PodId, known: usize) -> Result<Vec<Holder>, StoreError>;

    /// The pod that holds the stream now, with its cluster.
    async fn holder(&self, connection: &ConnectionId) -> Result<Option<(PodId, ClusterId)>, StoreError>;
}
