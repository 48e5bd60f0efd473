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

/// Requests reach pods from the cluster's proxy, and the proxy from gateways of any namespace, or from everywhere where an
/// HTTPRoute leads there. The admin ports are for everybody: probes, metrics and the operator come from many places, and
/// nothing there changes anything.
pub(crate) fn of(cluster: &FundCluster, names: &Names) -> [Child; 2] {
    let from_proxy = NetworkPolicyPeer {
        pod_selector: Some(selector(names, Component::Proxy, None)),
        ..NetworkPolicyPeer::default()
    };
    let gateways = BTreeMap::from([
        (labels::PART_OF.to_owned(), labels::FUNDBOND.to_owned()),
        (labels::NAME.to_owned(), "gateway".to_owned()),
    ]);
    let from_gateways = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector { match_labels: Some(gateways), ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    };
    let open = cluster.spec.exposure.http_route.enabled;
    [
        policy(cluster, names, names.all_pods(), Component::Pods, Some(from_proxy)),
        policy(cluster, names, names.proxy(), Component::Proxy, (!open).then_some(from_gateways)),
    ]
}

/// No peer is everybody.
fn policy(
    cluster: &FundCluster,
    names: &Names,
    name: String,
    component: Component,
    from: Option<NetworkPolicyPeer>,
) -> Child {
    let rule = |port: &str, from: Option<NetworkPolicyPeer>| NetworkPolicyIngressRule {
        from: from.map(|peer| vec![peer]),
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
