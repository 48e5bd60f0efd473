//! Which requests a cluster takes, and which of its pods a request goes to. A user says it in a FundCluster; a
//! GatewayRoute carries it on to gateways and proxies.

mod spec;

use std::time::Duration;

use fundbond_protocol::headers;
use fundbond_routing::{route_header, spec::Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use fundbond_routing::spec::{AppliesTo, Fallback, ShardBy, StrategyKind as Strategy};

/// Which requests.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The header that names the cluster. It decides about every request that has it, so it is a private one, `X-` with
    /// letters, digits and dashes.
    #[serde(default = "header")]
    #[schemars(length(min = 1, max = route_header::LONGEST), extend("example" = headers::X_CLUSTER_ROUTE_DISPLAY))]
    #[schemars(extend("x-kubernetes-validations" = header_rules()))]
    pub header: String,
    /// The value of that header. No two clusters behind one gateway may have the same, be it in different headers.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._~-]+$"), extend("example" = "cluster1"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("self == oldSelf", "route.value cannot be changed, clients know the cluster by it: create another FundCluster and delete this one", "")
]))]
    pub value: String,
    /// The path must be this or lie below it, segment by segment.
    #[serde(default = "api")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/[^?#\s]*$"), extend("example" = "/api"))]
    pub path_prefix: String,
    /// How many leading segments of the path the pods do not see.
    #[serde(default)]
    #[schemars(range(min = 0, max = 16), extend("example" = 0))]
    pub strip_prefix: i32,
    /// Whether requests that name no cluster come here, too. Behind one gateway only one cluster may take them.
    #[serde(default)]
    #[schemars(extend("example" = false))]
    pub default: bool,
}

fn header() -> String {
    headers::X_CLUSTER_ROUTE_DISPLAY.into()
}

/// What [`route_header::parse`] says, in the language of API servers.
fn header_rules() -> [Value; 2] {
    let taken: Vec<_> = route_header::taken().collect();
    let taken = format!("(?i)^({}.*|{})$", route_header::TAKEN_FAMILY, taken.join("|"));
    [
        crate::rules::rule(
            &format!("self.matches('{}')", route_header::SHAPE),
            "route.header must be X- with letters, digits and dashes, for it decides about every request that has it: write \
             X-Cluster-Route, or a name of your own such as X-Desk",
            "",
        ),
        crate::rules::rule(
            &format!("!self.matches('{taken}')"),
            "route.header means something else already: write X-Cluster-Route, or a name of your own such as X-Desk",
            "",
        ),
    ]
}

fn api() -> String {
    "/api".into()
}

/// How one of the pods is chosen.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("self.strategy != 'ShardGroups' || has(self.shardGroups)", "routing.strategy ShardGroups needs routing.shardGroups: say which users belong to which group", ".shardGroups"),
    crate::rules::rule("self.strategy == 'ShardGroups' || !has(self.shardGroups)", "routing.shardGroups is only for strategy ShardGroups: take it out or change the strategy", ""),
    crate::rules::rule("self.strategy == 'ClientIP' || !has(self.clientIP)", "routing.clientIP is only for strategy ClientIP: take it out or change the strategy", ""),
    crate::rules::rule("self.strategy == 'ConsistentHash' || !has(self.consistentHash)", "routing.consistentHash is only for strategy ConsistentHash: take it out or change the strategy", "")
]))]
#[serde(rename_all = "camelCase", default)]
pub struct Routing {
    /// Which way: `RoundRobin`, one after the other; `LeastStreams`, the one with fewer streams of two drawn at random;
    /// `ClientIP`, always the same for one client; `ConsistentHash`, always the same for one user; `ShardGroups`, one of the
    /// group that the user belongs to.
    #[schemars(extend("example" = "LeastStreams"))]
    pub strategy: Strategy,
    /// For `ClientIP`.
    #[serde(rename = "clientIP", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"timeout": "1h"}))]
    pub client_ip: Option<ClientIp>,
    /// For `ConsistentHash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"header": "user-id"}))]
    pub consistent_hash: Option<ConsistentHash>,
    /// For `ShardGroups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"groups": [{"name": "a", "users": {"from": 0, "to": 499}}, {"name": "b", "users": {"from": 500, "to": 999}}]}))]
    pub shard_groups: Option<ShardGroups>,
}

