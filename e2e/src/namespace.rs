//! A namespace for one test, in which nothing runs that Pod Security would call more than restricted.

use std::{path::Path, time::Duration};

use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace as Object, Pod};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, LogParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{Trial, program, release, until};

/// Deleting a FundCluster and its pods takes as long as the pods take to end: their grace period is a minute.
const GONE_WITHIN: Duration = Duration::from_secs(150);

/// Lines of a container's log that are kept where a test failed.
const LAST_LINES: i64 = 2_000;

/// Kinds that are kept where a test failed.
const OBJECTS: &str = "fundclusters,gatewayroutes,deployments,pods,services,endpointslices,hpa,pdb";

/// A namespace.
#[derive(Clone, Debug)]
pub struct Namespace<'a> {
    /// Whose it is.
    pub trial: &'a Trial,
    /// What it is called.
    pub name: String,
}

impl Trial {
    /// Gives a test a namespace of its own. Where the test fails, what was in it is kept in the folder of its results.
    ///
    /// # Errors
    /// Those of the test; a namespace that does not go away is one, too.
    pub async fn with_namespace<T>(&self, test: impl AsyncFnOnce(&Namespace<'_>) -> Result<T>) -> Result<T> {
        let number: u32 = rand::random_range(0..0x10_0000);
        let namespace = Namespace { trial: self, name: format!("{}-{number:05x}", self.short()) };
        namespace.create().await?;
        let mut outcome = test(&namespace).await;
        if outcome.is_err()
            && let Err(unkept) = namespace.keep_logs().await
        {
            // Why the test failed is what counts.
            outcome =
                outcome.map_err(|error| error.context(format!("and its logs cannot be kept: {unkept:#}")));
        }
        let gone = namespace.delete().await;
        let outcome = outcome?;
        gone?;
        Ok(outcome)
    }

    /// The namespace of the release.
    pub fn house(&self) -> Namespace<'_> {
        Namespace { trial: self, name: release::NAMESPACE.to_owned() }
    }
}

impl Namespace<'_> {
    /// Runs a test in a namespace of its own, beside others ([`Trial::beside`]).
    ///
    /// # Errors
    /// Those of the test.
    pub async fn beside(test: impl AsyncFnOnce(&Namespace<'_>) -> Result<()>) -> Result<()> {
        Trial::beside(async move |trial| trial.with_namespace(test).await).await
    }

    /// Runs a test in a namespace of its own, alone ([`Trial::alone`]).
    ///
    /// # Errors
    /// Those of the test.
    pub async fn alone(test: impl AsyncFnOnce(&Namespace<'_>) -> Result<()>) -> Result<()> {
        Trial::alone(async move |trial| trial.with_namespace(test).await).await
    }

    /// The API of a kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.trial.client.clone(), &self.name)
    }

    /// Objects of a kind with these labels; all where there are none.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list<K>(&self, labels: &str) -> Result<Vec<K>>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        Ok(self.api::<K>().list(&ListParams::default().labels(labels)).await?.items)
    }

    async fn create(&self) -> Result<()> {
        let object = json!({"metadata": {"name": self.name, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "latest",
        }}});
        let all: Api<Object> = Api::all(self.trial.client.clone());
        all.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    /// Deletes it with everything in it and waits until it is gone; how long that took.
    ///
    /// # Errors
    /// Something in it does not go.
    pub async fn delete(&self) -> Result<Duration> {
        let all: Api<Object> = Api::all(self.trial.client.clone());
        until(&format!("namespace {} is gone", self.name), GONE_WITHIN, async || {
            let Some(object) = all.get_opt(&self.name).await? else { return Ok(None) };
            if object.metadata.deletion_timestamp.is_none() {
                all.delete(&self.name, &DeleteParams::default()).await?;
            }
            let why = object.status.and_then(|status| status.conditions).into_iter().flatten();
            let why: Vec<_> = why.filter(|why| why.status == "True").filter_map(|why| why.message).collect();
            Ok(Some(if why.is_empty() { "it is still there".to_owned() } else { why.join("; ") }))
        })
        .await
    }

    /// Everything that is in it and what its pods said, as files.
    async fn keep_logs(&self) -> Result<()> {
        let folder = self.trial.results();
        std::fs::create_dir_all(&folder)?;
        let keep = |name: &str, text: &str| std::fs::write(folder.join(name), text);
        for (file, what, how) in [
            ("objects.yaml", OBJECTS, ["--output", "yaml"]),
            ("events.txt", "events", ["--sort-by", ".lastTimestamp"]),
        ] {
            let mut get = self.trial.stage.kubectl(&["get", what, "--namespace", &self.name]);
            keep(file, &program::said(get.args(how)).await?.out)?;
        }
        self.keep_logs_of_pods(&folder).await?;
        // Who looked after it.
        self.trial.house().keep_logs_of_pods(&folder).await
    }

    async fn keep_logs_of_pods(&self, folder: &Path) -> Result<()> {
        for pod in self.list::<Pod>("").await? {
            let name = pod.metadata.name.unwrap_or_default();
            for previous in [false, true] {
                let which = LogParams { previous, tail_lines: Some(LAST_LINES), ..LogParams::default() };
                // A pod that has not started, or has not started twice, has none.
                if let Ok(text) = self.api::<Pod>().logs(&name, &which).await {
                    let file = format!("{name}{}.log", if previous { "-before" } else { "" });
                    std::fs::write(folder.join(file), text)?;
                }
            }
        }
        Ok(())
    }
}
