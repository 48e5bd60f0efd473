//! How a cluster is.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, PodId};

/// Path of the state of a cluster.
pub const CLUSTER_STATUS_PATH: &str = "/api/cluster/status";

/// Answer of `GET /api/cluster/status`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster of the pod that answers.
    pub cluster_id: ClusterId,
    /// Its nodes by id; the dead ones until nothing is left of them.
    pub nodes: Vec<NodeStatus>,
    /// The pod that had the lease of the housekeeper when the pod that answers last saw it; absent when nobody has it, and
    /// when it was not seen for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// How its last sweep went; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sweep: Option<SweepStatus>,
    /// Whether sweeps wait.
    pub breaker: BreakerStatus,
    /// Its accepted tasks that have not ended.
    pub tasks: BacklogStatus,
}

/// Accepted tasks that have not ended.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BacklogStatus {
    /// Those that no pod runs yet.
    pub waiting: u64,
    /// How long ago the oldest of them was accepted; absent where none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
    /// Those that a pod runs.
    pub running: u64,
}

/// One node of a cluster.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Which start of which pod.
    pub pod_id: PodId,
    /// Whether it says that it lives.
    pub alive: bool,
    /// How long ago it said so last; absent where that is too long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_age_seconds: Option<f64>,
    /// Streams that it holds or, being dead, left.
    pub streams: u64,
}

/// One sweep.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepStatus {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// Pods it declared dead.
    pub buried: u64,
    /// Dead pods of which it left nothing.
    pub forgotten: u64,
    /// Tasks of dead pods it gave to others.
    pub tasks: u64,
    /// Registrations of dead pods it deleted.
    pub registrations: u64,
}

/// Whether sweeps wait, as what they would do may be a mistake.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerStatus {
    /// Whether they do.
    pub open: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<BreakerReason>,
    /// How much longer from the last sweep on, if nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<f64>,
}

/// Why sweeps wait.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerReason {
    /// The store began another life, and pods have yet to say that they live.
    StoreChanged,
    /// More than half of the pods look dead.
    ManyDead,
}

impl BreakerReason {
    /// The word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::StoreChanged => "store-changed",
            Self::ManyDead => "many-dead",
        }
    }
}

/// A time as people are told it: seconds, to the millisecond. More digits are noise, of the clock or of binary fractions.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_millisecond() {
        // The sum of 2 and 0.829 is 2.8289999999999997.
        for (nanos, told) in [
            (0, "0.0"),
            (2_829_000_000, "2.829"),
            (2_829_400_000, "2.829"),
            (2_829_500_000, "2.83"),
            (86_399_999_000_000, "86399.999"),
        ] {
            assert_eq!(format!("{:?}", seconds(Duration::from_nanos(nanos))), told);
        }
    }
}
