//! Who gets which pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use fundbond_chaos::http::{Http, answered_by};
use fundbond_e2e::{
    Namespace, eventually,
    fund_clusters::{self, ROLLED_WITHIN},
    stage::GATEWAY,
};
use fundbond_protocol::{api::TASKS_PATH, headers};
use http::HeaderValue;
use serde_json::json;

/// Users whose writes are followed. Who moves is a matter of names, and names of pods differ from run to run: of so many, the
/// share that moves is within a few hundredths of what is to be expected.
const USERS: usize = 1_000;

/// Of how many users the pod may change beyond the share of one pod (the goal of the hash).
const BEYOND: f64 = 0.05;

/// Until the proxies know of a pod that came or went.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_users_writes_stay_on_one_pod_while_pods_come_and_go() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {"replicas": 3}, "routing": {"strategy": "ConsistentHash"}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let mut before = settled(namespace, 3).await?;
        ensure!(writes(namespace).await? == before, "a user's writes went to two pods");
        for (replicas, pods) in [(4, 4.0), (3, 4.0)] {
            let generation = namespace.change("c", json!({"pods": {"replicas": replicas}})).await?;
            namespace.until_ready("c", generation, ROLLED_WITHIN).await?;
            let after = settled(namespace, replicas).await?;
            let moved: Vec<_> = before
                .iter()
                .map(|(user, pod)| (user, pod, &after[user]))
                .filter(|(_, from, to)| from != to)
                .collect();
            // Nobody moves between pods that stay: only to the one that came, or from the one that went.
            let stays = |pod: &&String| {
                before.values().any(|one| one == *pod) && after.values().any(|one| one == *pod)
            };
            let astray = moved.iter().find(|(_, from, to)| stays(from) && stays(to));
            ensure!(astray.is_none(), "of a user, from and to: {astray:?}");
            let (moved, share) = (moved.len(), moved.len() as f64 / USERS as f64);
            trial.figure(&format!("moved with {replicas} pods"), format!("{:.0} %", share * 100.0));
            ensure!(share <= 1.0 / pods + BEYOND, "{moved} of {USERS} users moved");
            before = after;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_range_of_users_has_pods_of_its_own() -> Result<()> {
    Namespace::beside(async |namespace| {
        let more = json!({"routing": {"strategy": "ShardGroups", "shardGroups": {"groups": [
            {"name": "a", "users": {"from": 0, "to": 333}, "replicas": 1},
            {"name": "b", "users": {"from": 334, "to": 999}, "replicas": 1},
        ]}}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let pods = namespace.pods_of("c").await?;
        ensure!(pods.len() == 2, "{:?}", pods.keys());
        for (user, group) in [("0", "a"), ("333", "a"), ("334", "b"), ("999", "b")] {
            let pod = asked(namespace, user).await?;
            let pod = fund_clusters::pod_called(&pods, &pod.context("nobody answered")?)?;
            let labels = pods[pod].metadata.labels.as_ref().context("a pod has labels")?;
            let found = labels.get(fundbond_crds::labels::SHARD_GROUP).context("a pod has a group")?;
            ensure!(found == group, "user {user} went to {pod} of {found}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_with_its_pod() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {"replicas": 3}, "routing": {"strategy": "ClientIP"}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let mut pods = BTreeMap::new();
        for number in 0..60 {
            let pod = asked(namespace, &number.to_string()).await?.context("nobody answered")?;
            *pods.entry(pod).or_insert(0) += 1;
        }
        trial.figure("pods asked by one client", pods.len());
        ensure!(pods.len() == 1, "one client went to {pods:?}");
        Ok(())
    })
    .await
}

/// Which pod each user's writes go to, once all pods that are wanted have some.
async fn settled(namespace: &Namespace<'_>, pods: usize) -> Result<BTreeMap<String, String>> {
    let (writes, _) = eventually(&format!("writes go to {pods} pods"), HEARD_WITHIN, async || {
        let writes = writes(namespace).await?;
        let used: BTreeSet<_> = writes.values().collect();
        let there = namespace.pods_of("c").await?;
        let right =
            used.len() == pods && used.iter().all(|pod| fund_clusters::pod_called(&there, pod).is_ok());
        Ok(if right { Ok(writes) } else { Err(format!("they go to {used:?}, of {:?}", there.keys())) })
    })
    .await?;
    Ok(writes)
}

async fn writes(namespace: &Namespace<'_>) -> Result<BTreeMap<String, String>> {
    let mut writes = BTreeMap::new();
    for number in 0..USERS {
        let user = format!("user-{number}");
        let pod = asked(namespace, &user).await?.context("nobody answered")?;
        writes.insert(user, pod);
    }
    Ok(writes)
}

/// The pod that gets a write of this user. What is asked changes nothing: only its headers call it a write.
async fn asked(namespace: &Namespace<'_>, user: &str) -> Result<Option<String>> {
    let http = Http::of_cluster(GATEWAY, &fund_clusters::route(namespace, "c"));
    let mut question = http.get(TASKS_PATH)?;
    question.headers_mut().insert(headers::USER_ID, HeaderValue::from_str(user)?);
    question.headers_mut().insert(headers::OPERATION_TYPE, HeaderValue::from_static(headers::WRITE));
    Ok(answered_by(&http.head(question).await.map_err(anyhow::Error::msg)?))
}
