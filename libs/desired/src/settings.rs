//! What pods are told about themselves: a ConfigMap of variables, which they read once, with a digest of it; and one with a
//! file, which they follow while they run.

use std::collections::BTreeMap;

use fundbond_crds::FundCluster;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};

use crate::{
    POD_PORT,
    meta::{Component, meta, owner},
    names::Names,
};

/// Where the file is that pods follow.
pub(crate) const LIVE_FOLDER: &str = "/etc/fundbond/live";

/// The file itself.
const LIVE_FILE: &str = "settings.yaml";

/// The settings of a FundCluster's pods that they read once, each under the name of its variable.
pub(crate) fn config_map(cluster: &FundCluster, names: &Names) -> ConfigMap {
    ConfigMap {
        metadata: meta(cluster, names, names.cluster().to_owned(), Component::Cluster, None),
        data: Some(variables(cluster, names)),
        ..ConfigMap::default()
    }
}

fn variables(cluster: &FundCluster, names: &Names) -> BTreeMap<String, String> {
    let (pods, keeping) = (&cluster.spec.pods, &cluster.spec.housekeeping);
    let mut variables = BTreeMap::from([
        ("FUND_PORT", POD_PORT.to_string()),
        ("FUND_CLUSTER_ID", names.cluster_id()),
        ("FUND_STORE", cluster.spec.redis.url.clone()),
        ("FUND_LEASE", "kubernetes".to_owned()),
        ("FUND_LEASE_NAME", names.lease()),
        ("FUND_NAMESPACE", names.namespace().to_owned()),
        ("FUND_LIVE_SETTINGS", format!("{LIVE_FOLDER}/{LIVE_FILE}")),
        ("FUND_HEALTH_INTERVAL", keeping.health_interval.to_string()),
        ("FUND_NODE_TIMEOUT", keeping.node_timeout.to_string()),
        ("FUND_LEASE_DURATION", keeping.lease_duration.to_string()),
        ("FUND_LEASE_RENEW_DEADLINE", keeping.renew_deadline.to_string()),
        ("FUND_LEASE_RETRY_PERIOD", keeping.retry_period.to_string()),
        ("FUND_SWEEP_INTERVAL", keeping.sweep_interval.to_string()),
        ("FUND_BREAKER_PERCENT", keeping.breaker_percent.to_string()),
    ]);
    if let Some(owner) = owner(cluster) {
        // Pods make the lease of their housekeeper; it goes with the FundCluster as what the operator makes does.
        let OwnerReference { api_version, kind, name, uid, .. } = owner;
        variables.insert("FUND_LEASE_OWNER", format!("{api_version}/{kind}/{name}/{uid}"));
    }
    if let Some(concurrency) = pods.task_concurrency {
        variables.insert("FUND_TASK_CONCURRENCY", concurrency.to_string());
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The settings of a FundCluster's pods that may change while they run: a file, in the words of `spec.pods`.
pub(crate) fn live_map(cluster: &FundCluster, names: &Names) -> ConfigMap {
    let pods = &cluster.spec.pods;
    let text = format!(
        "maxStreams: {}\nmaxStreamAge: {}\nheartbeat:\n  initialDelay: {}\n  interval: {}\ndrain:\n  gracePeriod: {}\n",
        pods.max_streams,
        pods.max_stream_age,
        pods.heartbeat.initial_delay,
        pods.heartbeat.interval,
        pods.drain.grace_period,
    );
    ConfigMap {
        metadata: meta(cluster, names, names.live(), Component::Cluster, None),
        data: Some([(LIVE_FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    }
}

/// A digest of settings that a process reads once. Where it changes, pods are made anew.
pub(crate) fn digest(settings: &ConfigMap) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, value) in settings.data.iter().flatten() {
        // Lengths, so that no two maps read the same.
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
