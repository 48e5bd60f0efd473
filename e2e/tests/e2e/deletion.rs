//! What is deleted goes, with all that came with it.

use std::time::Duration;

use anyhow::{Result, ensure};
use fundbond_chaos::http::Http;
use fundbond_crds::{FundCluster, labels};
use fundbond_e2e::{Namespace, fund_clusters, program, stage::GATEWAY, until};
use fundbond_protocol::api::TASKS_PATH;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use serde_json::json;

/// Pods leave within their grace period of a minute.
const GONE_WITHIN: Duration = Duration::from_secs(90);

/// Until gateways have heard that a route is gone.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(10);

/// Every kind that the operator makes, as kubectl takes it.
const KINDS: &str = "gatewayroutes,deployments,replicasets,pods,services,endpointslices,configmaps,serviceaccounts,roles,\
                     rolebindings,poddisruptionbudgets,horizontalpodautoscalers,networkpolicies";

#[tokio::test(flavor = "multi_thread")]
async fn a_fund_cluster_takes_everything_of_it_along() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let more = json!({"pods": {"replicas": 2, "autoscaling": {"minReplicas": 2, "maxReplicas": 3}}});
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &more)).await?;
        let children = async || {
            let labels = labels::of_cluster("c");
            let here = ["--namespace", &namespace.name, "--selector", &labels];
            let mut list = trial.stage.kubectl(&["get", KINDS, "--output", "name"]);
            anyhow::Ok(program::output(list.args(here)).await?)
        };
        let made = children().await?.lines().count();
        ensure!(made >= 12, "only {made} children");
        trial.figure("children", made);
        // Pods make it, so it has none of the operator's labels.
        let lease = namespace.api::<Lease>();
        until("somebody keeps house", GONE_WITHIN, async || {
            let missing = lease.get_opt("c-housekeeper").await?.is_none();
            Ok(missing.then(|| "there is no lease".to_owned()))
        })
        .await?;
        namespace.api::<FundCluster>().delete("c", &DeleteParams::default()).await?;
        let took = until("every child is gone", GONE_WITHIN, async || {
            let mut left = children().await?;
            if lease.get_opt("c-housekeeper").await?.is_some() {
                left.push_str("lease/c-housekeeper");
            }
            Ok((!left.is_empty()).then_some(left))
        })
        .await?;
        trial.figure("gone after, s", format!("{:.0}", took.as_secs_f64()));
        let http = Http::of_cluster(GATEWAY, &fund_clusters::route(namespace, "c"));
        until("no gateway has the route any more", FORGOTTEN_WITHIN, async || {
            // Each over a connection of its own, and so to any of the gateways.
            for _ in 0..10 {
                let (status, _) = http.whole(http.get(TASKS_PATH)?).await.map_err(anyhow::Error::msg)?;
                if status != 404 {
                    return Ok(Some(format!("it is answered {status}")));
                }
            }
            Ok(None)
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_a_fund_cluster_in_it() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        namespace.ready(&fund_clusters::fund_cluster(namespace, "c", &json!({}))).await?;
        let took = namespace.delete().await?;
        trial.figure("gone after, s", format!("{:.0}", took.as_secs_f64()));
        Ok(())
    })
    .await
}
