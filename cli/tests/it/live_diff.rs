//! `diff` against what an API server has.

use std::path::Path;

use axum::{
    Json, Router,
    http::{StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fundctl::{Run, command};

/// A server that has these objects, and a kubeconfig that leads to it.
async fn serving(objects: Vec<(&'static str, Value)>) -> tempfile::NamedTempFile {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |uri: Uri| {
        let found = objects.iter().find(|(path, _)| *path == uri.path()).map(|(_, object)| object.clone());
        let missing = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
            "message": format!("{} not found", uri.path()),
        });
        let answer = match found {
            Some(object) => (StatusCode::OK, Json(object)),
            None => (StatusCode::NOT_FOUND, Json(missing)),
        };
        async move { answer }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "funds"}}],
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "test", "user": {}}],
    });
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

fn slice(service: &str, pods: &[(&str, bool)]) -> Value {
    let endpoints = pods.iter().map(|(pod, ready)| {
        json!({
            "addresses": ["10.0.0.1"], "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": "funds"},
        })
    });
    json!({
        "metadata": {"name": format!("{service}-x"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints.collect::<Vec<_>>(), "ports": [],
    })
}

async fn diff(kubeconfig: &Path, line: &str) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let words: Vec<&str> = line.split_whitespace().collect();
    command(&words).current_dir(folder).env("KUBECONFIG", kubeconfig).output().await.unwrap().into()
}

const CLUSTER: &str = "/apis/fundbond.dev/v1alpha1/namespaces/funds/fundclusters/cluster1";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/funds/endpointslices";

#[tokio::test]
async fn the_pods_that_are_there_are_those_that_users_leave() {
    let cluster = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": "cluster1", "namespace": "funds", "uid": "u-1", "resourceVersion": "7"},
        "spec": {
            "route": {"value": "cluster1"}, "redis": {"url": "redis://redis:6379"}, "pods": {"replicas": 4},
            "routing": {"strategy": "ConsistentHash"},
        },
        "status": {"streams": 3},
    });
    let slices = json!({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {}, "items": [
        slice("cluster1-pods", &[("cluster1-pods-7c9-aaaaa", true), ("cluster1-pods-7c9-bbbbb", true), ("gone", false)]),
        slice("cluster1-pods-headless", &[("cluster1-pods-7c9-aaaaa", true)]),
        slice("cluster1-proxy", &[("cluster1-proxy-5d8-ccccc", true)]),
    ]});
    let kubeconfig = serving(vec![(CLUSTER, cluster), (SLICES, slices)]).await;
    let run = diff(kubeconfig.path(), "diff hash-five.yaml -o json").await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), run.err.as_str()), "{run:?}");
    let all: Value = serde_json::from_str(&run.out).unwrap();
    let pods = &all["clusters"][0]["pods"][0];
    assert_eq!(pods["before"], json!(["cluster1-pods-7c9-aaaaa", "cluster1-pods-7c9-bbbbb"]), "{pods}");
    assert_eq!(pods["after"].as_array().unwrap().len(), 5, "{pods}");
    assert_eq!(
        diff(kubeconfig.path(), "diff hash.yaml").await.code,
        Some(3),
        "status and uid are no changes"
    );
}

#[tokio::test]
async fn a_fund_cluster_that_is_not_there_is_named() {
    let kubeconfig = serving(Vec::new()).await;
    let run = diff(kubeconfig.path(), "diff hash.yaml").await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("cluster1") && run.err.contains("next: "), "{run:?}");
}
