//! Who may reach which port. Where processes may go to is not said: Redis may be anywhere.

use std::collections::BTreeMap;

use fundbond_crds::{FundCluster, labels};
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use crate::{
    Child,
    meta::{Component, meta, selector},
    names::Names,
    probes::{ADMIN, HTTP},
};

/// Requests reach pods from the cluster's proxy, and the proxy from gateways of any namespace and from the operator, which asks
/// how the cluster is; or from everywhere where an HTTPRoute leads there. The admin ports are for everybody: probes, metrics and the operator come from many places, and
/// nothing there changes anything.
pub(crate) fn of(cluster: &FundCluster, names: &Names) -> [Child; 2] {
    let from_proxy = NetworkPolicyPeer {
        pod_selector: Some(selector(names, Component::Proxy, None)),
        ..NetworkPolicyPeer::default()
    };
    let from = |program: &str| NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([
                (labels::PART_OF.to_owned(), labels::FUNDBOND.to_owned()),
                (labels::NAME.to_owned(), program.to_owned()),
            ])),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let to_proxy = vec![from("gateway"), from("operator")];
    let open = cluster.spec.exposure.http_route.enabled;
    [
        policy(cluster, names, names.all_pods(), Component::Pods, Some(vec![from_proxy])),
        policy(cluster, names, names.proxy(), Component::Proxy, (!open).then_some(to_proxy)),
    ]
}

/// No list is everybody.
fn policy(
    cluster: &FundCluster,
    names: &Names,
    name: String,
    component: Component,
    from: Option<Vec<NetworkPolicyPeer>>,
) -> Child {
    let rule = |port: &str, from: Option<Vec<NetworkPolicyPeer>>| NetworkPolicyIngressRule {
        from,
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::String(port.to_owned())),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    };
    Child::NetworkPolicy(NetworkPolicy {
        metadata: meta(cluster, names, name, component, None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(names, component, None)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![rule(HTTP, from), rule(ADMIN, None)]),
            egress: None,
        }),
    })
}
