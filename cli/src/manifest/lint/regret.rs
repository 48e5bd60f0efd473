//! What a server takes, and a person finds out about later.

use fundbond_crds::{FundCluster, routing::Strategy};
use fundbond_desired::{Child, Site};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::Document;

/// Something to think about.
pub(super) struct Regret {
    pub(super) field: String,
    pub(super) reason: String,
    pub(super) fix: String,
}

fn regret(field: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) -> Regret {
    Regret { field: field.into(), reason: reason.into(), fix: fix.into() }
}

/// Variables of pods that a file takes the place of, and the field by which that file is written.
const LIVE: [(&str, &str); 5] = [
    ("FUND_MAX_STREAMS", "spec.pods.maxStreams"),
    ("FUND_MAX_STREAM_AGE", "spec.pods.maxStreamAge"),
    ("FUND_HEARTBEAT_FIRST", "spec.pods.heartbeat.initialDelay"),
    ("FUND_HEARTBEAT_INTERVAL", "spec.pods.heartbeat.interval"),
    ("FUND_DRAIN_GRACE", "spec.pods.drain.gracePeriod"),
];

/// Variables that the operator sets, and the field that says what to.
const FIELDS: [(&str, &str); 11] = [
    ("FUND_STORE", "spec.redis.url"),
    ("FUND_STORE_USERNAME", "spec.redis.credentialsSecret"),
    ("FUND_STORE_PASSWORD", "spec.redis.credentialsSecret"),
    ("FUND_TASK_CONCURRENCY", "spec.pods.taskConcurrency"),
    ("FUND_HEALTH_INTERVAL", "spec.housekeeping.healthInterval"),
    ("FUND_NODE_TIMEOUT", "spec.housekeeping.nodeTimeout"),
    ("FUND_LEASE_DURATION", "spec.housekeeping.leaseDuration"),
    ("FUND_LEASE_RENEW_DEADLINE", "spec.housekeeping.renewDeadline"),
    ("FUND_LEASE_RETRY_PERIOD", "spec.housekeeping.retryPeriod"),
    ("FUND_SWEEP_INTERVAL", "spec.housekeeping.sweepInterval"),
    ("FUND_BREAKER_PERCENT", "spec.housekeeping.breakerPercent"),
];

/// What there is to think about in `cluster`, which was written as `document`.
pub(super) fn of(document: &Document, cluster: &FundCluster) -> Vec<Regret> {
    let mut regrets = Vec::new();
    paused(cluster, &mut regrets);
    images(cluster, &mut regrets);
    replicas(document, cluster, &mut regrets);
    variables(cluster, &mut regrets);
    autoscaling(cluster, &mut regrets);
    regrets
}

fn paused(cluster: &FundCluster, regrets: &mut Vec<Regret>) {
    if cluster.spec.paused {
        let reason = "the operator leaves everything as it is, whatever else this says";
        regrets.push(regret("spec.paused", reason, "take it out once the operator is to work again"));
    }
}

fn images(cluster: &FundCluster, regrets: &mut Vec<Regret>) {
    let images = [("spec.image", &cluster.spec.image), ("spec.proxy.image", &cluster.spec.proxy.image)];
    for (field, image) in images.into_iter().filter_map(|(field, image)| Some((field, image.as_ref()?))) {
        let last = image.rsplit('/').next().unwrap_or(image);
        if image.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest") {
            continue;
        }
        let reason =
            format!("{image} is whatever was pushed last: pods that start later may be of another version");
        regrets.push(regret(field, reason, "name a version, or take it out for that of the operator"));
    }
}

/// The pods of a group, or of all: the field that says how many, and how many.
fn counts(cluster: &FundCluster) -> Vec<(String, i32)> {
    let routing = &cluster.spec.routing;
    match (&routing.shard_groups, &cluster.spec.pods.autoscaling) {
        (Some(shards), _) if routing.strategy == Strategy::ShardGroups => {
            let groups = shards.groups.iter().enumerate();
            let field = |index| format!("spec.routing.shardGroups.groups[{index}].replicas");
            groups.map(|(index, group)| (field(index), group.replicas)).collect()
        }
        (_, Some(autoscaling)) => {
            vec![("spec.pods.autoscaling.minReplicas".to_owned(), autoscaling.min_replicas)]
        }
        _ => vec![("spec.pods.replicas".to_owned(), cluster.spec.pods.replicas)],
    }
}

