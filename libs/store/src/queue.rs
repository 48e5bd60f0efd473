//! Accepted tasks on their way to a runner: they wait in the store, and any pod of the cluster takes them.
//!
//! Flow: [`Queue::submit`] writes a task down with all that running it needs -> a pod with room [claims](Queue::claim)
//! it and runs it -> its final event ends both the run and the claim, in one step of the bus. A pod that ends in order
//! [gives back](Queue::give_back) what it has not done; of one that died, the sweep [hands over](Queue::hand_over) what
//! it had claimed. So an accepted task either waits, or is claimed, or has ended, and never anything else.
//!
//! A task may be begun again after its pod died, and the dead pod may turn out to be alive. Each claim has an
//! [`Attempt`] greater than all before: once a later run has begun, what an earlier one emits is refused, and until
//! then it says what the later one would say, under the same event ids.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, PodId, TaskId, TraceId};
use jiff::Timestamp;

use crate::{Order, Ordered, StoreError};

/// Pods that may die while they run a task. One or two deaths are bad luck, like a rollout or a node that fails; after
/// three the task itself is the likely reason, and a fourth pod is not given to it.
pub const MOST_DEATHS: u32 = 3;

/// A task to accept, with everything that running it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The task.
    pub task: TaskId,
    /// Where it belongs unless a stream asked for it already.
    pub connection: ConnectionId,
    /// The cluster that accepts it.
    pub cluster: ClusterId,
    /// The pod that accepts it, which is told when somebody runs it.
    pub pod: PodId,
    /// What kind of work it is.
    pub kind: String,
    /// Hash of the re-serialised request: the same task has the same.
    pub fingerprint: [u8; 32],
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The trace of the request.
    pub trace: TraceId,
    /// The request as JSON.
    pub body: Arc<str>,
}

/// Answer to [`Queue::submit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is new, and waits for a runner.
    New {
        /// The connection it belongs to.
        connection: ConnectionId,
        /// Whether some pod holds that connection's stream.
        stream_open: bool,
    },
    /// It was accepted before, with the same request: nothing runs twice.
    Repeated {
        /// The connection it belongs to.
        connection: ConnectionId,
        /// Whether some pod holds that connection's stream.
        stream_open: bool,
    },
    /// As many tasks wait as may; this one was not accepted.
    Full,
    /// The id belongs to a task with another request.
    OtherRequest,
    /// The id belongs to a task of another cluster.
    OtherCluster(ClusterId),
}

/// Orders the runs of one task: `max(previous + 1, time in µs)`, so it rises even where data was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u64);

/// A task to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The task, as it was accepted; `connection` is the one it belongs to now. Its body is empty where the store has
    /// lost it.
    pub submission: Submission,
    /// Which run of it this is.
    pub attempt: Attempt,
    /// How many pods died while they ran it. At [`MOST_DEATHS`] it is not to be run but to be failed.
    pub deaths: u32,
}

/// Answer to [`Queue::claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    /// As many as there were, and no more than were asked for.
    Tasks(Vec<Claimed>),
    /// The pod was buried; see [`Node::Buried`](crate::Node::Buried).
    Buried,
    /// The pod has no health.
    NoHealth,
}

/// Answer to [`Queue::hold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// What became of the claims that the pod does not have any more.
    Claims {
        /// The task has ended, or a later run of it has begun: this one is to stop without a word.
        lost: Vec<TaskId>,
        /// The store does not know the task: data was lost, and [`Queue::restore`] brings it back.
        forgotten: Vec<TaskId>,
    },
    /// The pod was buried.
    Buried,
    /// The pod has no health.
    NoHealth,
}

/// What a pod knows of a task that its store may have forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was accepted, and nobody was known to run it.
    Waiting,
    /// It runs on the pod, as this attempt, or has just ended there and its final event comes next.
    Running(PodId, Attempt),
}

/// Answer to [`Queue::restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It waits for a runner.
    Waiting,
    /// It is claimed: by the pod that asked, where it said that it runs it.
    Claimed,
    /// Somebody else runs it; see [`Held::Claims`].
    Lost,
    /// It has ended.
    Ended,
}

/// Answer to [`Queue::hand_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedOver {
    /// Some of the tasks wait for others now.
    Done {
        /// How many.
        tasks: usize,
        /// How many claims the dead pod still has: ask again.
        left: usize,
    },
    /// The pod was not buried: nothing is taken from it.
    NotBuried,
}

/// What waits and runs in one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Tasks that wait for a runner.
    pub waiting: usize,
    /// How long the oldest of them has waited since it was accepted.
    pub oldest: Option<Duration>,
    /// Tasks claimed by pods of the cluster.
    pub claimed: usize,
}

/// Accepted tasks on their way to a runner. Every method is one atomic step, and may be repeated.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Whether others see what is here, also after this process has ended. Where not, accepted tasks end with it.
    fn is_shared(&self) -> bool;

    /// Accepts a task once, attaches it to its connection, and wakes a pod that has room. Refused where `limit` tasks
    /// wait already.
    async fn submit(&self, submission: &Submission, limit: usize) -> Result<Submitted, StoreError>;

    /// Takes up to `most` waiting tasks for `pod`, the oldest first. A pod that got fewer is woken
    /// ([`Message::Work`](crate::Message::Work)) when there is more; messages can be lost, so it asks again now and then.
    async fn claim(&self, pod: &PodId, cluster: &ClusterId, most: usize) -> Result<Claims, StoreError>;

    /// Repeats what `pod` runs. Claims that it does not name (their answer was lost) wait for others again; a claim
    /// made under an earlier id of the same process goes on under this one. Never at the same time as
    /// [`claim`](Self::claim) of the same pod.
    async fn hold(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        runs: &[(TaskId, Attempt)],
    ) -> Result<Held, StoreError>;

    /// Lets tasks wait for others, at their old place, if this is still their latest run and they have not ended.
    async fn give_back(&self, pod: &PodId, runs: &[(TaskId, Attempt)]) -> Result<(), StoreError>;

    /// Says again what the store may have forgotten. Changes nothing where it has not.
    async fn restore(&self, submission: &Submission, standing: &Standing) -> Result<Restored, StoreError>;

    /// Lets some of what a buried pod had claimed wait for others, each with one death more.
    async fn hand_over(&self, order: &Order, pod: &PodId) -> Result<Ordered<HandedOver>, StoreError>;

    /// What waits and runs in `cluster`.
    async fn backlog(&self, cluster: &ClusterId) -> Result<Backlog, StoreError>;
}
