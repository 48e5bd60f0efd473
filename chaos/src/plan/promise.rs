//! What a story promises beside what every run does.

use std::time::Duration;

use super::FaultKind;

/// One promise. Times are counted from the beginning of a fault, which is named by its place in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A stream that is open is registered, whenever it is asked.
    AlwaysRegistered,
    /// Every stream that is open is registered again.
    RegisteredAgain {
        /// After which fault.
        fault: usize,
        /// In which time.
        within: Duration,
    },
    /// Nothing is left of the pod that it killed.
    Swept {
        /// After which fault.
        fault: usize,
        /// In which time.
        within: Duration,
    },
    /// It is over.
    Over {
        /// Which.
        fault: usize,
        /// Not sooner: the system waits on purpose.
        after: Duration,
        /// Nor later.
        within: Duration,
    },
    /// No pod is declared dead that lives.
    NoneBuriedAlive,
    /// No stream breaks for another reason.
    HitOnlyBy(Vec<FaultKind>),
    /// Another leader ends the sweep in the middle of which the leader stood still, and what the old one still orders
    /// when it goes on is refused.
    LeaderFollowed {
        /// Which fault stopped it.
        fault: usize,
        /// In which time another has swept what was left.
        within: Duration,
    },
}
