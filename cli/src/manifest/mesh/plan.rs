//! Which requests go to which pods and how they are spread there, in words that other proxies have, too.

use fundbond_crds::{
    FundCluster,
    routing::{AppliesTo, Fallback, ShardBy, ShardGroups, Strategy},
};
use fundbond_desired::POD_PORT;
use fundbond_protocol::headers;

use super::digits;

/// How requests are spread over the pods of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Balance {
    /// In turn.
    RoundRobin,
    /// To the one with fewer requests of two.
    LeastRequests,
    /// By the address of the client.
    SourceAddress,
    /// By the value of a header.
    Header(String),
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// To the pods of one Service or of several, each with its weight.
    Services(Vec<(String, i32)>),
    /// Nowhere: 403.
    Refused,
}

/// One rule; the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What it is called.
    pub(super) name: String,
    /// Only users whose id matches this, whole.
    pub(super) users: Option<String>,
    /// Only what changes something.
    pub(super) writes: bool,
    pub(super) to: To,
    pub(super) balance: Balance,
}

/// All rules of a FundCluster, and what they cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rules: Vec<Rule>,
    pub(super) left_out: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The port of every Service of pods.
pub(super) const PORT: i32 = POD_PORT;

/// The header that says whose request it is.
pub(super) const USER: &str = headers::USER_ID;

/// What changes something, as far as the method says.
pub(super) const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

pub(super) fn plan(cluster: &FundCluster, services: &[(Option<String>, String)]) -> Plan {
    let mut plan = Plan { rules: Vec::new(), left_out: Vec::new(), notes: Vec::new() };
    let routing = &cluster.spec.routing;
    let all: Vec<_> = services
        .iter()
        .map(|(group, service)| (service.clone(), weight(routing.shard_groups.as_ref(), group.as_ref())))
        .collect();
    let rest = |balance| Rule {
        name: "all".to_owned(),
        users: None,
        writes: false,
        to: To::Services(all.clone()),
        balance,
    };
    match routing.strategy {
        Strategy::RoundRobin => plan.rules.push(rest(Balance::RoundRobin)),
        Strategy::LeastStreams => {
            plan.rules.push(rest(Balance::LeastRequests));
            plan.notes.push(
                "LeastStreams: each proxy of the mesh counts the requests that it sent itself".to_owned(),
            );
        }
        Strategy::ClientIp => {
            plan.rules.push(rest(Balance::SourceAddress));
            plan.notes.push("ClientIP: the address is that which the mesh takes for the client's; behind other proxies it must be told how many it may trust".to_owned());
            plan.notes.push(other_hash("client"));
        }
        Strategy::ConsistentHash => {
            let hash = routing.consistent_hash.clone().unwrap_or_default();
            let by = Balance::Header(hash.header.clone());
            if hash.applies_to == AppliesTo::Writes {
                plan.rules.push(Rule { name: "writes".to_owned(), writes: true, ..rest(by) });
                plan.rules.push(rest(Balance::RoundRobin));
            } else {
                plan.rules.push(rest(by));
            }
            plan.left_out.push(format!(
                "routing.consistentHash.loadBound: {}: a pod takes everybody whom the hash gives it",
                hash.load_bound
            ));
            if hash.header.eq_ignore_ascii_case(USER) {
                plan.left_out.push(in_path());
            }
            plan.notes.push(other_hash("user"));
        }
        Strategy::ShardGroups => {
            shards(routing.shard_groups.as_ref(), services, &mut plan, rest(Balance::RoundRobin));
        }
    }
    if cluster.spec.network_policy.enabled {
        plan.notes.push(
            "spec.networkPolicy lets only the cluster's proxy reach its pods: let the mesh in as well"
                .to_owned(),
        );
    }
    plan
}

fn shards(shards: Option<&ShardGroups>, services: &[(Option<String>, String)], plan: &mut Plan, rest: Rule) {
    let Some(shards) = shards else { return plan.rules.push(rest) };
    let count = shards.groups.len() as u64;
    for (index, group) in shards.groups.iter().enumerate() {
        let users = match (shards.by, group.users) {
            // The schema has no negative users.
            (ShardBy::Range, Some(users)) => {
                Some(digits::range(users.from.unsigned_abs(), users.to.unsigned_abs()))
            }
            (ShardBy::Range, None) => None,
            (ShardBy::Modulo, _) => digits::remainder(count, index as u64),
        };
        let service = services.iter().find(|(name, _)| name.as_ref() == Some(&group.name));
        let (Some(users), Some((_, service))) = (users, service) else { continue };
        plan.rules.push(Rule {
            name: format!("group-{}", group.name),
            users: Some(users),
            writes: false,
            to: To::Services(vec![(service.clone(), 1)]),
            balance: Balance::RoundRobin,
        });
    }
    if plan.rules.is_empty() {
        plan.left_out.push(format!("routing.shardGroups by Modulo of {count} groups: only 1, 2, 5 and 10 can be told by the last digit; every user goes to any pod"));
    } else {
        plan.left_out.push("routing.shardGroups: users whose id is no number go to any pod, and not to the group that a hash gives them".to_owned());
        plan.left_out.push(in_path());
    }
    if shards.fallback == Fallback::Reject && shards.by == ShardBy::Range {
        plan.rules.push(Rule {
            name: "no-group".to_owned(),
            users: Some(digits::ANY.to_owned()),
            to: To::Refused,
            ..rest.clone()
        });
    }
    plan.rules.push(rest);
}

/// How many pods a group has, and so how much of what is for anybody it takes.
fn weight(shards: Option<&ShardGroups>, group: Option<&String>) -> i32 {
    let group = shards.and_then(|shards| shards.groups.iter().find(|one| Some(&one.name) == group));
    group.map_or(1, |group| group.replicas.max(0))
}

fn other_hash(whom: &str) -> String {
    format!(
        "the mesh has a hash of its own: a {whom} goes to one pod there, but to another one than by the gateway"
    )
}

fn in_path() -> String {
    format!(
        "a user whom only the path names (/api/sse/...) is not known: only the header {USER} is looked at"
    )
}
