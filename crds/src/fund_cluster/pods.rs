//! The pods of a FundCluster.

use std::{collections::BTreeMap, time::Duration};

use fundbond_routing::spec::Span;
use k8s_openapi::{
    api::core::v1::{Affinity, EnvVar, LocalObjectReference, ResourceRequirements, Toleration},
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The pods.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self.drain.gracePeriod) < duration(self.terminationGracePeriod)", "pods.drain.gracePeriod must be shorter than pods.terminationGracePeriod, or a pod is killed while its streams move: shorten the one or lengthen the other", ".drain.gracePeriod")
]))]
#[serde(rename_all = "camelCase", default)]
pub struct Pods {
    /// How many run; with `autoscaling` how many there are at first, with shard groups nothing.
    #[schemars(range(min = 0, max = 1000), extend("example" = 3))]
    pub replicas: i32,
    /// Streams that one pod takes. It takes fewer where its process may not open so many files.
    #[schemars(range(min = 1, max = 1_000_000), extend("example" = 10000))]
    pub max_streams: i32,
    /// How old a stream gets before its client is asked to connect again, so that streams spread over new pods.
    #[schemars(extend("example" = "30m"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1m')", "pods.maxStreamAge must be 1m or longer", "")
]))]
    pub max_stream_age: Span,
    /// What a silent stream says, so that nobody on its way takes it for dead.
    #[schemars(extend("example" = {"initialDelay": "2s", "interval": "10s"}))]
    pub heartbeat: Heartbeat,
    /// How a pod leaves.
    #[schemars(extend("example" = {"gracePeriod": "45s"}))]
    pub drain: Drain,
    /// What Kubernetes gives a pod to leave before it kills it.
    #[schemars(extend("example" = "60s"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1s') && duration(self) <= duration('1h')", "pods.terminationGracePeriod must be from 1s to 1h", "")
]))]
    pub termination_grace_period: Span,
    /// Tasks that one pod runs at a time; as many as it has processors where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024), extend("example" = 4))]
    pub task_concurrency: Option<i32>,
    /// How the number of pods follows the load; it stays where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"minReplicas": 2, "maxReplicas": 10}))]
    pub autoscaling: Option<Autoscaling>,
    /// How many may be away at a time when machines are emptied.
    #[schemars(extend("example" = {"maxUnavailable": 1}))]
    pub disruption: Disruption,
    /// What a pod asks for and may use.
    #[schemars(extend("example" = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}))]
    pub resources: ResourceRequirements,
    /// Labels that a machine must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 16), extend("example" = {"pool": "streams"}))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of machines that do not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("example" = [{"key": "pool", "value": "streams", "effect": "NoSchedule"}]))]
    pub tolerations: Vec<Toleration>,
    /// Which machines, in place of the operator's own wish to spread the pods over machines and zones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"nodeAffinity": {}}))]
    pub affinity: Option<Affinity>,
    /// Variables of the container beside the operator's own. Names that begin with `FUND_` are its settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("example" = [{"name": "FUND_LOG", "value": "debug"}]))]
    pub env: Vec<EnvVar>,
    /// Whose pods go first where there is no room for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("example" = "streams"))]
    pub priority_class_name: Option<String>,
    /// A ServiceAccount in place of the operator's own. It must be allowed to keep the housekeeper's Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("example" = "funds"))]
    pub service_account: Option<String>,
    /// Secrets to fetch the image with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("example" = [{"name": "registry"}]))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Labels of the pods beside the operator's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 16), extend("example" = {"team": "funds"}))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods beside the operator's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 16), extend("example" = {"example.com/owner": "funds"}))]
    pub annotations: BTreeMap<String, String>,
}

impl Default for Pods {
    fn default() -> Self {
        let quantities = |pairs: [(&str, &str); 2]| {
            Some(pairs.into_iter().map(|(name, value)| (name.into(), Quantity(value.into()))).collect())
        };
        Self {
            replicas: 2,
            max_streams: 10_000,
            max_stream_age: Span(Duration::from_mins(30)),
            heartbeat: Heartbeat::default(),
            drain: Drain::default(),
            termination_grace_period: Span(Duration::from_mins(1)),
            task_concurrency: None,
            autoscaling: None,
            disruption: Disruption::default(),
            resources: ResourceRequirements {
                requests: quantities([("cpu", "250m"), ("memory", "256Mi")]),
                limits: Some([("memory".to_owned(), Quantity("512Mi".into()))].into()),
                claims: None,
            },
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            env: Vec::new(),
            priority_class_name: None,
            service_account: None,
            image_pull_secrets: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// What a silent stream says.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    /// Until the first one.
    #[schemars(extend("example" = "2s"))]
    pub initial_delay: Span,
    /// Between two. Gateways cut a stream that is silent for three.
    #[schemars(extend("example" = "10s"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1s') && duration(self) <= duration('15s')", "pods.heartbeat.interval must be from 1s to 15s, for a gateway cuts a stream that is silent for 45s", "")
]))]
    pub interval: Span,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { initial_delay: Span(Duration::from_secs(2)), interval: Span(Duration::from_secs(10)) }
    }
}

/// How a pod leaves.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Drain {
    /// How long streams and requests may take to end or move.
    #[schemars(extend("example" = "45s"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1s')", "pods.drain.gracePeriod must be 1s or longer", "")
]))]
    pub grace_period: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Self { grace_period: Span(Duration::from_secs(45)) }
    }
}

/// How the number of pods follows the load.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("self.minReplicas <= self.maxReplicas", "pods.autoscaling.minReplicas must not be greater than maxReplicas", ".minReplicas")
]))]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// At least; of each shard group at least its own replicas.
    #[schemars(range(min = 1, max = 1000), extend("example" = 2))]
    pub min_replicas: i32,
    /// At most; of each shard group where there are any.
    #[schemars(range(min = 1, max = 1000), extend("example" = 10))]
    pub max_replicas: i32,
    /// Of what a pod asks for, in percent, that is to be in use.
    #[serde(default = "seventy")]
    #[schemars(range(min = 1, max = 100), extend("example" = 70))]
    pub cpu_utilization: i32,
    /// Figures of the pods themselves. They need an adapter that serves them: without one nothing scales down any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"streamsPerPod": 5000}))]
    pub custom_metrics: Option<CustomMetrics>,
}

fn seventy() -> i32 {
    70
}

/// Figures of the pods that the number of pods follows.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("has(self.streamsPerPod) || has(self.backlogPerPod)", "pods.autoscaling.customMetrics must have streamsPerPod, backlogPerPod or both", "")
]))]
#[serde(rename_all = "camelCase")]
pub struct CustomMetrics {
    /// Open streams a pod, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("example" = 5000))]
    pub streams_per_pod: Option<i32>,
    /// Tasks that wait, a pod, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("example" = 10))]
    pub backlog_per_pod: Option<i32>,
}

/// How many pods may be away at a time.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Disruption {
    /// A number, or a share in percent.
    #[schemars(extend("example" = 1))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("string(self).matches('^([1-9][0-9]{0,3}|([1-9]|[1-9][0-9]|100)%)$')", "pods.disruption.maxUnavailable must be a number from 1 to 9999, or a share from 1% to 100%", "")
]))]
    pub max_unavailable: IntOrString,
}

impl Default for Disruption {
    fn default() -> Self {
        Self { max_unavailable: IntOrString::Int(1) }
    }
}

/// A Secret of the same namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), extend("example" = "redis-auth"))]
    pub name: String,
}
