//! Parts of the machine room go and come back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fundbond_chaos::plan::FaultKind;
use fundbond_crds::FundCluster;
use fundbond_e2e::{Clients, Namespace, Stage, Trial, eventually, fund_clusters::sum, program, steps, until};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// From the API server's return until the operator follows again.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// How long tasks go on before and after an outage, in seconds.
const AROUND: u32 = 26;

/// The admin port of operators.
const OPERATOR_ADMIN: u16 = 18_080;

/// How long what is away stays away: minutes with `--full`, else just long enough to be noticed.
fn away(trial: &Trial) -> Duration {
    Duration::from_secs(if trial.stage.full { 150 } else { 20 })
}

/// A FundCluster of so many pods, and clients under way whose tasks last longer than an outage; its route value first.
async fn through(namespace: &Namespace<'_>, pods: u32) -> Result<(String, Clients)> {
    let route = namespace.pods(pods).await?;
    let seconds = u32::try_from(away(namespace.trial).as_secs())? + AROUND;
    let clients = Clients::come(&route, steps(&route, 60, seconds / 2, Duration::from_secs(2))?)?;
    clients.until_under_way(Duration::from_secs(30)).await?;
    Ok((route, clients))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_control_plane_streams_and_routing_go_on() -> Result<()> {
    Namespace::alone(async |namespace| {
        let trial = namespace.trial;
        let (route, clients) = through(namespace, 3).await?;
        let node = "fundbond-control-plane";
        program::output(&mut Stage::docker(&["pause", node])).await?;
        // Streams are opened meanwhile, too.
        let more = Clients::come(&route, steps(&format!("{route}-more"), 20, 10, Duration::from_secs(1))?)?;
        let begun = Instant::now();
        let seen = more.whole(Duration::from_mins(1), &trial.results()).await;
        // sleep-ok: the outage itself
        sleep(away(trial).saturating_sub(begun.elapsed())).await;
        program::output(&mut Stage::docker(&["unpause", node])).await?;
        seen.context("while the control plane was away")?;
        let took = follows(namespace, 4).await?;
        trial.figure("followed again after, s", format!("{:.1}", took.as_secs_f64()));
        ensure!(took <= BACK_WITHIN, "{took:?}");
        let seen = clients.whole(Duration::from_mins(5), &trial.results()).await?;
        ensure!(seen.broke == 0, "{} streams broke", seen.broke);
        seen.report(trial);
        Ok(())
    })
    .await
}

/// From now until a change of the spec is in the Deployment.
async fn follows(namespace: &Namespace<'_>, replicas: i32) -> Result<Duration> {
    let begun = Instant::now();
    let within = Duration::from_mins(1);
    let change = json!({"pods": {"replicas": replicas}});
    eventually("the API server takes a change", within, async || {
        Ok(namespace.change("c", change.clone()).await.map_err(|error| format!("{error:#}")))
    })
    .await?;
    until("the operator has followed", within, async || {
        let spec = namespace.api::<Deployment>().get("c-pods").await?.spec;
        let is = spec.and_then(|spec| spec.replicas);
        Ok((is != Some(replicas)).then(|| format!("replicas are {is:?}")))
    })
    .await?;
    Ok(begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_operator_nothing_happens_and_afterwards_nothing_is_written() -> Result<()> {
    Namespace::alone(async |namespace| {
        let trial = namespace.trial;
        let (_, clients) = through(namespace, 3).await?;
        let house = trial.house();
        operators(&house, 0).await?;
        // sleep-ok: the outage itself
        sleep(away(trial)).await;
        operators(&house, 2).await?;
        // One leads within the lease of the one before, and has looked at everything then.
        let looked = Duration::from_mins(1);
        until("an operator has looked", looked, async || {
            let (looks, _) = looks_and_writes(&house).await?;
            Ok((looks == 0.0).then(|| "nobody has".to_owned()))
        })
        .await?;
        let seen = clients.whole(Duration::from_mins(5), &trial.results()).await?;
        ensure!(seen.broke == 0, "{} streams broke", seen.broke);
        // By now it has heard gateways and pods, too.
        let (_, writes) = looks_and_writes(&house).await?;
        trial.figure("unnecessary writes", writes);
        ensure!(writes == 0.0, "{writes} writes with nothing to change");
        seen.report(trial);
        Ok(())
    })
    .await
}

/// How often operators have looked at a FundCluster, and written to one of its children.
async fn looks_and_writes(house: &Namespace<'_>) -> Result<(f64, f64)> {
    let (mut looks, mut writes) = (0.0, 0.0);
    for pod in operator_pods(house).await? {
        let metrics = house.metrics(&pod, OPERATOR_ADMIN).await?;
        looks += sum(&metrics, "fund_operator_reconcile_seconds_count");
        // Streams that come and go are told in the status; that is no unnecessary write.
        for verb in ["create", "update", "delete"] {
            writes += sum(&metrics, &format!(r#"fund_operator_writes_total{{verb="{verb}""#));
        }
    }
    Ok((looks, writes))
}

/// So many operators, all of which are ready.
async fn operators(house: &Namespace<'_>, replicas: i32) -> Result<()> {
    let api = house.api::<Deployment>();
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch("fundbond-operator", &PatchParams::default(), &patch).await?;
    until(&format!("{replicas} operators"), Duration::from_mins(2), async || {
        let status = api.get("fundbond-operator").await?.status.unwrap_or_default();
        let pods = operator_pods(house).await?.len();
        let ready = status.ready_replicas.unwrap_or_default();
        let right = ready == replicas && i32::try_from(pods)? == replicas;
        Ok((!right).then(|| format!("{ready} ready, {pods} pods")))
    })
    .await?;
    Ok(())
}

async fn operator_pods(house: &Namespace<'_>) -> Result<Vec<String>> {
    let pods = house.list::<Pod>("app.kubernetes.io/component=operator").await?;
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_node_may_stop_and_come_back() -> Result<()> {
    Namespace::alone(async |namespace| {
        let trial = namespace.trial;
        // One on each node. Where most pods of three go at once, it is waited for a minute whether they come back.
        let (_, clients) = through(namespace, if trial.stage.full { 3 } else { 2 }).await?;
        let node = worker_without_redis(trial).await?;
        program::output(&mut Stage::docker(&["stop", "--time", "2", &node])).await?;
        let begun = Instant::now();
        // sleep-ok: the outage itself
        sleep(away(trial)).await;
        program::output(&mut Stage::docker(&["start", &node])).await?;
        let started = Timestamp::now();
        // Its Ready condition may not have changed in so short a time.
        let leases: Api<Lease> = Api::namespaced(trial.client.clone(), "kube-node-lease");
        let took = until(&format!("{node} speaks again"), Duration::from_mins(3), async || {
            let renewed = leases.get(&node).await?.spec.and_then(|spec| spec.renew_time);
            let late = renewed.is_none_or(|renewed| renewed.0 < started);
            Ok(late.then(|| "it has not renewed its lease".to_owned()))
        })
        .await?;
        trial.figure("node away, s", format!("{:.0}", begun.elapsed().as_secs_f64()));
        trial.figure("node speaks again after, s", format!("{:.0}", took.as_secs_f64()));
        let seen = clients.whole(Duration::from_mins(6), &trial.results()).await?;
        ensure!(seen.broke > 0, "{node} held no stream");
        seen.report(trial);
        let generation = namespace.api::<FundCluster>().get("c").await?.metadata.generation;
        namespace.until_ready("c", generation.unwrap_or_default(), Duration::from_mins(4)).await?;
        Ok(())
    })
    .await
}

/// A worker on which the release's Redis does not run: there is one, and what it forgets is another test's matter.
async fn worker_without_redis(trial: &Trial) -> Result<String> {
    let redis = one_pod(&trial.house(), "app.kubernetes.io/component=dev-redis").await?;
    let redis = redis.spec.and_then(|spec| spec.node_name);
    let redis = redis.context("the release's Redis is on no node")?;
    let nodes: Api<Node> = Api::all(trial.client.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items.into_iter();
    let mut names = nodes.filter_map(|node| node.metadata.name);
    names.find(|name| name.contains("worker") && *name != redis).context("there is no other worker")
}

/// The pod with these labels.
async fn one_pod(namespace: &Namespace<'_>, labels: &str) -> Result<Pod> {
    let pods = namespace.list::<Pod>(labels).await?;
    pods.into_iter().next().with_context(|| format!("there is no pod with {labels}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_everything_is_told_to_whoever_missed_something() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let here = ["--namespace", &namespace.name];
        program::output(trial.stage.kubectl(&["apply", "--filename", "e2e/redis.yaml"]).args(here)).await?;
        let up = ["rollout", "status", "deployment/redis", "--timeout=60s"];
        program::output(trial.stage.kubectl(&up).args(here)).await?;
        let redis = json!({"url": format!("redis://redis.{}:6379", namespace.name)});
        let route = namespace.pods_with(json!({"pods": {"replicas": 3}, "redis": redis})).await?;
        let mut clients = Clients::come(&route, steps(&route, 60, 30, Duration::from_secs(1))?)?;
        clients.until_under_way(Duration::from_secs(30)).await?;
        let redis = one_pod(namespace, "app=redis").await?.metadata.name.context("a pod has a name")?;
        clients.breaks(FaultKind::RedisRestart, "the Redis of all pods");
        namespace.kill(&redis).await?;
        let seen = clients.whole(Duration::from_mins(4), &trial.results()).await?;
        ensure!(seen.resets > 0, "everything was forgotten, and nobody was told");
        seen.report(trial);
        Ok(())
    })
    .await
}
