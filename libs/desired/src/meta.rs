//! What every object says of itself.

use std::collections::BTreeMap;

use fundbond_crds::{FundCluster, GROUP, VERSION, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::names::Names;

/// What an object is for in its FundCluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    /// What is for all of it.
    Cluster,
    /// The pods that run tasks and hold streams.
    Pods,
    /// The proxy in front of them.
    Proxy,
}

impl Component {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Pods => labels::PODS,
            Self::Proxy => labels::PROXY,
        }
    }

    /// The program that runs there.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Cluster => labels::FUNDBOND,
            Self::Pods => "pod-service",
            Self::Proxy => "cluster-proxy",
        }
    }
}

/// Labels by which objects are selected. They never change, for a Deployment's selector cannot.
pub(crate) fn selecting(
    names: &Names,
    component: Component,
    group: Option<&str>,
) -> BTreeMap<String, String> {
    let mut selecting = BTreeMap::from([
        (labels::INSTANCE.to_owned(), names.cluster().to_owned()),
        (labels::COMPONENT.to_owned(), component.as_str().to_owned()),
        (labels::PART_OF.to_owned(), labels::FUNDBOND.to_owned()),
    ]);
    if let Some(group) = group {
        selecting.insert(labels::SHARD_GROUP.to_owned(), group.to_owned());
    }
    selecting
}

/// All labels of an object.
pub(crate) fn labels_of(
    names: &Names,
    component: Component,
    group: Option<&str>,
) -> BTreeMap<String, String> {
    let mut all = selecting(names, component, group);
    all.insert(labels::NAME.to_owned(), component.program().to_owned());
    all.insert(labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned());
    all
}

pub(crate) fn selector(names: &Names, component: Component, group: Option<&str>) -> LabelSelector {
    LabelSelector { match_labels: Some(selecting(names, component, group)), ..LabelSelector::default() }
}

/// The head of an object called `name`. It goes with its FundCluster.
pub(crate) fn meta(
    cluster: &FundCluster,
    names: &Names,
    name: String,
    component: Component,
    group: Option<&str>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: cluster.metadata.namespace.clone(),
        labels: Some(labels_of(names, component, group)),
        owner_references: owner(cluster).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// None for a FundCluster that no server has taken yet.
pub(crate) fn owner(cluster: &FundCluster) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "FundCluster".to_owned(),
        name: cluster.metadata.name.clone()?,
        uid: cluster.metadata.uid.clone()?,
        controller: Some(true),
        block_owner_deletion: Some(true),
    })
}
