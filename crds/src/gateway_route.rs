//! What gateways and cluster proxies read. One for each FundCluster, written only by the operator.

#![allow(
    clippy::duplicated_attributes,
    reason = "the derive wants one attribute for each column, and columns share types"
)]

use fundbond_routing::spec::Span;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::routing::{Match, Routing};

/// The spec of a GatewayRoute: small, so that ten thousand of them are no load for anybody.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fundbond.dev",
    version = "v1alpha1",
    kind = "GatewayRoute",
    namespaced,
    crates(kube_core = "::kube_core"),
    derive = "PartialEq",
    shortname = "gr",
    category = "fund",
    doc = "The route of one FundCluster, as gateways and cluster proxies read it. Written by the operator alone.",
    printcolumn(name = "Header", type_ = "string", json_path = ".spec.match.header"),
    printcolumn(name = "Value", type_ = "string", json_path = ".spec.match.value"),
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.routing.strategy"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".spec.generation"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRouteSpec {
    /// Rises with each change. Gateways say on their admin port which one they have applied.
    #[schemars(range(min = 1), extend("example" = 7))]
    pub generation: i64,
    /// Which requests.
    #[serde(rename = "match")]
    #[schemars(extend("example" = {"value": "cluster1"}))]
    pub matching: Match,
    /// The Service of the cluster's proxy: where gateways send them.
    #[schemars(extend("example" = {"name": "cluster1-proxy", "port": 8080}))]
    pub proxy: ServiceRef,
    /// The Services of the cluster's pods, one for each shard group: where the proxy sends them.
    #[schemars(length(min = 1, max = 64), extend("example" = [{"service": {"name": "cluster1-pods-headless", "port": 9090}}]))]
    pub pods: Vec<PodsRef>,
    /// How one of the pods is chosen.
    #[serde(default)]
    #[schemars(extend("example" = {"strategy": "RoundRobin"}))]
    pub routing: Routing,
    /// How long each stage of a request may take; the reader's own where absent.
    #[serde(default)]
    #[schemars(extend("example" = {"connect": "2s"}))]
    pub timeouts: Timeouts,
}

/// A port of a Service in the same namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63), extend("example" = "cluster1-proxy"))]
    pub name: String,
    /// Its port.
    #[schemars(range(min = 1, max = 65535), extend("example" = 8080))]
    pub port: i32,
}

/// The pods of a cluster, or of one of its shard groups.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodsRef {
    /// The shard group; none where the cluster has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10), extend("example" = "a"))]
    pub group: Option<String>,
    /// Their Service.
    #[schemars(extend("example" = {"name": "cluster1-pods-headless", "port": 9090}))]
    pub service: ServiceRef,
}

/// How long each stage of a request may take. There is no total: streams live long.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Until a connection to the endpoint is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "2s"))]
    pub connect: Option<Span>,
    /// Between two pieces of a request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "30s"))]
    pub request_body: Option<Span>,
    /// From the last piece of the request to the head of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "60s"))]
    pub response_headers: Option<Span>,
    /// Between two pieces of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = "45s"))]
    pub idle: Option<Span>,
}
