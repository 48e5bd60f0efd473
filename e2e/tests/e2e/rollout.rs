//! What runs is replaced while everybody looks.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fundbond_e2e::{
    Clients, Namespace,
    fund_clusters::{self, ROLLED_WITHIN, id_of, sum},
    steps, until,
};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use tokio::time::sleep;

/// Streams that are open meanwhile.
const STREAMS: usize = 500;

/// A pod that is to leave sends its streams away over half of its grace.
const MOVED_WITHIN: Duration = Duration::from_mins(2);

/// The admin port of pods.
const ADMIN: u16 = 19_090;

/// A kubelet looks at the files of its pods about once a minute.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn another_image_and_other_settings_come_under_five_hundred_streams() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {"replicas": 3, "taskConcurrency": 400, "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let route = fund_clusters::route(namespace, "c");
        let clients = Clients::come(&route, steps(&route, STREAMS, 100, Duration::from_millis(1_500))?)?;
        clients.until_under_way(Duration::from_mins(1)).await?;
        let before: BTreeSet<_> = namespace.pods_of("c").await?.into_keys().collect();

        let change = json!({"image": "fundbond/pod-service:next", "housekeeping": {"healthInterval": "5s"}});
        let generation = namespace.change("c", change).await?;
        let rolled = async {
            let took = namespace.until_ready("c", generation, ROLLED_WITHIN).await?;
            trial.figure("rolled after, s", format!("{:.0}", took.as_secs_f64()));
            anyhow::Ok(())
        };
        let mut fewest = i32::MAX;
        let watched = async {
            loop {
                // A question that nobody answers says nothing of pods; there are a hundred more.
                if let Ok(deployment) = namespace.api::<Deployment>().get("c-pods").await {
                    let ready = deployment.status.and_then(|status| status.ready_replicas);
                    fewest = fewest.min(ready.unwrap_or_default());
                }
                // sleep-ok: between two looks, for as long as the rollout lasts
                sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            rolled = rolled => rolled?,
            () = watched => {}
        }
        ensure!(fewest < i32::MAX, "nobody ever said how many pods are ready");
        trial.figure("fewest ready pods", fewest);
        ensure!(fewest >= 2, "{fewest} pods were ready, and one may be away");
        let after: BTreeSet<_> = namespace.pods_of("c").await?.into_keys().collect();
        ensure!(before.is_disjoint(&after), "not replaced: {before:?}, {after:?}");
        until("no pod of before holds a stream", MOVED_WITHIN, async || {
            let held = clients.held();
            let stays = held.keys().find(|id| before.iter().any(|pod| id.starts_with(&id_of(pod))));
            Ok(stays.map(|id| format!("{id} holds {}", held[id])))
        })
        .await?;
        let seen = clients.whole(Duration::from_mins(6), &trial.results()).await?;
        ensure!(seen.reopened >= STREAMS, "{} streams moved", seen.reopened);
        seen.report(trial);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_setting_changes_without_a_restart() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {"replicas": 2}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let before: Vec<_> = namespace.pods_of("c").await?.into_keys().collect();
        namespace.change("c", json!({"pods": {"heartbeat": {"interval": "4s"}}})).await?;
        let took = until("all pods have the other setting", FOLLOWED_WITHIN, async || {
            for pod in &before {
                let metrics = namespace.metrics(pod, ADMIN).await?;
                if sum(&metrics, r#"fund_live_settings_changes_total{outcome="applied""#) < 1.0 {
                    return Ok(Some(format!("{pod} has not")));
                }
            }
            Ok(None)
        })
        .await?;
        trial.figure("followed after, s", format!("{:.0}", took.as_secs_f64()));
        let pods = namespace.pods_of("c").await?;
        ensure!(pods.keys().eq(&before), "pods were replaced: {before:?}, {:?}", pods.keys());
        for (name, pod) in pods {
            let states = pod.status.and_then(|status| status.container_statuses).context("no status")?;
            ensure!(states.iter().all(|state| state.restart_count == 0), "{name} restarted");
        }
        Ok(())
    })
    .await
}
