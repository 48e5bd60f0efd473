//! Kinds that a cluster lacks keep nobody waiting who does not ask for them.

use std::time::Duration;

use fundbond_crds::{FundCluster, GatewayRoute};
use serde_json::json;
use tokio::time::sleep;

use super::{
    scripts::{Deed, spec},
    wire::Wire,
    world::{FUNDS, World},
};

fn ready(world: &World) -> (String, String) {
    let status = world.user.get::<FundCluster>(FUNDS, "desk").unwrap().status.unwrap();
    let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
    (ready.reason, ready.message)
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_kind_that_the_cluster_lacks_is_refused_alone_and_says_who_brings_it() {
    let world = World::new(1, Wire::default(), 1);
    let asks = json!({
        "exposure": {"httpRoute": {"enabled": true, "parentRefs": [{"name": "public"}]}},
        "monitoring": {"serviceMonitor": true},
    });
    Deed::Create("desk", spec(&asks)).be_done(&world.user);
    // sleep-ok: the clock is paused. It is tried again for ever, so it never settles.
    sleep(Duration::from_mins(3)).await;
    let (reason, message) = ready(&world);
    assert_eq!(reason, "Refused");
    for part in
        ["HTTPRoute desk: ", "install the Gateway API", "ServiceMonitor desk: ", "the Prometheus operator"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(world.user.list::<GatewayRoute>(FUNDS, "").unwrap().len(), 1, "all else is there");

    let asks_no_more =
        json!({"exposure": {"httpRoute": {"enabled": false}}, "monitoring": {"serviceMonitor": false}});
    Deed::Edit("desk", asks_no_more).be_done(&world.user);
    world.settle().await;
    assert_eq!(ready(&world).0, "AllReady");
}
