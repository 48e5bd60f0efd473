//! A cluster of pods that value funds and stream what comes of it, as a user asks for it.

#![allow(
    clippy::duplicated_attributes,
    reason = "the derive wants one attribute for each column, and columns share types"
)]

mod housekeeping;
mod pods;
mod status;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ResourceRequirements, Toleration},
    apimachinery::pkg::api::resource::Quantity,
};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    housekeeping::Housekeeping,
    pods::{Autoscaling, CustomMetrics, Disruption, Drain, Heartbeat, Pods, SecretRef},
    status::{FundClusterStatus, GatewayAcknowledgement, PodCounts, condition},
};
use crate::routing::{Match, Routing};

/// The spec of a FundCluster. The smallest one says a route value and a Redis.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fundbond.dev",
    version = "v1alpha1",
    kind = "FundCluster",
    namespaced,
    crates(kube_core = "::kube_core"),
    status = "FundClusterStatus",
    derive = "PartialEq",
    shortname = "fc",
    category = "fund",
    doc = "Pods that value funds and stream what comes of it, behind one value of the routing header.",
    scale(
        spec_replicas_path = ".spec.pods.replicas",
        status_replicas_path = ".status.pods.ready",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.pods.summary"),
    printcolumn(name = "Streams", type_ = "integer", json_path = ".status.streams"),
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.routing.strategy"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("self.routing.strategy != 'ShardGroups' || !has(self.pods.autoscaling) || !has(self.routing.shardGroups) || self.routing.shardGroups.groups.all(g, g.replicas <= self.pods.autoscaling.maxReplicas)", "pods.autoscaling.maxReplicas is for each shard group: raise it to the replicas of the largest one", ".pods.autoscaling.maxReplicas")
]))]
#[serde(rename_all = "camelCase")]
pub struct FundClusterSpec {
    /// The image of the pods; of the operator's own version where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), extend("example" = "ghcr.io/fundbond/pod-service:0.1.0"))]
    pub image: Option<String>,
    /// Which requests are this cluster's.
    #[schemars(extend("example" = {"value": "cluster1"}))]
    pub route: Match,
    /// Where streams and tasks are kept.
    #[schemars(extend("example" = {"url": "redis://redis:6379"}))]
    pub redis: Redis,
    /// The pods that run tasks and hold streams.
    #[serde(default)]
    #[schemars(extend("example" = {"replicas": 3}))]
    pub pods: Pods,
    /// How one of the pods is chosen for a request.
    #[serde(default)]
    #[schemars(extend("example" = {"strategy": "LeastStreams"}))]
    pub routing: Routing,
    /// The cluster's own proxy, between the gateway and the pods.
    #[serde(default)]
    #[schemars(extend("example" = {"replicas": 2}))]
    pub proxy: Proxy,
    /// When a pod counts as dead, and how what it leaves is cleared away.
    #[serde(default)]
    #[schemars(extend("example" = {"nodeTimeout": "30s"}))]
    pub housekeeping: Housekeeping,
    /// Who may reach the pods.
    #[serde(default)]
    #[schemars(extend("example" = {"enabled": true}))]
    pub network_policy: NetworkPolicySwitch,
    /// Objects for a Prometheus operator.
    #[serde(default)]
    #[schemars(extend("example" = {"serviceMonitor": true}))]
    pub monitoring: Monitoring,
    /// Ways in beside the gateway.
    #[serde(default)]
    #[schemars(extend("example" = {"httpRoute": {"enabled": true, "parentRefs": [{"name": "public"}]}}))]
    pub exposure: Exposure,
    /// Whether the operator leaves everything as it is.
    #[serde(default)]
    #[schemars(extend("example" = false))]
    pub paused: bool,
}

/// A Redis.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Its address. Name and password do not belong here: they come from `credentialsSecret`.
    #[schemars(length(min = 9, max = 512), regex(pattern = r"^redis://[^@/?#\s]+(/[0-9]{1,2})?$"), extend("example" = "redis://redis:6379"))]
    pub url: String,
    /// A Secret of the same namespace with `password`, and `username` where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"name": "redis-auth"}))]
    pub credentials_secret: Option<SecretRef>,
}

/// The cluster's proxy.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// How many run.
    #[schemars(range(min = 1, max = 100), extend("example" = 2))]
    pub replicas: i32,
    /// The image; of the operator's own version where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), extend("example" = "ghcr.io/fundbond/cluster-proxy:0.1.0"))]
    pub image: Option<String>,
    /// Streams that one proxy takes; more are told to come back later. All streams of the cluster go through its proxies.
    #[schemars(range(min = 1, max = 1_000_000), extend("example" = 10000))]
    pub max_streams: i32,
    /// What a proxy asks for and may use.
    #[schemars(extend("example" = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}))]
    pub resources: ResourceRequirements,
    /// Labels that a machine must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 16), extend("example" = {"pool": "streams"}))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of machines that do not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("example" = [{"key": "pool", "value": "streams", "effect": "NoSchedule"}]))]
    pub tolerations: Vec<Toleration>,
    /// Whose proxies go first where there is no room for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("example" = "streams"))]
    pub priority_class_name: Option<String>,
}

impl Default for Proxy {
    fn default() -> Self {
        let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
        Self {
            // One may go for an update of its machine.
            replicas: 2,
            image: None,
            max_streams: 10_000,
            resources: ResourceRequirements {
                requests: Some([quantity("cpu", "100m"), quantity("memory", "64Mi")].into()),
                limits: Some([quantity("memory", "256Mi")].into()),
                claims: None,
            },
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class_name: None,
        }
    }
}

/// Whether the pods are closed to everybody who has no business there.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicySwitch {
    /// Whether there is a NetworkPolicy: proxies reach pods, gateways reach proxies, and nobody else does.
    #[schemars(extend("example" = true))]
    pub enabled: bool,
}

impl Default for NetworkPolicySwitch {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Objects for a Prometheus operator. Its definitions must be there.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// Whether there is a ServiceMonitor.
    #[schemars(extend("example" = true))]
    pub service_monitor: bool,
    /// Whether there is a PrometheusRule.
    #[schemars(extend("example" = true))]
    pub rules: bool,
}

/// Ways in beside the gateway.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// A route of the Gateway API to the cluster's proxy. It takes off `route.stripPrefix` segments, but never more than
    /// `route.pathPrefix` has.
    #[schemars(extend("example" = {"enabled": true, "parentRefs": [{"name": "public"}]}))]
    pub http_route: HttpRouteSwitch,
}

/// Whether there is an HTTPRoute. The definitions of the Gateway API must be there.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("!self.enabled || size(self.parentRefs) > 0", "an HTTPRoute needs at least one of parentRefs: name the Gateway it is attached to", ".parentRefs")
]))]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteSwitch {
    /// Whether there is one.
    #[schemars(extend("example" = true))]
    pub enabled: bool,
    /// The Gateways it is attached to.
    #[schemars(length(max = 8), extend("example" = [{"name": "public", "namespace": "gateways"}]))]
    pub parent_refs: Vec<ParentRef>,
}

/// A Gateway of the Gateway API.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), extend("example" = "public"))]
    pub name: String,
    /// Its namespace; the FundCluster's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("example" = "gateways"))]
    pub namespace: Option<String>,
    /// One of its listeners; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("example" = "https"))]
    pub section_name: Option<String>,
}
