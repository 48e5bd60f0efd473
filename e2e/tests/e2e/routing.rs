//! Requests by their header: two clusters side by side, and neither sees what is the other's.

use std::time::Duration;

use anyhow::{Result, ensure};
use fundbond_chaos::http::Http;
use fundbond_e2e::{Clients, Namespace, fund_clusters, stage::GATEWAY, steps};
use fundbond_protocol::api::TASKS_PATH;
use futures::future::try_join_all;

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
        for name in names {
            let route = fund_clusters::route(namespace, name);
            let clients = Clients::come(&route, steps(&route, 10, 10, Duration::from_millis(500))?)?;
            clients.until_under_way(Duration::from_secs(30)).await?;
            let pods = namespace.pods_of(name).await?;
            for holder in clients.held().keys() {
                fund_clusters::pod_called(&pods, holder)?;
            }
            let seen = clients.whole(Duration::from_mins(1), &trial.results()).await?;
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