fn replicas(document: &Document, cluster: &FundCluster, regrets: &mut Vec<Regret>) {
    let away = &cluster.spec.pods.disruption.max_unavailable;
    for (field, count) in counts(cluster) {
        if count == 0 {
            regrets.push(regret(
                &field,
                "nobody is served by no pods",
                "write 2 or more; 0 only to switch it off",
            ));
            continue;
        }
        // Kubernetes rounds a share up.
        let most = match away {
            IntOrString::Int(most) => i64::from(*most),
            IntOrString::String(share) => {
                let percent = share.trim_end_matches('%').parse::<i64>().unwrap_or(100);
                (i64::from(count) * percent).div_euclid(100)
                    + i64::from((i64::from(count) * percent) % 100 > 0)
            }
        };
        if most >= i64::from(count) {
            let pods = if count == 1 {
                "the only pod goes".to_owned()
            } else {
                format!("all {count} pods go at once")
            };
            let shown = match away {
                IntOrString::Int(most) => most.to_string(),
                IntOrString::String(share) => share.clone(),
            };
            let reason = format!(
                "with pods.disruption.maxUnavailable {shown} {pods} when machines are emptied, and nobody is served \
                 until others have started"
            );
            let fix = format!("write {} or more, or let fewer be away", most + 1);
            regrets.push(regret(&field, reason, fix));
        }
    }
    let groups = cluster.spec.routing.strategy == Strategy::ShardGroups;
    if groups && document.value.pointer("/spec/pods/replicas").is_some() {
        let reason = "says nothing with shard groups: each group has its own replicas";
        regrets.push(regret("spec.pods.replicas", reason, "take it out"));
    }
}

fn variables(cluster: &FundCluster, regrets: &mut Vec<Regret>) {
    let ours = own_variables(cluster);
    for (index, variable) in cluster.spec.pods.env.iter().enumerate() {
        let (field, name) = (format!("spec.pods.env[{index}].name"), variable.name.as_str());
        if let Some((_, means)) = LIVE.iter().find(|(live, _)| *live == name) {
            let reason = format!("{name} says nothing: pods follow the file that is written by {means}");
            regrets.push(regret(field, reason, format!("take it out and write {means}")));
        } else if let Some((_, means)) = FIELDS.iter().find(|(known, _)| *known == name) {
            let reason = if name == "FUND_STORE_PASSWORD" && variable.value.is_some() {
                "a password that everybody can read who can read this".to_owned()
            } else {
                format!("{name} takes the place of what {means} says")
            };
            regrets.push(regret(field, reason, format!("take it out and write {means}")));
        } else if ours.iter().any(|own| own == name) {
            let reason =
                format!("{name} takes the place of what the operator says, which other objects rely on");
            regrets.push(regret(field, reason, "take it out"));
        }
    }
}

/// The variables that the operator sets.
fn own_variables(cluster: &FundCluster) -> Vec<String> {
    let mut without = cluster.clone();
    without.spec.pods.env.clear();
    let site = Site::default();
    let children = fundbond_desired::children(&without, &site, 1);
    let mut names = Vec::new();
    for child in &children {
        match child {
            Child::ConfigMap(map) => names.extend(map.data.iter().flat_map(|data| data.keys().cloned())),
            Child::Deployment(deployment) => {
                let value = serde_json::to_value(deployment).unwrap_or_default();
                let list = value.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
                let list = list.into_iter().flatten().filter_map(|variable| variable.get("name")?.as_str());
                names.extend(list.map(str::to_owned));
            }
            _ => {}
        }
    }
    names
}

fn autoscaling(cluster: &FundCluster, regrets: &mut Vec<Regret>) {
    let Some(autoscaling) = &cluster.spec.pods.autoscaling else { return };
    if autoscaling.custom_metrics.is_some() {
        let reason = "needs an adapter that serves figures of pods: without one nothing scales down any more";
        let fix = "see that `kubectl get --raw /apis/custom.metrics.k8s.io/v1beta1` answers, or take it out";
        regrets.push(regret("spec.pods.autoscaling.customMetrics", reason, fix));
    }
    let requests = cluster.spec.pods.resources.requests.as_ref();
    if requests.is_none_or(|requests| !requests.contains_key("cpu")) {
        let reason = "pods that ask for no cpu have no share of it in use: the autoscaler does nothing";
        let fix = "add it, for example `requests: {cpu: 250m, memory: 256Mi}`";
        regrets.push(regret("spec.pods.resources.requests.cpu", reason, fix));
    }
}
