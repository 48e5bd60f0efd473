//! `doctor`, on a real API server: first without the product, then with it.

use fundbond_crds::GatewayRoute;
use fundbond_test_api_server::{ApiServer, Options, shared};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{Namespace, Secret},
        discovery::v1::EndpointSlice,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    fundctl::{Run, fundctl},
    kubernetes::{Live, kubeconfig, status, text},
};

/// The findings of a run as JSON.
fn findings(run: &Run) -> Vec<Value> {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

fn levels(findings: &[Value], check: &str) -> Vec<String> {
    let own = findings.iter().filter(|it| it["check"] == check);
    own.map(|it| it["level"].as_str().unwrap().to_owned()).collect()
}

async fn create<K>(client: &Client, namespace: &str, object: Value)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &object).await.unwrap();
}

async fn name_space(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
}

#[tokio::test]
async fn an_empty_server_lacks_everything_and_a_whole_one_nothing() {
    let server = ApiServer::start(Options::default());
    let file = text(&server.admin().kubeconfig());
    let run = fundctl(&["doctor", "--kubeconfig", &file]).await;
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.out.contains("fundclusters.fundbond.dev: is not installed"), "{run:?}");
    assert!(run.out.contains("next: helm install fundbond-crds"), "{run:?}");
    assert!(run.err.contains("3 failures"), "{run:?}");
    let run = fundctl(&["status", "-A", "--kubeconfig", &file]).await;
    assert!(run.code == Some(1) && run.err.contains("next: helm install fundbond-crds"), "{run:?}");

    server.install_definitions().await;
    let client = server.client();
    name_space(&client, "fundbond").await;
    name_space(&client, "funds").await;
    for program in ["operator", "gateway"] {
        deployment(&client, program).await;
    }
    create::<Lease>(
        &client,
        "fundbond",
        json!({
            "metadata": {"name": "fundbond-operator"},
            "spec": {"holderIdentity": "one", "leaseDurationSeconds": 3600,
                     "renewTime": format!("{:.6}", Timestamp::now())},
        }),
    )
    .await;
    let live = Live::create(client.clone(), "funds", "desk").await;
    live.says(status(1, "True", "AllReady", &[])).await;
    let secret = Patch::Merge(json!({"spec": {"redis": {"credentialsSecret": {"name": "redis-auth"}}}}));
    live.api.patch("desk", &PatchParams::default(), &secret).await.unwrap();
    live.says(status(2, "True", "AllReady", &[])).await;
    create::<GatewayRoute>(&client, "funds", json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "GatewayRoute", "metadata": {"name": "desk"},
        "spec": {"generation": 1, "match": {"value": "desk"}, "proxy": {"name": "desk-proxy", "port": 8080},
                 "pods": [{"service": {"name": "desk-pods", "port": 9090}}]},
    }))
    .await;
    slice(&client, "desk-proxy").await;

    let json = ["doctor", "-o", "json", "--kubeconfig", &file];
    let run = fundctl(&json).await;
    let found = findings(&run);
    assert_eq!(
        levels(&found, "definitions"),
        ["ok"],
        "what is installed is what this program knows: {found:#?}"
    );
    assert_eq!(levels(&found, "secrets"), ["fail"], "{found:#?}");
    assert_eq!(levels(&found, "routes"), ["fail"], "nobody is behind its pods: {found:#?}");
    assert_eq!(run.code, Some(4));

    slice(&client, "desk-pods").await;
    create::<Secret>(&client, "funds", json!({"metadata": {"name": "redis-auth"}, "data": {}})).await;
    let run = fundctl(&json).await;
    let found = findings(&run);
    assert!(run.code == Some(0) && found.iter().all(|it| it["level"] == "ok"), "{found:#?}");

    let narrow = ["doctor", "-n", "funds", "--system-namespace", "fundbond", "--kubeconfig", &file];
    let run = fundctl(&narrow).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), "all is well\n"), "{run:?}");
    assert!(run.out.contains("fundbond/fundbond-gateway: 1 of 1 pods are ready"), "{run:?}");
    let elsewhere = ["doctor", "-n", "fundbond", "--system-namespace", "fundbond", "--kubeconfig", &file];
    let run = fundctl(&elsewhere).await;
    assert!(run.code == Some(0) && run.out.contains("there are no FundClusters"), "{run:?}");

    // Whose field was taken out, is another definition.
    let change = json!([{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/paused"}]);
    patch_definition(&client, &change).await;
    let found = findings(&fundctl(&json).await);
    let definitions = found.iter().find(|it| it["check"] == "definitions").unwrap();
    assert_eq!(definitions["level"], "warn", "{definitions}");
    assert!(definitions["what"].as_str().unwrap().contains(".spec.paused is missing"), "{definitions}");
}

async fn patch_definition(client: &Client, change: &Value) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut definition = serde_json::to_value(api.get("fundclusters.fundbond.dev").await.unwrap()).unwrap();
    let path = change[0]["path"].as_str().unwrap();
    let (parent, name) = path.rsplit_once('/').unwrap();
    definition.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    let definition = serde_json::from_value(definition).unwrap();
    api.replace("fundclusters.fundbond.dev", &PostParams::default(), &definition).await.unwrap();
}

async fn deployment(client: &Client, program: &str) {
    let name = format!("fundbond-{program}");
    let labels = json!({"app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/name": program});
    create::<Deployment>(
        client,
        "fundbond",
        json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": program, "image": program}]},
            }},
        }),
    )
    .await;
    let api: Api<Deployment> = Api::namespaced(client.clone(), "fundbond");
    let ready = json!({"status": {"replicas": 1, "readyReplicas": 1}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
}

async fn slice(client: &Client, service: &str) {
    create::<EndpointSlice>(client, "funds", json!({
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service, "app.kubernetes.io/part-of": "fundbond"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
    }))
    .await;
}

#[tokio::test]
async fn what_somebody_may_not_see_is_said_and_the_rest_is_looked_at() {
    let server = shared();
    server.install_definitions().await;
    let file = text(&server.user("eve").kubeconfig());
    let run = fundctl(&["doctor", "-o", "ndjson", "--kubeconfig", &file]).await;
    assert_eq!(run.code, Some(4), "{run:?}");
    let found: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(levels(&found, "server"), ["ok"], "everybody may ask for the version");
    assert_eq!(levels(&found, "pods"), ["unknown"]);
    let pods = found.iter().find(|it| it["check"] == "pods").unwrap();
    assert_eq!(pods["next"], format!("kubectl --kubeconfig {file} auth can-i list pods -A"));
}

#[tokio::test]
async fn without_a_server_there_is_nothing_to_look_at() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = kubeconfig(&format!("http://{address}"));
    let run = fundctl(&["doctor", "--kubeconfig", &text(file.path())]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.out.starts_with(&format!("FAIL  server        http://{address}: cannot get version")),
        "{run:?}"
    );
    assert!(run.out.contains("connection refused"), "{run:?}");
}
