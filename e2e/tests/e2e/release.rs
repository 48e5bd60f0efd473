//! The release of the charts comes, changes and goes, and what people made stays.

use std::time::Duration;

use anyhow::{Result, ensure};
use fundbond_crds::FundCluster;
use fundbond_e2e::{Clients, Namespace, fund_clusters, program, release, steps, until};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::json;

/// What images are called for the upgrade: the same images.
const NEXT: &str = "next";

#[tokio::test(flavor = "multi_thread")]
async fn the_release_is_tested_upgraded_removed_and_installed_again() -> Result<()> {
    Namespace::alone(async |namespace| {
        let (trial, stage) = (namespace.trial, &namespace.trial.stage);
        let more = json!({"route": {"value": "cluster1"}, "pods": {"replicas": 2, "taskConcurrency": 64}});
        let object = fund_clusters::fund_cluster(namespace, "c", &more);
        trial.figure("seconds until Ready", format!("{:.1}", namespace.ready(&object).await?.as_secs_f64()));
        let said = release::test(stage).await?;
        ensure!(said.contains("COMPLETED"), "helm test says: {said}");

        // Another tag, with streams open.
        let clients = Clients::come("cluster1", steps(&namespace.name, 50, 30, Duration::from_secs(1))?)?;
        clients.until_under_way(Duration::from_mins(1)).await?;
        let begun = tokio::time::Instant::now();
        release::upgrade(stage, &[&format!("image.tag={NEXT}")]).await?;
        trial.figure("helm upgrade, s", format!("{:.1}", begun.elapsed().as_secs_f64()));
        let seen = clients.whole(Duration::from_mins(6), &trial.results()).await?;
        seen.report(trial);
        until("all pods run the other image", fund_clusters::ROLLED_WITHIN, async || {
            let pods = namespace.pods_of("c").await?;
            let image = |pod: &Pod| pod.spec.as_ref()?.containers.first()?.image.clone();
            let mut images = pods.iter().map(|(name, pod)| (name, image(pod).unwrap_or_default()));
            let other = images.find(|(_, image)| !image.ends_with(NEXT));
            Ok(other.map(|(name, image)| format!("{name} runs {image}")))
        })
        .await?;

        release::uninstall(stage, release::NAME).await?;
        let stays = namespace.api::<FundCluster>().list(&ListParams::default()).await?;
        ensure!(stays.items.len() == 1, "the user's FundCluster went with the release");
        let definitions = program::output(&mut stage.kubectl(&["get", "crds"])).await?;
        ensure!(definitions.contains("fundclusters.fundbond.dev"), "{definitions}");

        release::install(stage).await?;
        let generation = namespace.change("c", json!({"pods": {"replicas": 3}})).await?;
        namespace.until_ready("c", generation, fund_clusters::ROLLED_WITHIN).await?;
        let said = release::test(stage).await?;
        ensure!(said.contains("COMPLETED"), "helm test says: {said}");
        Ok(())
    })
    .await
}
