//! What is other people's stays theirs, by the books of a real server.

use std::time::Duration;

use fundbond_crds::{FundCluster, GatewayRoute};
use fundbond_test_api_server::shared;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::harness::{Desk, eventually, eventually_within, names};

#[tokio::test]
async fn an_account_of_the_clusters_name_is_left_as_it_was() {
    let (desk, operator) = Desk::open(shared()).await;
    let accounts = desk.api::<ServiceAccount>();
    let metadata = ObjectMeta { name: Some("mine".to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    let account = accounts.create(&PostParams::default(), &account).await.unwrap();
    desk.create("mine", json!({})).await;
    let told = desk.told("mine", "Ready", "False", "Refused").await;
    let conditions = told.status.unwrap().conditions;
    let message = &conditions.iter().find(|condition| condition.type_ == "Ready").unwrap().message;
    assert!(message.starts_with("ServiceAccount mine: there is a ServiceAccount of that name"), "{message}");
    assert_eq!(names(&desk.api::<GatewayRoute>()).await, ["mine"], "all else is there");
    assert_eq!(accounts.get("mine").await.unwrap(), account);

    // Without a garbage collector it is the operator that clears away what was its own.
    desk.api::<FundCluster>().delete("mine", &DeleteParams::default()).await.unwrap();
    let maps = desk.api::<ConfigMap>();
    eventually_within(Duration::from_mins(2), "what the FundCluster had is gone", async || {
        maps.get_opt("mine").await.unwrap().is_none().then_some(())
    })
    .await;
    eventually("its accounts too", async || {
        (!names(&accounts).await.contains(&"mine-proxy".to_owned())).then_some(())
    })
    .await;
    assert_eq!(accounts.get("mine").await.unwrap(), account);
    operator.stop().await;
}

/// As the garbage collector leaves it after `kubectl delete --cascade=orphan`.
#[tokio::test]
async fn what_was_orphaned_is_taken_over_by_a_fund_cluster_of_that_name() {
    let (desk, operator) = Desk::open(shared()).await;
    desk.create("again", json!({"paused": false})).await;
    desk.told("again", "Ready", "False", "PodsStarting").await;
    // So that nobody puts the owner back before it is gone.
    desk.edit("again", json!({"paused": true})).await;
    desk.told("again", "Paused", "True", "Asked").await;
    let (maps, routes) = (desk.api::<ConfigMap>(), desk.api::<GatewayRoute>());
    let (map, route) = (maps.get("again").await.unwrap(), routes.get("again").await.unwrap());
    let (orphan, parameters) =
        (Patch::Merge(json!({"metadata": {"ownerReferences": null}})), PatchParams::default());
    maps.patch("again", &parameters, &orphan).await.unwrap();
    routes.patch("again", &parameters, &orphan).await.unwrap();
    let clusters = desk.api::<FundCluster>();
    clusters.delete("again", &DeleteParams::default()).await.unwrap();
    desk.create("again", json!({})).await;
    let cluster = desk.told("again", "Ready", "False", "PodsStarting").await;
    let (map_now, route_now) = (maps.get("again").await.unwrap(), routes.get("again").await.unwrap());
    assert_eq!((&map_now.metadata.uid, &route_now.metadata.uid), (&map.metadata.uid, &route.metadata.uid));
    assert!(route_now.spec.generation > route.spec.generation);
    for head in [map_now.metadata, route_now.metadata] {
        assert_eq!(Some(&head.owner_references.unwrap()[0].uid), cluster.metadata.uid.as_ref());
    }
    operator.stop().await;
}
