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
    until,
};
use fundbond_protocol::{api::TASKS_PATH, headers};
use http::{HeaderValue, StatusCode};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use serde_json::json;

/// Users whose writes are followed. Who moves is a matter of names, and names of pods differ from run to run: of so many, the
/// share that moves is within a few hundredths of what is to be expected.
const USERS: usize = 1_000;

/// Of how many users the pod may change beyond the share of one pod (the goal of the hash).
const BEYOND: f64 = 0.05;

/// Until every proxy knows of a pod that came or went, and all users were asked for twice since, one after the other.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// The pod that a user's writes go to, by user.
type Pods = BTreeMap<String, String>;

#[tokio::test(flavor = "multi_thread")]
async fn a_users_writes_stay_on_one_pod_while_pods_come_and_go() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        // With the usual load bound a pod that answers somebody else, the operator for one, is passed by while it does.
        let hash = json!({"strategy": "ConsistentHash", "consistentHash": {"loadBound": 10}});
        let more = json!({"pods": {"replicas": 3}, "routing": hash});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let mut before = settled(namespace, 3).await?;
        let again = writes(namespace).await?;
        ensure!(again == before, "a user's writes went to two pods: {:?}", differ(&before, &again).next());
        for (replicas, pods) in [(4, 4.0), (3, 4.0)] {
            let generation = namespace.change("c", json!({"pods": {"replicas": replicas}})).await?;
            namespace.until_ready("c", generation, ROLLED_WITHIN).await?;
            let after = settled(namespace, replicas).await?;
            let moved: Vec<_> = differ(&before, &after).collect();
            // Nobody moves between pods that stay: only to the one that came, or from the one that went.
            let stays =
                |pod: &str| before.values().any(|one| one == pod) && after.values().any(|one| one == pod);
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
            let (pod, _) = eventually(&format!("user {user} has a pod"), SETTLED_WITHIN, async || {
                asked(namespace, user).await
            })
            .await?;
            let pod = fund_clusters::pod_called(&pods, &pod)?;
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
        // Which one it is may change for as long as a proxy has not heard of all pods.
        until("all pods are told of", SETTLED_WITHIN, async || {
            let slices = namespace.list::<EndpointSlice>("kubernetes.io/service-name=c-pods").await?;
            let ready = |end: &&Endpoint| end.conditions.as_ref().and_then(|is| is.ready) == Some(true);
            let told = slices.iter().flat_map(|slice| slice.endpoints.iter().filter(ready)).count();
            Ok((told != 3).then(|| format!("{told} of 3")))
        })
        .await?;
        let mut last = BTreeSet::new();
        eventually("the same pod answers a client twice", SETTLED_WITHIN, async || {
            let before = std::mem::replace(&mut last, asked_often(namespace).await?);
            let settled = last.len() == 1 && last == before;
            Ok(if settled { Ok(()) } else { Err(format!("{before:?} did, and then {last:?}")) })
        })
        .await?;
        let pods = asked_often(namespace).await?;
        trial.figure("pods asked by one client", pods.len());
        ensure!(pods == last, "after {last:?}, one client went to {pods:?}");
        Ok(())
    })
    .await
}

/// The pods that get requests of this client, for many users.
async fn asked_often(namespace: &Namespace<'_>) -> Result<BTreeSet<String>> {
    let mut pods = BTreeSet::new();
    for number in 0..60 {
        pods.insert(asked(namespace, &number.to_string()).await?.map_err(anyhow::Error::msg)?);
    }
    Ok(pods)
}

/// Which pod each user's writes go to, once all pods that are wanted have some and each user has one pod: the proxies do not
/// hear of a pod at the same moment, and until the last one does, who goes where depends on the proxy.
async fn settled(namespace: &Namespace<'_>, pods: usize) -> Result<Pods> {
    let mut last = Pods::new();
    let (writes, _) = eventually(&format!("writes go to {pods} pods"), SETTLED_WITHIN, async || {
        let before = std::mem::replace(&mut last, writes(namespace).await?);
        let used: BTreeSet<_> = last.values().collect();
        let there = namespace.pods_of("c").await?;
        if used.len() != pods || used.iter().any(|pod| fund_clusters::pod_called(&there, pod).is_err()) {
            return Ok(Err(format!("they go to {used:?}, of {:?}", there.keys())));
        }
        Ok(if last == before {
            Ok(last.clone())
        } else {
            Err(format!("{} of {USERS} went elsewhere the time before", differ(&before, &last).count()))
        })
    })
    .await?;
    Ok(writes)
}

/// Whose pod is another one, from and to.
fn differ<'a>(before: &'a Pods, after: &'a Pods) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let both = before.iter().map(|(user, from)| (user.as_str(), from.as_str(), after[user].as_str()));
    both.filter(|(_, from, to)| from != to)
}

async fn writes(namespace: &Namespace<'_>) -> Result<Pods> {
    let mut writes = Pods::new();
    for number in 0..USERS {
        let user = format!("user-{number}");
        let pod = asked(namespace, &user).await?.map_err(anyhow::Error::msg)?;
        writes.insert(user, pod);
    }
    Ok(writes)
}

/// The pod that gets a write of this user, or what came instead of its answer. What is asked changes nothing: only its headers
/// call it a write.
async fn asked(namespace: &Namespace<'_>, user: &str) -> Result<Result<String, String>> {
    let http = Http::of_cluster(GATEWAY, &fund_clusters::route(namespace, "c"));
    let mut question = http.get(TASKS_PATH)?;
    question.headers_mut().insert(headers::USER_ID, HeaderValue::from_str(user)?);
    question.headers_mut().insert(headers::OPERATION_TYPE, HeaderValue::from_static(headers::WRITE));
    // To its end: until then it is under way, and a pod with its share under way is passed by.
    let answer = http.response(question).await.map_err(anyhow::Error::msg)?;
    let pod = answered_by(&answer).filter(|_| answer.status() == StatusCode::OK);
    Ok(pod.ok_or_else(|| format!("the answer to {user} was {}", answer.status())))
}
