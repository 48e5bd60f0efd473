//! What is now, as an API server has it: the FundCluster, and the pods that its proxy sends requests to.

use fundbond_crds::{FundCluster, labels};
use fundbond_desired::{Child, Site};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::{
    cluster::{Cluster, Scope},
    error::Error,
    manifest::{Endpoints, diff::endpoints::Known},
};

/// The FundCluster `name` of `namespace`, and its pods.
pub(super) async fn read(
    server: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<(FundCluster, Vec<Endpoints>), Error> {
    let object = server.get::<FundCluster>(namespace, name).await?;
    // Whatever others have written there is not compared.
    let mut cluster = FundCluster::new(name, object.spec);
    cluster.metadata.namespace = Some(namespace.to_owned());
    let slices = server.slices(&Scope::Namespace(namespace.to_owned()), name).await?;
    let endpoints = endpoints(&cluster, &slices);
    Ok((cluster, endpoints))
}

/// The pods of each group that takes requests, as the proxy knows them.
fn endpoints(cluster: &FundCluster, slices: &[EndpointSlice]) -> Vec<Endpoints> {
    // Images do not matter for names.
    let site = Site::default();
    let children = fundbond_desired::children(cluster, &site, 1);
    let pods = children.into_iter().find_map(|child| match child {
        Child::GatewayRoute(route) => Some(route.spec.pods),
        _ => None,
    });
    let mut found = Vec::new();
    for pods in pods.unwrap_or_default() {
        let its_own = slices.iter().filter(|slice| {
            let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(labels::SERVICE));
            service == Some(&pods.service.name)
        });
        let ready = its_own.flat_map(|slice| &slice.endpoints).filter(|endpoint| {
            // Nothing said is ready, as Kubernetes has it.
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
        });
        // By its address is known what is no pod.
        let name = |endpoint: &Endpoint| {
            let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
            pod.or_else(|| endpoint.addresses.first().cloned())
        };
        let mut names: Vec<String> = ready.filter_map(name).collect();
        // A pod with two addresses is in two slices.
        names.sort();
        names.dedup();
        found.push(Endpoints { group: pods.group, pods: Known::Names(names) });
    }
    found
}
