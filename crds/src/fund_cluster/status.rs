//! What the operator says of a FundCluster. It changes only with what it is about: no time in it ticks.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The types of conditions.
pub mod condition {
    /// Everything that was asked for is there and serves.
    pub const READY: &str = "Ready";
    /// Something is being changed.
    pub const PROGRESSING: &str = "Progressing";
    /// Some of it does not serve.
    pub const DEGRADED: &str = "Degraded";
    /// The operator leaves everything as it is.
    pub const PAUSED: &str = "Paused";
    /// Every gateway that is ready has the route.
    pub const ROUTES_PROGRAMMED: &str = "RoutesProgrammed";
    /// As `kstatus` wants it: the operator is not done.
    pub const RECONCILING: &str = "Reconciling";
    /// As `kstatus` wants it: the operator cannot go on without somebody's help.
    pub const STALLED: &str = "Stalled";

    /// All that the operator says.
    pub const ALL: [&str; 7] =
        [READY, PROGRESSING, DEGRADED, PAUSED, ROUTES_PROGRAMMED, RECONCILING, STALLED];
}

/// What became of a FundCluster.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FundClusterStatus {
    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = 3))]
    pub observed_generation: Option<i64>,
    /// What holds and what does not, each with a reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "example" = [{"type": "Ready", "status": "True", "reason": "AllReady", "message": "3 of 3 pods are ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    ))]
    pub conditions: Vec<Condition>,
    /// How many pods there are.
    #[schemars(extend("example" = {"desired": 3, "ready": 3, "updated": 3, "summary": "3/3"}))]
    pub pods: PodCounts,
    /// Labels that all of its pods have, for `kubectl scale` and autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "app.kubernetes.io/instance=cluster1,app.kubernetes.io/component=pods"))]
    pub selector: Option<String>,
    /// Open streams, to within a tenth; absent where the cluster does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = 1200))]
    pub streams: Option<i64>,
    /// Accepted tasks that no pod runs yet, to within a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = 3))]
    pub backlog: Option<i64>,
    /// The pod that keeps house.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "cluster1-pods-6c9f7d5b8-x2x7k"))]
    pub leader: Option<String>,
    /// Which gateways have the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"generation": 7, "acknowledged": 2, "gateways": 2}))]
    pub gateways: Option<GatewayAcknowledgement>,
}

/// How many pods there are.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCounts {
    /// As many as there should be.
    #[schemars(extend("example" = 3))]
    pub desired: i32,
    /// Those that take requests.
    #[schemars(extend("example" = 3))]
    pub ready: i32,
    /// Those of the newest spec.
    #[schemars(extend("example" = 3))]
    pub updated: i32,
    /// The same for people: ready of desired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "3/3"))]
    pub summary: Option<String>,
}

/// Which gateways have the route.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayAcknowledgement {
    /// The generation of the route.
    #[schemars(extend("example" = 7))]
    pub generation: i64,
    /// Gateways that have applied it.
    #[schemars(extend("example" = 2))]
    pub acknowledged: i32,
    /// Gateways that are ready.
    #[schemars(extend("example" = 2))]
    pub gateways: i32,
}
