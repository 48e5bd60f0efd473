//! Pods are killed while they hold streams, run tasks and keep house.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fundbond_e2e::{
    Clients, Namespace, Trial, eventually, fund_clusters::pod_called, program, release, steps, until,
};
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

/// From the last word of whoever keeps house until another one does.
const TAKEOVER_WITHIN: SignedDuration = SignedDuration::from_secs(20);

/// How long the lease lasts unless a FundCluster says otherwise. A lease that is given back is taken at once; one whose holder
/// died is waited for to its end.
const LEASE: SignedDuration = SignedDuration::from_secs(15);

/// Until nothing is left of a pod that died: 30 s until it counts as dead, the takeover, a round of the sweep, and a margin.
const SWEPT_WITHIN: Duration = Duration::from_secs(100);

/// The key that says that a pod is dead.
const DEAD: &str = "node-dead:";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_streams_or_runs_tasks_may_be_killed() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let route = namespace.pods(3).await?;
        let clients = Clients::come(&route, steps(&route, 30, 30, Duration::from_secs(1))?)?;
        clients.until_under_way(Duration::from_secs(30)).await?;
        // Each pod has tasks, and each has streams: two of three are killed.
        for _ in 0..2 {
            let (held, pods) = (clients.held(), namespace.pods_of("c").await?);
            // Who was killed a moment ago may still be thought to hold some.
            let alive = held.iter().filter_map(|(id, streams)| Some((pod_called(&pods, id).ok()?, streams)));
            let (pod, streams) =
                alive.max_by_key(|(_, streams)| **streams).context("nobody holds a stream")?;
            trial.figure("killed, with streams", streams);
            namespace.kill(pod).await?;
        }
        let seen = clients.whole(Duration::from_mins(4), &trial.results()).await?;
        ensure!(seen.broke > 0, "nobody noticed");
        seen.report(trial);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_house_may_be_killed_and_nothing_of_it_stays() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let route = namespace.pods(3).await?;
        let clients = Clients::come(&route, steps(&route, 30, 60, Duration::from_secs(1))?)?;
        clients.until_under_way(Duration::from_secs(30)).await?;
        let leader = leader(namespace).await?;
        let pods = namespace.pods_of("c").await?;
        let pod = pod_called(&pods, &leader)?;
        ensure!(!keys_about(trial, &leader).await?.is_empty(), "Redis knows nothing of {leader}");

        namespace.kill(pod).await?;
        let (next, took) = successor(namespace, &leader).await?;
        trial.figure("takeover, s", format!("{:.1}", took.as_secs_f64()));
        ensure!(took >= LEASE, "after {took:?} the lease was not taken, but given back by {leader}");
        ensure!(took <= TAKEOVER_WITHIN, "{next} took over from {leader} after {took:?}");
        let swept = until(&format!("nothing is left of {leader}"), SWEPT_WITHIN, async || {
            let keys = keys_about(trial, &leader).await?;
            // That it is dead is remembered for a day, so that it never comes back as who it was.
            let (dead, left): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.contains(DEAD));
            Ok((dead.len() != 1 || !left.is_empty()).then(|| [dead, left].concat().join(", ")))
        })
        .await?;
        trial.figure("swept, s after", format!("{:.1}", swept.as_secs_f64()));
        clients.whole(Duration::from_mins(4), &trial.results()).await?.report(trial);
        Ok(())
    })
    .await
}

async fn lease(namespace: &Namespace<'_>) -> Result<LeaseSpec> {
    namespace.api::<Lease>().get("c-housekeeper").await?.spec.context("a lease says something")
}

/// What the pod calls itself that keeps house.
async fn leader(namespace: &Namespace<'_>) -> Result<String> {
    let (leader, _) = eventually("somebody keeps house", SWEPT_WITHIN, async || {
        let holder = lease(namespace).await?.holder_identity.unwrap_or_default();
        Ok(if holder.is_empty() { Err("nobody does".to_owned()) } else { Ok(holder) })
    })
    .await?;
    Ok(leader)
}

/// Who keeps house after `before`, and how long after its last word, as the lease itself says: all nodes have one clock here.
async fn successor(namespace: &Namespace<'_>, before: &str) -> Result<(String, SignedDuration)> {
    let mut renewed = None;
    let ((next, acquired), _) = eventually("somebody else keeps house", SWEPT_WITHIN, async || {
        let lease = lease(namespace).await?;
        let holder = lease.holder_identity.unwrap_or_default();
        if holder == before {
            renewed = lease.renew_time;
        }
        if holder.is_empty() || holder == before {
            return Ok(Err(format!("the lease is held by {holder:?}")));
        }
        Ok(Ok((holder, lease.acquire_time)))
    })
    .await?;
    let (renewed, acquired) = renewed.zip(acquired).context("a lease that is held has times")?;
    Ok((next, acquired.0.duration_since(renewed.0)))
}

/// Keys of Redis with the name of a pod in them.
async fn keys_about(trial: &Trial, pod: &str) -> Result<Vec<String>> {
    let redis = format!("deployment/{}-dev-redis", release::NAME);
    let pattern = format!("*{pod}*");
    let words = [
        "exec",
        "--namespace",
        release::NAMESPACE,
        &redis,
        "--",
        "redis-cli",
        "--scan",
        "--pattern",
        &pattern,
    ];
    let said = program::said(&mut trial.stage.kubectl(&words)).await?;
    if !said.success {
        bail!("redis-cli: {}", said.err);
    }
    Ok(said.out.lines().map(str::to_owned).collect())
}
