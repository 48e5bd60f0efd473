//! The release of the charts comes, changes and goes, and what people made stays.

use std::time::Duration;

use anyhow::{Result, ensure};
use fundbond_chaos::http::Http;
use fundbond_crds::FundCluster;
use fundbond_e2e::{Clients, Namespace, fund_clusters, program, release, stage::GATEWAY, steps, until};
use fundbond_protocol::api::TASKS_PATH;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::json;
use tokio::{task::JoinHandle, time::interval};
use tokio_util::sync::CancellationToken;

/// What images are called for the upgrade: the same images.
const NEXT: &str = "next";

/// As the chart has it.
const GATEWAYS: usize = 2;

/// Between two who come anew.
const BETWEEN_NEWCOMERS: Duration = Duration::from_millis(10);

/// From their end until gateways are gone: the delay and the drain, 15 s, and what Kubernetes takes beside them.
const GONE_WITHIN: Duration = Duration::from_mins(1);

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
        let clients = Clients::come("cluster1", steps(&namespace.name, 50, 45, Duration::from_secs(1))?)?;
        clients.until_under_way(Duration::from_mins(1)).await?;
        let begun = tokio::time::Instant::now();
        let newcomers = Newcomers::come("cluster1");
        release::upgrade(stage, &[&format!("image.tag={NEXT}")]).await?;
        trial.figure("helm upgrade, s", format!("{:.1}", begun.elapsed().as_secs_f64()));
        // The gateways of before go while nobody waits for them any more.
        until("the gateways of before are gone", GONE_WITHIN, async || {
            let gateways = trial.house().list::<Pod>("app.kubernetes.io/component=gateway").await?;
            let of_before = |pod: &&Pod| {
                pod.metadata.deletion_timestamp.is_some()
                    || !image(pod).is_some_and(|name| name.ends_with(NEXT))
            };
            let (old, all) = (gateways.iter().filter(of_before).count(), gateways.len());
            Ok((old > 0 || all < GATEWAYS).then(|| format!("{old} of {all} are of before")))
        })
        .await?;
        let (asked, refused) = newcomers.go().await?;
        trial.figure("newcomers", asked);
        ensure!(refused.is_empty(), "{} of {asked} newcomers: {}", refused.len(), refused.join("; "));
        let seen = clients.whole(Duration::from_mins(6), &trial.results()).await?;
        ensure!(seen.reopened > 0, "no gateway with streams went");
        seen.report(trial);
        until("all pods run the other image", fund_clusters::ROLLED_WITHIN, async || {
            let pods = namespace.pods_of("c").await?;
            let mut images = pods.iter().map(|(name, pod)| (name, image(pod).unwrap_or_default()));
            let other = images.find(|(_, image)| !image.ends_with(NEXT));
            Ok(other.map(|(name, image)| format!("{name} runs {image}")))
        })
        .await?;

        release::uninstall(stage, release::NAME).await?;
        let stays = namespace.api::<FundCluster>().list(&ListParams::default()).await?;
        ensure!(stays.items.len() == 1, "the user's FundCluster went with the release");
        let pods = namespace.pods_of("c").await?.len();
        ensure!(pods == 2, "{pods} of two pods of the user's FundCluster are left");
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

/// What a pod runs.
fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

/// Somebody who asks one thing after the other, each over a connection of its own, as people do who come now.
struct Newcomers {
    asking: JoinHandle<(usize, Vec<String>)>,
    enough: CancellationToken,
}

impl Newcomers {
    fn come(route: &str) -> Self {
        let enough = CancellationToken::new();
        let (http, over) = (Http::of_cluster(GATEWAY, route), enough.clone());
        let asking = tokio::spawn(async move {
            let (mut asked, mut refused) = (0, Vec::new());
            let mut next = interval(BETWEEN_NEWCOMERS);
            while !over.is_cancelled() {
                next.tick().await;
                asked += 1;
                let answer = match http.get(TASKS_PATH) {
                    Ok(request) => http.whole(request).await.map(|(status, _)| status),
                    Err(error) => Err(error.to_string()),
                };
                match answer {
                    Ok(status) if status == 200 => {}
                    Ok(status) => refused.push(status.to_string()),
                    Err(error) => refused.push(error),
                }
            }
            (asked, refused)
        });
        Self { asking, enough }
    }

    /// How many asked, and what those were told that got no answer.
    async fn go(self) -> Result<(usize, Vec<String>)> {
        self.enough.cancel();
        Ok(self.asking.await?)
    }
}
