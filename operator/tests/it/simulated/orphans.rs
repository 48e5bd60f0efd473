//! Whoever deletes a FundCluster and not what it became has it all stay.

use std::{collections::BTreeMap, time::Duration};

use fundbond_api_simulator::{Delivery, Entry, Event, Fault, Plan};
use fundbond_crds::{FundCluster, GatewayRoute};
use serde_json::{Value, json};

use super::{
    scripts::{Deed, spec},
    wire::Wire,
    world::{FUNDS, World},
};

/// Tells that a child has changed long after it has, and after its FundCluster is gone.
struct Behind;

impl Plan for Behind {
    fn request(&mut self, _: &Entry) -> Option<Fault> {
        None
    }

    fn event(&mut self, event: &Event) -> Delivery {
        let behind = event.word == "MODIFIED" && event.resource != "fundclusters";
        if behind { Delivery::Late(Duration::from_secs(5)) } else { Delivery::Now }
    }
}

/// The children of the desk, each by its uid and its owner's.
fn children(world: &World) -> BTreeMap<String, (Value, Value)> {
    let objects = world.simulator.objects().into_iter();
    let children = objects.filter(|(_, object)| {
        object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "fundbond-operator"
    });
    children
        .map(|(place, object)| {
            let head = &object["metadata"];
            (place, (head["uid"].clone(), head["ownerReferences"][0]["uid"].clone()))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_orphaned_on_purpose_stays_and_is_taken_over_by_a_fund_cluster_of_that_name() {
    for behind in [false, true] {
        let world = World::new(1, Wire::default(), 1);
        Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
        world.settle().await;
        let owned = children(&world);
        assert!(owned.len() > 10 && owned.values().all(|(_, owner)| owner.is_string()), "{owned:#?}");
        let route = || world.user.get::<GatewayRoute>(FUNDS, "desk").unwrap().spec.generation;
        let first = route();

        if behind {
            world.simulator.plan(Behind);
        }
        let orphan = json!({"propagationPolicy": "Orphan"});
        world.user.delete_with::<FundCluster>(FUNDS, "desk", &orphan).unwrap();
        world.settle().await;
        world.simulator.plan_nothing();
        assert!(world.user.get::<FundCluster>(FUNDS, "desk").is_none());
        let left = children(&world);
        let orphans: BTreeMap<_, _> =
            owned.iter().map(|(place, (uid, _))| (place.clone(), (uid.clone(), Value::Null))).collect();
        assert_eq!(left, orphans, "behind: {behind}");

        Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
        world.settle().await;
        let cluster = world.user.get::<FundCluster>(FUNDS, "desk").unwrap();
        let owner = json!(cluster.metadata.uid);
        let taken: BTreeMap<_, _> =
            owned.iter().map(|(place, (uid, _))| (place.clone(), (uid.clone(), owner.clone()))).collect();
        assert_eq!(children(&world), taken, "behind: {behind}");
        let ready =
            cluster.status.unwrap().conditions.into_iter().find(|said| said.type_ == "Ready").unwrap();
        assert_eq!(ready.reason, "AllReady", "{}", ready.message);
        assert!(route() > first, "gateways see that it is another one");

        Deed::Delete("desk").be_done(&world.user);
        world.settle().await;
        assert!(children(&world).is_empty());
    }
}
