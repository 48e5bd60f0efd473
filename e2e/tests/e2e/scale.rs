//! More pods, and fewer again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fundbond_e2e::{
    Clients, Namespace,
    fund_clusters::{self, ROLLED_WITHIN, pod_called},
    steps,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn two_pods_become_six_and_two_again_under_streams() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {"replicas": 2, "taskConcurrency": 128}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let route = fund_clusters::route(namespace, "c");
        let clients = Clients::come(&route, steps(&route, 100, 120, Duration::from_secs(1))?)?;
        clients.until_under_way(Duration::from_secs(30)).await?;
        for replicas in [6, 2] {
            // New pods have no streams and would be the first to go: one of those that have some is to go with them.
            let (held, pods) = (clients.held(), namespace.pods_of("c").await?);
            let holder =
                held.keys().find_map(|id| pod_called(&pods, id).ok()).context("nobody holds a stream")?;
            let cost =
                json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-100"}}});
            namespace.api::<Pod>().patch(holder, &PatchParams::default(), &Patch::Merge(cost)).await?;
            let generation = namespace.change("c", json!({"pods": {"replicas": replicas}})).await?;
            let took = namespace.until_ready("c", generation, ROLLED_WITHIN).await?;
            trial.figure(&format!("{replicas} pods after, s"), format!("{:.0}", took.as_secs_f64()));
            let there = namespace.pods_of("c").await?.len();
            ensure!(there == replicas, "{there} pods instead of {replicas}");
        }
        let seen = clients.whole(Duration::from_mins(6), &trial.results()).await?;
        ensure!(seen.reopened > 0, "no pod with streams went");
        seen.report(trial);
        Ok(())
    })
    .await
}
