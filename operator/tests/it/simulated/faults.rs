//! Requests that are refused, lost, late or never answered, wherever chance puts them, with two operators.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::time::sleep;

use super::{
    outcome::Outcome,
    scripts::{Deed, groups, scripts, spec},
    wire::{Fate, Wire},
    world::{FUNDS, World},
};
use crate::size;

fn fate(random: &mut StdRng) -> Fate {
    match random.random_range(0..10) {
        0 => Fate::DiesBefore,
        1 => Fate::DiesAfter,
        2 => Fate::Refused(409),
        3 => Fate::Refused(429),
        4 => Fate::Refused(500),
        5 => Fate::Refused(503),
        6 => Fate::Lost,
        7 => Fate::Unanswered,
        8 => Fate::Late(Duration::from_millis(random.random_range(1..20_000))),
        _ => Fate::Hangs,
    }
}

/// `FUNDBOND_FAULT_PLANS=400` for the long way; `FUNDBOND_SEED` for one that was printed.
#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_it_ends_as_if_nothing_had() {
    let (plans, seed) = (size("FUNDBOND_FAULT_PLANS", 24), size("FUNDBOND_SEED", rand::random::<u64>() >> 1));
    println!("FUNDBOND_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let scripts = scripts();
    let mut calms = Vec::new();
    for script in &scripts {
        calms.push(Outcome::of(script, Wire::default(), 2).await);
    }
    let (mut writes, mut calm_writes) = (0, 0);
    for plan in 0..plans {
        let number = random.random_range(0..scripts.len());
        let calm = &calms[number];
        let count = random.random_range(1..=6);
        let fates: Vec<_> =
            (0..count).map(|_| (random.random_range(0..calm.requests), fate(&mut random))).collect();
        let end = Outcome::of(&scripts[number], Wire::with(fates.clone()), 2).await;
        assert_eq!(end.differences(calm), [""; 0], "plan {plan}, {}: {fates:?}", scripts[number].0);
        writes += end.writes;
        calm_writes += calm.writes;
    }
    println!("{plans} plans: {writes} writes, and {calm_writes} in calm");
}

/// Nobody hears of it, so the operator goes on, and the order is still under way.
#[tokio::test(start_paused = true)]
async fn a_delete_that_comes_late_does_not_hit_what_is_wanted_again() {
    let groups = |replicas| json!({"routing": groups(replicas)});
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&groups(2))).be_done(&world.user);
    world.settle().await;
    let uid = |world: &World| {
        let pods = world.user.get::<Deployment>(FUNDS, "desk-pods-b");
        pods.and_then(|pods| pods.metadata.uid)
    };
    let before = uid(&world);
    assert!(before.is_some());
    world.wire.next(Method::DELETE, "/deployments/desk-pods-b", Fate::Late(Duration::from_secs(20)));
    let one = json!({"routing": {"strategy": "RoundRobin", "shardGroups": null}});
    Deed::Edit("desk", one).be_done(&world.user);
    sleep(Duration::from_secs(2)).await;
    Deed::Edit("desk", groups(5)).be_done(&world.user);
    world.settle().await;
    assert_eq!(world.wire.unmet(), 0);
    assert_eq!(uid(&world), before, "its pods were never gone");
}
