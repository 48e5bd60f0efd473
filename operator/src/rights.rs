//! What the operator must be allowed to do, and nothing more. Charts and pages are made from this, and a test holds it against
//! what an API server has recorded.

use fundbond_crds::GROUP;
use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::kinds::Kind;

/// In every namespace that it looks after.
pub fn everywhere() -> Vec<PolicyRule> {
    let mut rules = vec![
        // Watched; and read afresh before anything is written.
        rule(GROUP, &["fundclusters"], &["get", "list", "watch"]),
        rule(GROUP, &["fundclusters/status"], &["patch"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ];
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in Kind::ALL {
        let resource = kind.resource();
        match groups.iter_mut().find(|(group, _)| *group == resource.group) {
            Some((_, resources)) => resources.push(&resource.plural),
            None => groups.push((&resource.group, vec![&resource.plural])),
        }
    }
    // What is applied must be allowed to be made as well.
    rules.extend(
        groups.iter().map(|(group, resources)| {
            rule(group, resources, &["create", "delete", "list", "patch", "watch"])
        }),
    );
    rules.extend(handed_on());
    rules
}

/// What the operator does not do itself. Nobody may give a right that they do not have, and pods and proxies get theirs from
/// the operator. And where a cluster insists, who makes an object that keeps its owner from leaving must be allowed to
/// let the owner leave.
pub fn handed_on() -> Vec<PolicyRule> {
    vec![
        rule("coordination.k8s.io", &["leases"], &["create", "get", "update"]),
        rule(GROUP, &["gatewayroutes"], &["get"]),
        rule("discovery.k8s.io", &["endpointslices"], &["get", "list", "watch"]),
        rule(GROUP, &["fundclusters/finalizers"], &["update"]),
    ]
}

/// In its own namespace: the lease of that name, and where gateways are.
pub fn at_home(lease: &str) -> Vec<PolicyRule> {
    let mut named = rule("coordination.k8s.io", &["leases"], &["get", "update"]);
    named.resource_names = Some(vec![lease.to_owned()]);
    vec![
        named,
        // A name cannot be asked for in the making of an object.
        rule("coordination.k8s.io", &["leases"], &["create"]),
        rule("discovery.k8s.io", &["endpointslices"], &["list"]),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}
