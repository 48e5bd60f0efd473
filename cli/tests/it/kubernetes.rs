//! What tests do to an API server before and while a command looks at it.

use std::{io::Write as _, path::Path};

use fundbond_crds::FundCluster;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::server::{Reply, Server};

/// A kubeconfig that leads to `url` without any proof of who asks.
pub(crate) fn kubeconfig(url: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test", "users": [],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": ""}}],
    });
    file.write_all(config.to_string().as_bytes()).unwrap();
    file
}

/// `path` as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// An API server that answers from a script.
pub(crate) async fn scripted(replies: Vec<(&str, Reply)>) -> (Server, NamedTempFile) {
    let server = Server::start(replies).await;
    let file = kubeconfig(&server.url);
    (server, file)
}

/// A FundCluster as a user writes it.
pub(crate) fn fund_cluster(name: &str, namespace: &str) -> FundCluster {
    serde_json::from_value(json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"route": {"value": format!("{namespace}-{name}")}, "redis": {"url": "redis://redis:6379"}},
    }))
    .unwrap()
}

/// What an operator says of a generation: `Ready` and more.
pub(crate) fn status(generation: i64, ready: &str, reason: &str, more: &[(&str, &str)]) -> Value {
    let all = [&[("Ready", ready)], more].concat();
    let conditions: Vec<_> = all
        .into_iter()
        .map(|(about, is)| {
            json!({"type": about, "status": is, "reason": reason, "message": format!("because of {reason}"),
                   "observedGeneration": generation, "lastTransitionTime": "2026-11-22T10:00:00Z"})
        })
        .collect();
    json!({"observedGeneration": generation, "conditions": conditions,
           "pods": {"desired": 2, "ready": i32::from(ready == "True") * 2, "updated": 2}})
}

/// A FundCluster on a server, which a test speaks about in the name of an operator.
pub(crate) struct Live {
    pub(crate) api: Api<FundCluster>,
    pub(crate) name: String,
}

impl Live {
    pub(crate) async fn create(client: Client, namespace: &str, name: &str) -> Self {
        let api: Api<FundCluster> = Api::namespaced(client, namespace);
        api.create(&PostParams::default(), &fund_cluster(name, namespace)).await.unwrap();
        Self { api, name: name.to_owned() }
    }

    pub(crate) async fn says(&self, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api.patch_status(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }
}
