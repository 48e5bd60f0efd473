//! How many may be away when machines are emptied.

use fundbond_crds::FundCluster;
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::{
    Child,
    meta::{Component, meta, selector},
    names::Names,
};

/// One budget for the pods of all groups, one for the proxy.
pub(crate) fn of(cluster: &FundCluster, names: &Names) -> [Child; 2] {
    let budget = |name: String, component: Component, most: IntOrString| {
        Child::PodDisruptionBudget(PodDisruptionBudget {
            metadata: meta(cluster, names, name, component, None),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(most),
                selector: Some(selector(names, component, None)),
                // A pod that is not well holds up nobody.
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        })
    };
    let most = cluster.spec.pods.disruption.max_unavailable.clone();
    [
        budget(names.all_pods(), Component::Pods, most),
        budget(names.proxy(), Component::Proxy, IntOrString::Int(1)),
    ]
}
