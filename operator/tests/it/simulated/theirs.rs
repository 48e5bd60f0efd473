//! What other people have by the names of children is theirs.

use std::time::Duration;

use fundbond_crds::{FundCluster, GatewayRoute, labels};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    scripts::{Deed, spec},
    wire::Wire,
    world::{FUNDS, World},
};

/// Longer than it takes until what was refused is tried again.
const AGAIN: Duration = Duration::from_mins(3);

fn ready(world: &World, name: &str) -> (String, String) {
    let status = world.user.get::<FundCluster>(FUNDS, name).unwrap().status.unwrap();
    let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.reason, ready.message)
}

fn head(name: &str, labels: &Value) -> Value {
    json!({"name": name, "namespace": FUNDS, "labels": labels})
}

/// Objects that no field of the operator's would be in the way of: one that says nothing of itself, one of a Helm release of
/// the same name, and a copy of a child, labels and all.
fn make_theirs(world: &World) -> [&'static str; 3] {
    let account = |name: &str, labels: &Value| {
        let account = json!({"metadata": head(name, labels)});
        world.user.create(&serde_json::from_value::<ServiceAccount>(account).unwrap()).map(drop).unwrap();
    };
    account("desk", &json!({}));
    account("desk-proxy", &json!({labels::INSTANCE: "desk", labels::MANAGED_BY: labels::OPERATOR}));
    let labels = json!({labels::INSTANCE: "desk", labels::MANAGED_BY: "Helm"});
    let map = json!({"metadata": head("desk-live", &labels), "data": {"theirs": "yes"}});
    world.user.create(&serde_json::from_value::<ConfigMap>(map).unwrap()).map(drop).unwrap();
    ["serviceaccounts/funds/desk", "serviceaccounts/funds/desk-proxy", "configmaps/funds/desk-live"]
}

#[tokio::test(start_paused = true)]
async fn an_object_of_that_name_is_not_touched_whatever_it_says_of_itself() {
    let world = World::new(1, Wire::default(), 1);
    let places = make_theirs(&world);
    let theirs = || {
        let mut objects = world.simulator.objects();
        places.map(|place| (place, objects.remove(place)))
    };
    let before = theirs();
    assert!(before.iter().all(|(_, object)| object.is_some()));
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    // sleep-ok: the clock is paused. It is tried again for ever, so it never settles.
    sleep(AGAIN).await;
    let (reason, message) = ready(&world, "desk");
    assert_eq!(reason, "Refused");
    for part in ["ServiceAccount desk: ", "ServiceAccount desk-proxy: ", "ConfigMap desk-live: ", "delete it"]
    {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert_eq!(world.user.list::<GatewayRoute>(FUNDS, "").unwrap().len(), 1, "all else is there");
    assert_eq!(theirs(), before);

    Deed::Delete("desk").be_done(&world.user);
    world.settle().await;
    assert_eq!(theirs(), before, "it does not go with the FundCluster");
    assert_eq!(world.user.list::<ConfigMap>(FUNDS, "").unwrap().len(), 1, "all else does");

    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    // sleep-ok: the clock is paused.
    sleep(AGAIN).await;
    world.user.delete::<ServiceAccount>(FUNDS, "desk").unwrap();
    world.user.delete::<ServiceAccount>(FUNDS, "desk-proxy").unwrap();
    world.user.delete::<ConfigMap>(FUNDS, "desk-live").unwrap();
    // sleep-ok: the clock is paused.
    sleep(AGAIN).await;
    world.settle().await;
    assert_eq!(ready(&world, "desk").0, "AllReady");
}

/// Nothing says of it any more whose it is, but for the server's books.
#[tokio::test(start_paused = true)]
async fn a_child_that_lost_its_labels_and_its_owner_gets_them_back() {
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    let before = world.simulator.lasting_objects();
    let uids = || {
        let objects = world.simulator.objects();
        ["configmaps/funds/desk", "gatewayroutes.fundbond.dev/funds/desk"]
            .map(|place| objects[place]["metadata"]["uid"].clone())
    };
    let made = uids();
    let bare = json!({"metadata": {"labels": null, "ownerReferences": null}});
    world.user.merge::<ConfigMap>(FUNDS, "desk", &bare).map(drop).unwrap();
    let route = world.user.merge::<GatewayRoute>(FUNDS, "desk", &bare).unwrap().spec.generation;
    // sleep-ok: the clock is paused; it is right again by then, and before that the word that it is would not be true.
    sleep(Duration::from_secs(1)).await;
    world.settle().await;
    assert_eq!(uids(), made);
    let after = world.user.get::<GatewayRoute>(FUNDS, "desk").unwrap();
    assert!(after.spec.generation > route, "{route} and then {}", after.spec.generation);
    assert_eq!(after.metadata.owner_references.unwrap().len(), 1);
    let differences: Vec<_> = world
        .simulator
        .lasting_objects()
        .into_iter()
        .filter(|(place, object)| {
            !place.contains("gatewayroutes")
                && !place.contains("fundclusters")
                && before.get(place) != Some(object)
        })
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(ready(&world, "desk").0, "AllReady");
}