/// One client's requests go to one pod.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIp {
    /// For so long after its last one.
    #[schemars(extend("example" = "1h"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "routing.clientIP.timeout must be from 1s to 24h", "")
]))]
    pub timeout: Span,
}

impl Default for ClientIp {
    fn default() -> Self {
        Self { timeout: Span(Duration::from_hours(1)) }
    }
}

/// One user's requests go to one pod, and few users move when pods come and go.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsistentHash {
    /// The header that names the user.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), extend("example" = "user-id"))]
    pub header: String,
    /// Which requests: `Writes` (POST, PUT, PATCH and DELETE, and what says `operation-type: write`) or `All`. The others go
    /// round.
    #[schemars(extend("example" = "Writes"))]
    pub applies_to: AppliesTo,
    /// No pod takes more than its fair share times this: who would be too many goes to the next.
    #[schemars(range(min = 1.05, max = 10.0), extend("example" = 1.25))]
    pub load_bound: f64,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self { header: "user-id".into(), applies_to: AppliesTo::Writes, load_bound: 1.25 }
    }
}

/// Users belong to groups of pods, each group a Deployment of its own.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("self.groups.all(a, self.groups.filter(b, b.name == a.name).size() == 1)", "routing.shardGroups.groups must have different names", ".groups"),
    crate::rules::rule("self.by != 'Range' || self.groups.all(g, has(g.users))", "routing.shardGroups.groups by Range need users each: give each group users, with from and to", ".groups"),
    crate::rules::rule("self.by != 'Modulo' || self.groups.all(g, !has(g.users))", "routing.shardGroups.groups by Modulo must not have users, for users are dealt out in turn: take users out, or deal them out by Range", ".groups"),
    crate::rules::rule("self.by != 'Range' || !self.groups.all(g, has(g.users)) || self.groups.map(g, g.users.from).isSorted()", "routing.shardGroups.groups must be in the order of their users: sort them by users.from", ".groups"),
    crate::rules::rule("self.by != 'Range' || !self.groups.all(g, has(g.users)) || self.groups.all(a, self.groups.filter(b, a.users.from <= b.users.to && b.users.from <= a.users.to).size() == 1)", "routing.shardGroups.groups overlap, but each user belongs to one group: move from or to (both are inclusive)", ".groups"),
    crate::rules::rule("self.by != 'Range' || self.allowGaps || !self.groups.all(g, has(g.users)) || self.groups.all(a, a.users.to >= self.groups[size(self.groups) - 1].users.to || self.groups.exists(b, b.users.from == a.users.to + 1))", "routing.shardGroups.groups leave users out between them: close the gap, or set allowGaps and choose a fallback", ".groups")
]))]
#[serde(rename_all = "camelCase")]
pub struct ShardGroups {
    /// How users are dealt out: `Range`, by ranges of their number; `Modulo`, in turn.
    #[serde(default)]
    #[schemars(extend("example" = "Range"))]
    pub by: ShardBy,
    /// The groups.
    #[schemars(length(min = 1, max = 64), extend("example" = [{"name": "a", "users": {"from": 0, "to": 999}}]))]
    pub groups: Vec<ShardGroup>,
    /// Whether users between the ranges may belong to no group.
    #[serde(default)]
    #[schemars(extend("example" = false))]
    pub allow_gaps: bool,
    /// Where requests go whose user is in no group: to `Any` pod, or nowhere (`Reject`).
    #[serde(default)]
    #[schemars(extend("example" = "Any"))]
    pub fallback: Fallback,
}

/// A group of pods.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardGroup {
    /// How its Deployment is called, after the FundCluster's name and `-pods-`.
    #[schemars(length(min = 1, max = 10), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), extend("example" = "a"))]
    pub name: String,
    /// Which users are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("example" = {"from": 0, "to": 333}))]
    pub users: Option<Users>,
    /// How many pods it has.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 1000), extend("example" = 2))]
    pub replicas: i32,
}

fn two() -> i32 {
    2
}

/// A range of users by their number.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("self.from <= self.to", "users.from must not be greater than users.to", ".from")
]))]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// The first.
    #[schemars(range(min = 0), extend("example" = 0))]
    pub from: i64,
    /// The last.
    #[schemars(range(min = 0), extend("example" = 333))]
    pub to: i64,
}
