//! What dead pods left behind, and how a leader takes it away.
//!
//! Three things keep a live registration safe, each where another fails. A registration is deleted only if it names the
//! dead pod, and a pod's name changes with each start. Only a buried pod is swept, and who is buried never holds anything
//! again. And an order is refused once a later leader gave one, so that whoever slept over the end of its leadership
//! cannot go on with what it had in hand.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fundbond_lease::Token;
use fundbond_protocol::{ClusterId, PodId};

use crate::StoreError;

/// By whose authority something is taken away.
#[derive(Clone, Debug)]
pub struct Order {
    /// The cluster whose housekeeper gives it.
    pub cluster: ClusterId,
    /// The leadership it is given under.
    pub token: Token,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered<T> {
    /// It was obeyed.
    Done(T),
    /// Somebody leads under a greater token; nothing happened.
    Late,
}

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Which.
    pub pod: PodId,
    /// How long ago it said that it lives; none where that is too long ago.
    pub health_age: Option<Duration>,
    /// Whether it was declared dead.
    pub buried: bool,
    /// How many registrations it has.
    pub streams: u64,
}

/// The nodes of a cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// The life of the server.
    pub life: String,
    /// For how long the cluster knows this life.
    pub stable: Duration,
    /// What the last sweep noted.
    pub note: Option<Arc<str>>,
    /// All of them, in no order.
    pub nodes: Vec<NodeSeen>,
}

/// Whether a pod is dead now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buried {
    /// It is, whoever buried it.
    Dead,
    /// It has health.
    Alive,
}

/// Answer to [`Housekeeping::sweep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// This many registrations were deleted, and so many are still to be looked at.
    Some {
        /// Deleted.
        deleted: u64,
        /// To be looked at.
        left: u64,
    },
    /// The pod is not buried; nothing happened.
    NotBuried,
}

/// Answer to [`Housekeeping::forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// The cluster knows it no more.
    Done,
    /// Something of it is left.
    Remains,
    /// The pod is not buried; nothing happened.
    NotBuried,
}

/// A registration whose owner has no health and is no node of the cluster it names: written by hand, or by something
/// older than the nodes' lists. Its parts are text, for nothing says that they are ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Whom it names.
    pub owner: String,
    /// The cluster it names.
    pub cluster: String,
    /// What follows the prefix of the key.
    pub connection: String,
}

/// Answer to [`Housekeeping::strays`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayPage {
    /// What was found. A registration may be found twice, or come only in a later scan.
    pub strays: Vec<Stray>,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
}

/// Answer to [`Housekeeping::sweep_strays`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StraySwept {
    /// So many registrations were deleted, and the owner is buried.
    Deleted(u64),
    /// The owner has health by now, or is a node; nothing happened.
    Known,
}

/// Taking away what dead pods left. Every method is one atomic step.
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// The nodes of `cluster`.
    async fn nodes(&self, cluster: &ClusterId) -> Result<Nodes, StoreError>;

    /// Declares dead for ever those of `pods` that have no health; says of each whether it is dead now.
    async fn bury_nodes(&self, order: &Order, pods: &[PodId]) -> Result<Ordered<Vec<Buried>>, StoreError>;

    /// Looks at up to `limit` registrations of a buried pod, and deletes those that are still its own. The generation of
    /// a stream stays, so that a process that was only asleep takes its streams up again under its next name.
    async fn sweep(&self, order: &Order, pod: &PodId, limit: usize) -> Result<Ordered<Swept>, StoreError>;

    /// Takes a buried pod off the list of nodes, once nothing of it is left.
    async fn forget(&self, order: &Order, pod: &PodId) -> Result<Ordered<Forgotten>, StoreError>;

    /// Looks at about `limit` keys from `cursor` on (0 at first) for registrations of nobody.
    async fn strays(&self, cursor: u64, limit: usize) -> Result<StrayPage, StoreError>;

    /// Buries the owner of `strays` if it is still unknown, and deletes those of them that are still its own. All of
    /// them name one owner and one cluster.
    async fn sweep_strays(&self, order: &Order, strays: &[Stray]) -> Result<Ordered<StraySwept>, StoreError>;

    /// Writes down how a sweep went, for [`Nodes::note`].
    async fn note_sweep(&self, order: &Order, note: &str) -> Result<Ordered<()>, StoreError>;

    /// The greatest token that an order for `cluster` was obeyed under lately.
    async fn fence(&self, cluster: &ClusterId) -> Result<Option<Token>, StoreError>;

    /// Puts the token of `order` in the place of `greatest`, a greater one, if that is what stands there; says whether it
    /// did.
    ///
    /// Tokens have an order only as long as they come from one place that never forgets. Where the lease was moved, or its
    /// place was put back from a backup, a leader of today has a smaller one than one of yesterday. It may say so only if
    /// it renewed its leadership after it saw `greatest`: then nobody has led since it began, and a greater token is none
    /// of its successors'.
    async fn overrule(&self, order: &Order, greatest: Token) -> Result<bool, StoreError>;
}
