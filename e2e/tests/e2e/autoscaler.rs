//! As many pods as the load asks for.
//!
//! Tests begin in the order of their names, and this one takes longest: so it begins first.

use std::time::Duration;

use anyhow::Result;
use fundbond_e2e::{
    Clients, Namespace,
    fund_clusters::{self, ROLLED_WITHIN},
    steps, until,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::json;

/// An autoscaler looks each 15 s, at what the metrics server measured in the 15 s before, and begins with a few looks at
/// nothing.
const SCALED_WITHIN: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_cluster_gets_more_pods() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {
            "autoscaling": {"minReplicas": 2, "maxReplicas": 4, "cpuUtilization": 50},
            "resources": {"requests": {"cpu": "25m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
            "taskConcurrency": 64,
        }});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let route = fund_clusters::route(namespace, "c");
        // Events for the two pods until the autoscaler has seen it: 400 a second, which is some times what they ask for, and
        // leaves the tests beside it a machine.
        let funds = Clients::come(&route, steps(&route, 40, 1_500, Duration::from_millis(100))?)?;
        let took = until("there are more than two pods", SCALED_WITHIN, async || {
            let scaler = namespace.api::<HorizontalPodAutoscaler>().get("c-pods").await?;
            let Some(status) = scaler.status else { return Ok(Some("it has no status".to_owned())) };
            let conditions = status.conditions.iter().flatten();
            let said: Vec<_> = conditions.map(|c| format!("{}={}", c.type_, c.status)).collect();
            let wanted = status.desired_replicas;
            Ok((wanted <= 2).then(|| format!("{wanted} wanted, {}", said.join(", "))))
        })
        .await?;
        trial.figure("more pods wanted after, s", format!("{:.0}", took.as_secs_f64()));
        until("a third pod is there", ROLLED_WITHIN, async || {
            let there = namespace.pods_of("c").await?.len();
            Ok((there <= 2).then(|| format!("{there} pods")))
        })
        .await?;
        funds.whole(Duration::from_mins(8), &trial.results()).await?.report(trial);
        Ok(())
    })
    .await
}
