//! The cluster's proxy: one Deployment.

use fundbond_crds::FundCluster;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec, ResourceRequirements},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use crate::{
    PROXY_PORT, Site,
    meta::{Component, labels_of, meta, selector},
    names::Names,
    pods, probes,
};

/// The Deployment of the proxy.
pub(crate) fn deployment(cluster: &FundCluster, site: &Site, names: &Names) -> Deployment {
    let proxy = &cluster.spec.proxy;
    Deployment {
        metadata: meta(cluster, names, names.proxy(), Component::Proxy, None),
        spec: Some(DeploymentSpec {
            replicas: Some(proxy.replicas),
            selector: selector(names, Component::Proxy, None),
            strategy: Some(pods::rolling()),
            revision_history_limit: Some(5),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels_of(names, Component::Proxy, None)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(cluster, site, names)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn pod(cluster: &FundCluster, site: &Site, names: &Names) -> PodSpec {
    let image = cluster.spec.proxy.image.clone().unwrap_or_else(|| site.image("cluster-proxy"));
    let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
    let pods = &cluster.spec.pods;
    PodSpec {
        service_account_name: Some(names.proxy()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(30),
        security_context: Some(probes::pod()),
        topology_spread_constraints: Some(pods::spread(names, Component::Proxy, None)),
        image_pull_secrets: (!pods.image_pull_secrets.is_empty()).then(|| pods.image_pull_secrets.clone()),
        containers: vec![Container {
            name: "cluster-proxy".to_owned(),
            image: Some(image),
            env: Some(variables(names)),
            ports: Some(probes::ports(PROXY_PORT)),
            resources: Some(ResourceRequirements {
                requests: Some([quantity("cpu", "100m"), quantity("memory", "64Mi")].into()),
                limits: Some([quantity("memory", "256Mi")].into()),
                claims: None,
            }),
            startup_probe: Some(probes::startup()),
            readiness_probe: Some(probes::readiness()),
            liveness_probe: Some(probes::liveness()),
            security_context: Some(probes::container()),
            ..Container::default()
        }],
        ..PodSpec::default()
    }
}

fn variables(names: &Names) -> Vec<EnvVar> {
    [
        ("FUND_PORT", PROXY_PORT.to_string()),
        ("FUND_ROUTES", "kubernetes".to_owned()),
        ("FUND_NAMESPACE", names.namespace().to_owned()),
        ("FUND_ROUTE_NAME", names.cluster().to_owned()),
    ]
    .map(|(name, value)| EnvVar { name: name.to_owned(), value: Some(value), value_from: None })
    .into()
}
