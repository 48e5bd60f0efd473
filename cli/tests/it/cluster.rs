//! What other commands ask an API server, on a real one.

use fundbond_cli::{
    args::cluster::ClusterArgs,
    cluster::{Cluster, ClusterError, Scope},
};
use fundbond_test_api_server::shared;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::{Value, json};

use crate::kubernetes::Live;

fn slice(name: &str, instance: &str, addresses: &[&str]) -> EndpointSlice {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            "app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/instance": instance,
        }},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [],
    }))
    .unwrap()
}

#[tokio::test]
async fn fund_clusters_and_their_endpoints_are_found_by_their_names() {
    let server = shared();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    for name in ["desk", "pension"] {
        Live::create(server.client(), &namespace, name).await;
    }
    let slices: Api<EndpointSlice> = Api::namespaced(server.client(), &namespace);
    for one in [
        slice("desk-pods-1", "desk", &["10.0.0.1", "10.0.0.2"]),
        slice("desk-proxy-1", "desk", &["10.0.0.3"]),
        slice("pension-pods-1", "pension", &["10.0.0.4"]),
    ] {
        slices.create(&PostParams::default(), &one).await.unwrap();
    }
    let args = ClusterArgs {
        namespace: Some(namespace.clone()),
        kubeconfig: Some(server.admin().kubeconfig()),
        ..ClusterArgs::default()
    };
    let cluster = Cluster::connect(&args).await.unwrap();
    let own = cluster.fund_clusters(&cluster.here()).await.unwrap();
    let names: Vec<_> = own.iter().map(kube::ResourceExt::name_any).collect();
    assert_eq!(names, ["desk", "pension"]);
    assert!(cluster.fund_clusters(&Scope::All).await.unwrap().len() >= 2);
    assert_eq!(cluster.fund_cluster("desk").await.unwrap().namespace(), Some(namespace.clone()));
    let mut addresses: Vec<_> = cluster
        .slices(&cluster.here(), "desk")
        .await
        .unwrap()
        .into_iter()
        .flat_map(|slice| slice.endpoints)
        .flat_map(|endpoint| endpoint.addresses)
        .collect();
    addresses.sort();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert!(matches!(cluster.fund_cluster("dezk").await, Err(ClusterError::NotFound { .. })));
    assert!(!cluster.has_secret(&namespace, "none").await.unwrap());
}
