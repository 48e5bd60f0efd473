//! What the tests begin with.

use fundbond_api_simulator::Simulator;
use fundbond_crds::FundCluster;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{Api, Client};
use serde_json::{Value, json};

pub const NAMESPACE: &str = "funds";

/// A simulator and a client of it.
pub fn begin() -> (Simulator, Client) {
    let simulator = Simulator::new(7);
    let client = simulator.client("operator");
    (simulator, client)
}

pub fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}

pub fn deployments(client: &Client) -> Api<Deployment> {
    Api::namespaced(client.clone(), NAMESPACE)
}

pub fn clusters(client: &Client) -> Api<FundCluster> {
    Api::namespaced(client.clone(), NAMESPACE)
}

pub fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub fn map(name: &str, data: &Value) -> ConfigMap {
    typed(json!({"metadata": {"name": name, "namespace": NAMESPACE}, "data": data}))
}

pub fn cluster(name: &str) -> FundCluster {
    let spec = json!({"route": {"value": name}, "redis": {"url": "redis://redis:6379"}});
    typed(json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    }))
}

/// A Deployment as somebody applies it.
pub fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "pods", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "pods"}},
            "template": {
                "metadata": {"labels": {"app": "pods"}},
                "spec": {"containers": [{
                    "name": "pod", "image": image,
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "ports": [{"name": "http", "containerPort": 9090}],
                }]},
            },
        },
    })
}

/// What the server refused with.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> Box<kube::core::Status> {
    match result {
        Err(kube::Error::Api(status)) => status,
        other => panic!("not refused: {other:?}"),
    }
}
