//! Requests by their header: two clusters side by side, and neither sees what is the other's.

use std::time::Duration;

use anyhow::{Result, ensure};
use fundbond_chaos::{fact::What, http::Http};
use fundbond_e2e::{Clients, Namespace, fund_clusters, stage::GATEWAY, steps};
use fundbond_protocol::api::TASKS_PATH;
use futures::future::try_join_all;

/// Of each cluster.
const STREAMS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_serve_side_by_side_and_a_route_that_nobody_has_is_refused() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let names = ["one", "two"];
        let objects = names.map(|name| {
            let more = serde_json::json!({"pods": {"replicas": 2}});
            fund_clusters::fund_cluster(namespace, name, &more)
        });
        try_join_all(objects.iter().map(|object| namespace.ready(object))).await?;
        let come = |name| {
            let route = fund_clusters::route(namespace, name);
            Clients::come(&route, steps(&route, STREAMS, 10, Duration::from_millis(500))?)
        };
        // All of them, before anybody is waited for.
        let mut both = Vec::new();
        for name in names {
            both.push((name, come(name)?, namespace.pods_of(name).await?));
        }
        for (name, clients, pods) in both {
            let seen = clients.whole(Duration::from_mins(1), &trial.results()).await?;
            let opened = seen.facts.iter().filter_map(|fact| match &fact.what {
                What::Opened { by: Some(by), .. } => Some(by),
                _ => None,
            });
            let opened: Vec<_> = opened.collect();
            ensure!(opened.len() >= STREAMS, "{} streams of {name} were opened", opened.len());
            for holder in opened {
                fund_clusters::pod_called(&pods, holder)?;
            }
            trial.figure(&format!("events of {name}"), seen.events);
        }
        let http = Http::of_cluster(GATEWAY, "nobody-has-this");
        let (status, body) = http.whole(http.get(TASKS_PATH)?).await.map_err(anyhow::Error::msg)?;
        let body = String::from_utf8_lossy(&body);
        ensure!(status == 404 && body.contains("nobody-has-this"), "{status}: {body}");
        Ok(())
    })
    .await
}
