//! The cluster's proxy: one Deployment.

use fundbond_crds::FundCluster;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, EmptyDirVolumeSource, EnvVar, PodSpec, Volume, VolumeMount},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use crate::{PROXY_PORT, Site, meta::Component, names::Names, workload::Workload};

/// The volume with what a proxy knew last, for a container that starts while the API server is away.
const ROUTES: &str = "routes";
const FOLDER: &str = "/var/lib/fundbond";

/// The Deployment of the proxy.
pub(crate) fn deployment(cluster: &FundCluster, site: &Site, names: &Names) -> Deployment {
    let proxy = &cluster.spec.proxy;
    let workload = Workload {
        name: names.proxy(),
        component: Component::Proxy,
        group: None,
        replicas: Some(proxy.replicas),
        metadata: ObjectMeta::default(),
        pod: PodSpec {
            service_account_name: Some(names.proxy()),
            termination_grace_period_seconds: Some(30),
            node_selector: (!proxy.node_selector.is_empty()).then(|| proxy.node_selector.clone()),
            tolerations: (!proxy.tolerations.is_empty()).then(|| proxy.tolerations.clone()),
            priority_class_name: proxy.priority_class_name.clone(),
            volumes: Some(vec![Volume {
                name: ROUTES.to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    size_limit: Some(Quantity("64Mi".to_owned())),
                    ..EmptyDirVolumeSource::default()
                }),
                ..Volume::default()
            }]),
            ..PodSpec::default()
        },
        container: container(cluster, site, names),
        port: PROXY_PORT,
    };
    workload.deployment(cluster, names)
}

fn container(cluster: &FundCluster, site: &Site, names: &Names) -> Container {
    let image = cluster.spec.proxy.image.clone().unwrap_or_else(|| site.image("cluster-proxy"));
    Container {
        image: Some(image),
        env: Some(variables(cluster, site, names)),
        volume_mounts: Some(vec![VolumeMount {
            name: ROUTES.to_owned(),
            mount_path: FOLDER.to_owned(),
            ..VolumeMount::default()
        }]),
        resources: Some(cluster.spec.proxy.resources.clone()),
        ..Container::default()
    }
}

fn variables(cluster: &FundCluster, site: &Site, names: &Names) -> Vec<EnvVar> {
    let mut variables = vec![
        ("FUND_PORT", PROXY_PORT.to_string()),
        ("FUND_MAX_STREAMS", cluster.spec.proxy.max_streams.to_string()),
        ("FUND_ROUTES", "kubernetes".to_owned()),
        ("FUND_NAMESPACE", names.namespace().to_owned()),
        ("FUND_ROUTE_NAME", names.cluster().to_owned()),
        ("FUND_ROUTE_SNAPSHOT", format!("{FOLDER}/{ROUTES}")),
    ];
    if !site.gateway_networks.is_empty() {
        let networks: Vec<_> = site.gateway_networks.iter().map(ToString::to_string).collect();
        variables.push(("FUND_TRUSTED_PROXIES", networks.join(",")));
    }
    let variables = variables.into_iter();
    variables
        .map(|(name, value)| EnvVar { name: name.to_owned(), value: Some(value), value_from: None })
        .collect()
}
