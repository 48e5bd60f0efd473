//! What all Deployments of a FundCluster have in common: how they roll, where their pods are put, how Kubernetes asks their
//! processes whether they are well, and what those may do to their machine.

use fundbond_crds::FundCluster;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{Container, PodSpec, PodTemplateSpec, TopologySpreadConstraint},
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{
    meta::{Component, labels_of, meta, selector},
    names::Names,
    probes,
};

/// One Deployment: what is its own. All else is said here once.
pub(crate) struct Workload<'a> {
    pub(crate) name: String,
    pub(crate) component: Component,
    /// The shard group; none where there are none.
    pub(crate) group: Option<&'a str>,
    /// None where an autoscaler says it.
    pub(crate) replicas: Option<i32>,
    /// Labels and annotations of its pods. Our own labels, which select, win.
    pub(crate) metadata: ObjectMeta,
    pub(crate) pod: PodSpec,
    pub(crate) container: Container,
    /// The port for requests.
    pub(crate) port: i32,
}

impl Workload<'_> {
    pub(crate) fn deployment(self, cluster: &FundCluster, names: &Names) -> Deployment {
        let Self { name, component, group, replicas, mut metadata, pod, container, port } = self;
        metadata.labels.get_or_insert_default().extend(labels_of(names, component, group));
        let secrets = &cluster.spec.pods.image_pull_secrets;
        let pod = PodSpec {
            automount_service_account_token: Some(true),
            enable_service_links: Some(false),
            security_context: Some(probes::pod()),
            // Who says where pods go says all of it.
            topology_spread_constraints: pod.affinity.is_none().then(|| spread(names, component, group)),
            image_pull_secrets: (!secrets.is_empty()).then(|| secrets.clone()),
            containers: vec![Container {
                name: component.program().to_owned(),
                ports: Some(probes::ports(port)),
                startup_probe: Some(probes::startup()),
                readiness_probe: Some(probes::readiness()),
                liveness_probe: Some(probes::liveness()),
                security_context: Some(probes::container()),
                ..container
            }],
            ..pod
        };
        Deployment {
            metadata: meta(cluster, names, name, component, group),
            spec: Some(DeploymentSpec {
                replicas,
                selector: selector(names, component, group),
                strategy: Some(rolling()),
                revision_history_limit: Some(5),
                template: PodTemplateSpec { metadata: Some(metadata), spec: Some(pod) },
                ..DeploymentSpec::default()
            }),
            status: None,
        }
    }
}

/// A new pod is ready before an old one leaves, so nobody's place is taken away in between.
fn rolling() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::String("25%".to_owned())),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

/// Spread over machines and zones where that is possible.
fn spread(names: &Names, component: Component, group: Option<&str>) -> Vec<TopologySpreadConstraint> {
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .map(|key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector(names, component, group)),
            ..TopologySpreadConstraint::default()
        })
        .into()
}
