//! The life of a FundCluster.

use fundbond_crds::{FundCluster, GatewayRoute};
use fundbond_test_api_server::shared;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::harness::{Desk, ask, eventually, names};

#[tokio::test]
async fn a_fund_cluster_becomes_objects_and_is_ready_when_they_are() {
    let (desk, operator) = Desk::open(shared()).await;
    desk.create("one", json!({})).await;
    desk.told("one", "Ready", "False", "PodsStarting").await;
    assert_eq!(names(&desk.api::<Deployment>()).await, ["one-pods", "one-proxy"]);
    assert_eq!(names(&desk.api::<GatewayRoute>()).await, ["one"]);
    desk.roll_out("one-pods").await;
    desk.roll_out("one-proxy").await;
    let ready = desk.told("one", "Ready", "True", "AllReady").await;
    assert_eq!(ready.status.unwrap().pods.summary.as_deref(), Some("2/2"));
    let status = desk.asked("one").await;
    assert_eq!(
        (status.streams, status.backlog, status.leader.as_deref()),
        (Some(42), Some(3), Some("pod-a"))
    );
    let readiness = ask(operator.admin, "/readyz?verbose").await.unwrap();
    assert!(readiness.starts_with("HTTP/1.1 200") && readiness.contains("[+] watches"), "{readiness}");
    let metrics = ask(operator.admin, "/metrics").await.unwrap();
    for metric in fundbond_operator::described_metrics() {
        // What fails is counted once it does.
        if metric.about.name != "fund_operator_watch_failures" {
            let named = format!("# TYPE {} {}", metric.about.name, metric.kind);
            assert!(metrics.contains(&named), "{named} is not in {metrics}");
        }
    }
    assert!(
        metrics.contains("fund_operator_writes_total{verb=\"create\",kind=\"Deployment\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("fund_operator_leads 1"), "{metrics}");
    operator.stop().await;
}

#[tokio::test]
async fn what_is_edited_or_deleted_comes_back_and_what_is_others_stays() {
    let (desk, operator) = Desk::open(shared()).await;
    desk.create("two", json!({})).await;
    desk.told("two", "Ready", "False", "PodsStarting").await;
    let services = desk.api::<Service>();
    let patch = Patch::Merge(json!({
        "metadata": {"labels": {"theirs": "yes"}},
        "spec": {"selector": {"app.kubernetes.io/component": "nothing"}},
    }));
    services.patch("two-proxy", &PatchParams::default(), &patch).await.unwrap();
    let edited = Instant::now();
    let service = eventually("the selector is put back", async || {
        let service = services.get("two-proxy").await.unwrap();
        let selector = service.spec.clone().unwrap().selector.unwrap();
        (selector["app.kubernetes.io/component"] == "proxy").then_some(service)
    })
    .await;
    println!("an edited field was back after {:.2} s", edited.elapsed().as_secs_f64());
    assert_eq!(service.metadata.labels.unwrap()["theirs"], "yes");
    let maps = desk.api::<ConfigMap>();
    let before = maps.get("two").await.unwrap().metadata.uid;
    maps.delete("two", &DeleteParams::default()).await.unwrap();
    let deleted = Instant::now();
    eventually("the ConfigMap is made again", async || {
        maps.get_opt("two").await.unwrap().filter(|map| map.metadata.uid != before)
    })
    .await;
    println!("a deleted object was back after {:.2} s", deleted.elapsed().as_secs_f64());
    operator.stop().await;
}

#[tokio::test]
async fn the_older_keeps_the_route_until_it_goes() {
    let (desk, operator) = Desk::open(shared()).await;
    let route = json!({"route": {"value": desk.namespace}});
    desk.create("elder", route.clone()).await;
    desk.told("elder", "Ready", "False", "PodsStarting").await;
    desk.create("newer", route).await;
    let told = desk.told("newer", "Ready", "False", "RouteConflict").await;
    let conditions = told.status.unwrap().conditions;
    let message = &conditions.iter().find(|condition| condition.type_ == "Ready").unwrap().message;
    assert!(message.contains(&format!("{}/elder", desk.namespace)), "{message}");
    let routes = desk.api::<GatewayRoute>();
    assert_eq!(names(&routes).await, ["elder"]);
    desk.api::<FundCluster>().delete("elder", &DeleteParams::default()).await.unwrap();
    let deleted = Instant::now();
    eventually("the route is handed over", async || (names(&routes).await == ["newer"]).then_some(())).await;
    println!("the route was handed over after {:.2} s", deleted.elapsed().as_secs_f64());
    desk.told("newer", "Ready", "False", "PodsStarting").await;
    operator.stop().await;
}

#[tokio::test]
async fn nothing_is_written_while_it_is_paused_and_everything_afterwards() {
    let (desk, operator) = Desk::open(shared()).await;
    desk.create("still", json!({"paused": true})).await;
    desk.told("still", "Paused", "True", "Asked").await;
    assert!(names(&desk.api::<Deployment>()).await.is_empty());
    desk.edit("still", json!({"paused": false})).await;
    desk.told("still", "Ready", "False", "PodsStarting").await;
    desk.edit("still", json!({"paused": true, "pods": {"replicas": 7}})).await;
    desk.told("still", "Paused", "True", "Asked").await;
    let deployment = desk.api::<Deployment>().get("still-pods").await.unwrap();
    assert_eq!(deployment.spec.unwrap().replicas, Some(2));
    operator.stop().await;
}
