//! The pods: a Deployment, or one for each shard group.

use std::collections::BTreeMap;

use fundbond_crds::{FundCluster, labels, routing::Strategy};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            ConfigMap, ConfigMapEnvSource, Container, EnvFromSource, EnvVar, EnvVarSource,
            ObjectFieldSelector, PodSpec, PodTemplateSpec, SecretKeySelector, TopologySpreadConstraint,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{
    POD_PORT, Site,
    meta::{Component, labels_of, meta, selector},
    names::Names,
    probes, settings,
};

/// Pods that are one Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The shard group; none where there are none.
    pub(crate) name: Option<String>,
    pub(crate) replicas: i32,
}

/// The groups of a FundCluster: one without a name, unless it has shard groups.
pub(crate) fn groups(cluster: &FundCluster) -> Vec<Group> {
    let routing = &cluster.spec.routing;
    match &routing.shard_groups {
        Some(shards) if routing.strategy == Strategy::ShardGroups => {
            let groups = shards.groups.iter();
            groups.map(|group| Group { name: Some(group.name.clone()), replicas: group.replicas }).collect()
        }
        _ => vec![Group { name: None, replicas: cluster.spec.pods.replicas }],
    }
}

/// The Deployment of a group.
pub(crate) fn deployment(
    cluster: &FundCluster,
    site: &Site,
    names: &Names,
    group: &Group,
    settings: &ConfigMap,
) -> Deployment {
    let name = group.name.as_deref();
    let pods = &cluster.spec.pods;
    let mut metadata = ObjectMeta {
        labels: Some(with(&pods.labels, labels_of(names, Component::Pods, name))),
        annotations: Some(pods.annotations.clone()),
        ..ObjectMeta::default()
    };
    let digest = settings::digest(settings);
    metadata.annotations.get_or_insert_default().insert(labels::CONFIG_HASH.to_owned(), digest);
    Deployment {
        metadata: meta(cluster, names, names.pods(name), Component::Pods, name),
        spec: Some(DeploymentSpec {
            // With an autoscaler it is the autoscaler's to say.
            replicas: pods.autoscaling.is_none().then_some(group.replicas),
            selector: selector(names, Component::Pods, name),
            strategy: Some(rolling()),
            revision_history_limit: Some(5),
            template: PodTemplateSpec {
                metadata: Some(metadata),
                spec: Some(pod(cluster, site, names, name)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A new pod is ready before an old one leaves, so nobody's place is taken away in between.
pub(crate) fn rolling() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::String("25%".to_owned())),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

/// The user's labels under our own, which select.
fn with(theirs: &BTreeMap<String, String>, ours: BTreeMap<String, String>) -> BTreeMap<String, String> {
    theirs.clone().into_iter().chain(ours).collect()
}

fn pod(cluster: &FundCluster, site: &Site, names: &Names, group: Option<&str>) -> PodSpec {
    let pods = &cluster.spec.pods;
    let some = |list: &Vec<_>| (!list.is_empty()).then(|| list.clone());
    PodSpec {
        service_account_name: Some(
            pods.service_account.clone().unwrap_or_else(|| names.cluster().to_owned()),
        ),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        // Up to a second goes with what Kubernetes does before and after.
        termination_grace_period_seconds: i64::try_from(pods.termination_grace_period.0.as_secs()).ok(),
        security_context: Some(probes::pod()),
        topology_spread_constraints: pods.affinity.is_none().then(|| spread(names, Component::Pods, group)),
        affinity: pods.affinity.clone(),
        node_selector: (!pods.node_selector.is_empty()).then(|| pods.node_selector.clone()),
        tolerations: (!pods.tolerations.is_empty()).then(|| pods.tolerations.clone()),
        priority_class_name: pods.priority_class_name.clone(),
        image_pull_secrets: some(&pods.image_pull_secrets),
        containers: vec![Container {
            name: "pod-service".to_owned(),
            image: Some(cluster.spec.image.clone().unwrap_or_else(|| site.image("pod-service"))),
            env_from: Some(vec![EnvFromSource {
                config_map_ref: Some(ConfigMapEnvSource { name: names.cluster().to_owned(), optional: None }),
                ..EnvFromSource::default()
            }]),
            env: Some(variables(cluster)),
            ports: Some(probes::ports(POD_PORT)),
            resources: Some(pods.resources.clone()),
            startup_probe: Some(probes::startup()),
            readiness_probe: Some(probes::readiness()),
            liveness_probe: Some(probes::liveness()),
            security_context: Some(probes::container()),
            ..Container::default()
        }],
        ..PodSpec::default()
    }
}

/// What differs from pod to pod or is secret; then what the user says, which wins.
fn variables(cluster: &FundCluster) -> Vec<EnvVar> {
    let mut variables = vec![EnvVar {
        name: "FUND_NODE_NAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".to_owned(),
                ..Default::default()
            }),
            ..EnvVarSource::default()
        }),
        value: None,
    }];
    if let Some(secret) = &cluster.spec.redis.credentials_secret {
        for (name, key, optional) in
            [("FUND_STORE_USERNAME", "username", Some(true)), ("FUND_STORE_PASSWORD", "password", None)]
        {
            variables.push(EnvVar {
                name: name.to_owned(),
                value_from: Some(EnvVarSource {
                    secret_key_ref: Some(SecretKeySelector {
                        name: secret.name.clone(),
                        key: key.to_owned(),
                        optional,
                    }),
                    ..EnvVarSource::default()
                }),
                value: None,
            });
        }
    }
    for theirs in &cluster.spec.pods.env {
        variables.retain(|ours| ours.name != theirs.name);
        variables.push(theirs.clone());
    }
    variables
}

/// Spread over machines and zones where that is possible.
pub(crate) fn spread(
    names: &Names,
    component: Component,
    group: Option<&str>,
) -> Vec<TopologySpreadConstraint> {
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
