//! The pods: a Deployment, or one for each shard group.

use fundbond_crds::{FundCluster, fund_cluster, labels, routing::Strategy};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{
            ConfigMap, ConfigMapEnvSource, ConfigMapVolumeSource, Container, EnvFromSource, EnvVar,
            EnvVarSource, ObjectFieldSelector, PodSpec, SecretKeySelector, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{POD_PORT, Site, meta::Component, names::Names, settings, workload::Workload};

/// The volume with what pods may be told anew.
const LIVE: &str = "live";

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
    let digest = (labels::CONFIG_HASH.to_owned(), settings::digest(settings));
    let workload = Workload {
        name: names.pods(name),
        component: Component::Pods,
        group: name,
        // With an autoscaler it is the autoscaler's to say.
        replicas: pods.autoscaling.is_none().then_some(group.replicas),
        metadata: ObjectMeta {
            labels: Some(pods.labels.clone()),
            annotations: Some(pods.annotations.clone().into_iter().chain([digest]).collect()),
            ..ObjectMeta::default()
        },
        pod: pod(pods, names),
        container: container(cluster, site, names),
        port: POD_PORT,
    };
    workload.deployment(cluster, names)
}

fn pod(pods: &fund_cluster::Pods, names: &Names) -> PodSpec {
    PodSpec {
        service_account_name: Some(
            pods.service_account.clone().unwrap_or_else(|| names.cluster().to_owned()),
        ),
        // Up to a second goes with what Kubernetes does before and after.
        termination_grace_period_seconds: i64::try_from(pods.termination_grace_period.0.as_secs()).ok(),
        affinity: pods.affinity.clone(),
        node_selector: (!pods.node_selector.is_empty()).then(|| pods.node_selector.clone()),
        tolerations: (!pods.tolerations.is_empty()).then(|| pods.tolerations.clone()),
        priority_class_name: pods.priority_class_name.clone(),
        volumes: Some(vec![Volume {
            name: LIVE.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names.live(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    }
}

fn container(cluster: &FundCluster, site: &Site, names: &Names) -> Container {
    let settings = ConfigMapEnvSource { name: names.cluster().to_owned(), optional: None };
    Container {
        image: Some(cluster.spec.image.clone().unwrap_or_else(|| site.image("pod-service"))),
        env_from: Some(vec![EnvFromSource { config_map_ref: Some(settings), ..EnvFromSource::default() }]),
        env: Some(variables(cluster)),
        // The folder and not the file: only so does Kubernetes bring what changes.
        volume_mounts: Some(vec![VolumeMount {
            name: LIVE.to_owned(),
            mount_path: settings::LIVE_FOLDER.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        resources: Some(cluster.spec.pods.resources.clone()),
        ..Container::default()
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
