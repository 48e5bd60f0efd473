//! The cluster's proxy: one Deployment.

use fundbond_crds::FundCluster;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, EnvVar, PodSpec, ResourceRequirements},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use crate::{PROXY_PORT, Site, meta::Component, names::Names, workload::Workload};

/// The Deployment of the proxy.
pub(crate) fn deployment(cluster: &FundCluster, site: &Site, names: &Names) -> Deployment {
    let workload = Workload {
        name: names.proxy(),
        component: Component::Proxy,
        group: None,
        replicas: Some(cluster.spec.proxy.replicas),
        metadata: ObjectMeta::default(),
        pod: PodSpec {
            service_account_name: Some(names.proxy()),
            termination_grace_period_seconds: Some(30),
            ..PodSpec::default()
        },
        container: container(cluster, site, names),
        port: PROXY_PORT,
    };
    workload.deployment(cluster, names)
}

fn container(cluster: &FundCluster, site: &Site, names: &Names) -> Container {
    let image = cluster.spec.proxy.image.clone().unwrap_or_else(|| site.image("cluster-proxy"));
    let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
    Container {
        image: Some(image),
        env: Some(variables(names)),
        resources: Some(ResourceRequirements {
            requests: Some([quantity("cpu", "100m"), quantity("memory", "64Mi")].into()),
            limits: Some([quantity("memory", "256Mi")].into()),
            claims: None,
        }),
        ..Container::default()
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
