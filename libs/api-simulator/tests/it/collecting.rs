//! The garbage collector.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, PropagationPolicy},
};
use serde_json::{Value, json};

use fundbond_api_simulator::{Hand, Simulator};

use crate::support::{NAMESPACE, begin, map, maps, typed};

fn owned(name: &str, owners: &[&ConfigMap]) -> ConfigMap {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid().unwrap(),
                "blockOwnerDeletion": true, "controller": false,
            })
        })
        .collect();
    typed(json!({"metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": owners}}))
}

fn names(simulator: &Simulator) -> Vec<String> {
    simulator.objects().keys().map(|name| name.rsplit('/').next().unwrap().to_owned()).collect()
}

async fn collected() {
    // sleep-ok: paused time, and the collector's own delay
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn family(user: &Hand) -> ConfigMap {
    let owner = user.create(&map("owner", &json!({}))).unwrap();
    let child = user.create(&owned("child", &[&owner])).unwrap();
    user.create(&owned("grandchild", &[&child])).unwrap();
    owner
}

#[tokio::test(start_paused = true)]
async fn what_belonged_to_a_deleted_object_is_deleted_a_while_later() {
    let (simulator, client) = begin();
    family(&simulator.hand("user"));
    maps(&client).delete("owner", &DeleteParams::default()).await.unwrap();
    assert_eq!(names(&simulator), ["child", "grandchild"]);
    collected().await;
    assert!(names(&simulator).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_collector_everything_stays() {
    let (simulator, client) = begin();
    simulator.configure(|settings| settings.garbage_collection = None);
    family(&simulator.hand("user"));
    maps(&client).delete("owner", &DeleteParams::default()).await.unwrap();
    collected().await;
    assert_eq!(names(&simulator), ["child", "grandchild"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_another_owner_stays_and_forgets_the_one_that_is_gone() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    let owner = family(&user);
    let other = user.create(&map("other", &json!({}))).unwrap();
    user.create(&owned("shared", &[&owner, &other])).unwrap();
    maps(&client).delete("owner", &DeleteParams::default()).await.unwrap();
    collected().await;
    assert_eq!(names(&simulator), ["other", "shared"]);
    let shared: ConfigMap = user.get(NAMESPACE, "shared").unwrap();
    assert_eq!(shared.owner_references().len(), 1);
    assert_eq!(shared.owner_references()[0].name, "other");
}

#[tokio::test(start_paused = true)]
async fn what_is_made_for_an_owner_that_is_gone_is_deleted() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    let owner = user.create(&map("owner", &json!({}))).unwrap();
    maps(&client).delete("owner", &DeleteParams::default()).await.unwrap();
    collected().await;
    user.create(&owned("late", &[&owner])).unwrap();
    assert_eq!(names(&simulator), ["late"]);
    collected().await;
    assert!(names(&simulator).is_empty());
}

#[tokio::test(start_paused = true)]
async fn deleted_in_the_foreground_an_object_goes_after_what_belongs_to_it() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    family(&user);
    user.merge::<ConfigMap>(NAMESPACE, "grandchild", &json!({"metadata": {"finalizers": ["a.b/c"]}}))
        .unwrap();
    let foreground =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
    maps(&client).delete("owner", &foreground).await.unwrap();
    collected().await;
    assert_eq!(names(&simulator), ["child", "grandchild", "owner"], "the grandchild is held");
    let owner: ConfigMap = user.get(NAMESPACE, "owner").unwrap();
    assert_eq!(owner.finalizers(), ["foregroundDeletion"]);
    user.merge::<ConfigMap>(NAMESPACE, "grandchild", &json!({"metadata": {"finalizers": null}})).unwrap();
    collected().await;
    assert!(names(&simulator).is_empty());
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_without_an_owner() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    family(&user);
    let orphan =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    maps(&client).delete("owner", &orphan).await.unwrap();
    collected().await;
    assert_eq!(names(&simulator), ["child", "grandchild"]);
    assert!(user.get::<ConfigMap>(NAMESPACE, "child").unwrap().owner_references().is_empty());
}
