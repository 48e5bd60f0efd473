//! Who pods and proxies are, and what they may do.

use fundbond_crds::{FundCluster, GROUP};
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};

use crate::{
    Child,
    meta::{Component, meta},
    names::Names,
};

/// Accounts, what they may do, and that they may.
pub(crate) fn of(cluster: &FundCluster, names: &Names) -> Vec<Child> {
    let mut children = Vec::new();
    // Somebody else's account has somebody else's rules.
    if cluster.spec.pods.service_account.is_none() {
        children.extend(account(
            cluster,
            names,
            names.cluster().to_owned(),
            Component::Pods,
            keeps_house(names),
        ));
    }
    children.extend(account(cluster, names, names.proxy(), Component::Proxy, reads_routes()));
    children
}

/// A pod may stand for housekeeper. A name cannot be asked for in the making of an object, so making is of any lease.
fn keeps_house(names: &Names) -> Vec<PolicyRule> {
    let lease = |verbs: &[&str], names: Option<Vec<String>>| PolicyRule {
        api_groups: Some(vec!["coordination.k8s.io".to_owned()]),
        resources: Some(vec!["leases".to_owned()]),
        resource_names: names,
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    };
    vec![lease(&["get", "update"], Some(vec![names.lease()])), lease(&["create"], None)]
}

/// A proxy reads its route, and which pods there are.
fn reads_routes() -> Vec<PolicyRule> {
    let reads = |group: &str, resource: &str| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: ["get", "list", "watch"].map(str::to_owned).into(),
        ..PolicyRule::default()
    };
    vec![reads(GROUP, "gatewayroutes"), reads("discovery.k8s.io", "endpointslices")]
}

fn account(
    cluster: &FundCluster,
    names: &Names,
    name: String,
    component: Component,
    rules: Vec<PolicyRule>,
) -> [Child; 3] {
    let head = || meta(cluster, names, name.clone(), component, None);
    [
        Child::ServiceAccount(ServiceAccount {
            metadata: head(),
            // Only what speaks to the API server has a token; its pods ask for it.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }),
        Child::Role(Role { metadata: head(), rules: Some(rules) }),
        Child::RoleBinding(RoleBinding {
            metadata: head(),
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "Role".to_owned(),
                name: name.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: name.clone(),
                namespace: Some(names.namespace().to_owned()),
                ..Subject::default()
            }]),
        }),
    ]
}
