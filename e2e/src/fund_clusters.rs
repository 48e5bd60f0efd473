//! FundClusters of a test, and what became of them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fundbond_crds::{FundCluster, fund_cluster::condition, labels};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{Namespace, Stage, program, release, until};

/// Who applies.
const MANAGER: &str = "fundbond-e2e";

/// From applying until Ready, with images that are on the nodes.
pub const READY_WITHIN: Duration = Duration::from_mins(1);

/// What a rollout may take: each pod drains while the next one starts.
pub const ROLLED_WITHIN: Duration = Duration::from_mins(5);

/// The smallest FundCluster that uses the release's Redis, with its namespace as its route value; `more` is merged into its
/// spec.
pub fn fund_cluster(namespace: &Namespace<'_>, name: &str, more: &Value) -> Value {
    let mut spec = json!({
        "route": {"value": format!("{}-{name}", namespace.name)},
        "redis": {"url": format!("redis://{}:6379", release::REDIS)},
        // Of many tests at once, each of which asks for the usual share of a processor, some would not be scheduled.
        "pods": {"resources": {
            "requests": {"cpu": "25m", "memory": "64Mi"}, "limits": {"memory": "512Mi"},
        }},
    });
    merge(&mut spec, more);
    json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": name, "namespace": namespace.name}, "spec": spec,
    })
}

/// JSON merge patch (RFC 7396), without its deletions.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// The route value of a FundCluster made by [`fund_cluster`].
pub fn route(namespace: &Namespace<'_>, name: &str) -> String {
    format!("{}-{name}", namespace.name)
}

/// What a pod calls itself in headers and in Redis, up to its port: the name that Kubernetes gave it, without hyphens.
pub fn id_of(pod: &str) -> String {
    format!("pod-{}-", pod.replace('-', ""))
}

/// The pod, of these, that calls itself so.
///
/// # Errors
/// It is none of them.
pub fn pod_called<'a>(pods: &'a BTreeMap<String, Pod>, id: &str) -> Result<&'a str> {
    let found = pods.keys().find(|name| id.starts_with(&id_of(name)));
    found.map(String::as_str).with_context(|| format!("{id} is none of {:?}", pods.keys()))
}

/// The sum of the samples whose line begins with this: a metric, or one with some of its labels.
pub fn sum(metrics: &str, begins: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.starts_with(begins));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

impl Namespace<'_> {
    /// Applies a FundCluster.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn apply(&self, object: &Value) -> Result<FundCluster> {
        let name = object["metadata"]["name"].as_str().context("an object has a name")?;
        let how = PatchParams::apply(MANAGER).force();
        Ok(self.api::<FundCluster>().patch(name, &how, &Patch::Apply(object)).await?)
    }

    /// Changes the spec of one; its generation then.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn change(&self, name: &str, spec: Value) -> Result<i64> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.api::<FundCluster>().patch(name, &PatchParams::default(), &patch).await?;
        changed.metadata.generation.context("an object has a generation")
    }

    /// Applies one and waits until it is Ready; how long that took.
    ///
    /// # Errors
    /// It is not, in time.
    pub async fn ready(&self, object: &Value) -> Result<Duration> {
        let applied = self.apply(object).await?;
        let generation = applied.metadata.generation.context("an object has a generation")?;
        let name = applied.metadata.name.context("an object has a name")?;
        self.until_ready(&name, generation, READY_WITHIN).await
    }

    /// A FundCluster `c` of so many pods that run everything at once, Ready; its route value.
    ///
    /// # Errors
    /// It is not, in time.
    pub async fn pods(&self, replicas: u32) -> Result<String> {
        self.pods_with(json!({"pods": {"replicas": replicas}})).await
    }

    /// The same, with what else is wanted of it in its spec.
    ///
    /// # Errors
    /// It is not, in time.
    pub async fn pods_with(&self, mut more: Value) -> Result<String> {
        merge(&mut more, &json!({"pods": {"taskConcurrency": 64}}));
        self.ready(&fund_cluster(self, "c", &more)).await?;
        Ok(route(self, "c"))
    }

    /// Waits until a FundCluster is Ready as of this generation, no pod of another one is left, and all gateways have its route.
    ///
    /// # Errors
    /// It is not, in time.
    pub async fn until_ready(&self, name: &str, generation: i64, within: Duration) -> Result<Duration> {
        let what = format!("FundCluster {name} is Ready as of generation {generation}");
        until(&what, within, async || {
            let object = self.api::<FundCluster>().get(name).await?;
            let Some(status) = object.status else { return Ok(Some("it has no status".to_owned())) };
            let seen = status.observed_generation.unwrap_or_default();
            let is = |kind: &str, value: &str| {
                let found = status.conditions.iter().find(|condition| condition.type_ == kind);
                found.is_some_and(|found| found.status == value)
            };
            let ready = is(condition::READY, "True") && !is(condition::PROGRESSING, "True");
            if seen >= generation && ready && is(condition::ROUTES_PROGRAMMED, "True") {
                return Ok(None);
            }
            let said: Vec<String> = status
                .conditions
                .iter()
                .map(|one| format!("{}={} {} ({})", one.type_, one.status, one.reason, one.message))
                .collect();
            Ok(Some(format!("as of generation {seen}: {}", said.join("; "))))
        })
        .await
    }

    /// The pods of a FundCluster that run, by name.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn pods_of(&self, name: &str) -> Result<BTreeMap<String, Pod>> {
        let selector = format!("{},{}={}", labels::of_cluster(name), labels::COMPONENT, labels::PODS);
        let pods = self.list::<Pod>(&selector).await?.into_iter();
        let alive = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(alive.filter_map(|pod| Some((pod.metadata.name.clone()?, pod))).collect())
    }

    /// What a pod measures, as it says itself. Its admin port is that of the Kubernetes proxy.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self, pod: &str, port: u16) -> Result<String> {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy/metrics", self.name);
        Ok(self.trial.client.request_text(http::Request::get(path).body(Vec::new())?).await?)
    }

    /// Kills a pod: its processes end without a word, and Kubernetes forgets it at once. Only to delete it would not do: even
    /// without a grace period a kubelet asks processes to end, and gives them two seconds.
    ///
    /// # Errors
    /// There is none of that name, or it does not run.
    pub async fn kill(&self, pod: &str) -> Result<()> {
        let api = self.api::<Pod>();
        let object = api.get(pod).await?;
        let node = object.spec.and_then(|spec| spec.node_name).context("a pod that runs is on a node")?;
        let containers = object.status.and_then(|status| status.container_statuses).unwrap_or_default();
        ensure!(!containers.is_empty(), "{pod} has no containers");
        for container in containers {
            let id = container.container_id.with_context(|| format!("{pod} does not run"))?;
            let id = id.strip_prefix("containerd://").with_context(|| format!("{id} is not containerd's"))?;
            let kill =
                ["exec", &node, "ctr", "--namespace", "k8s.io", "task", "kill", "--signal", "SIGKILL", id];
            program::output(&mut Stage::docker(&kill)).await?;
        }
        api.delete(pod, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }
}
