//! Watches that lag, lose, repeat and mix up what happens, and a server that is away.

use std::time::Duration;

use fundbond_api_simulator::{Delivery, Entry, Event, Fault, Plan};
use fundbond_crds::FundCluster;
use k8s_openapi::api::apps::v1::Deployment;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    outcome::Outcome,
    scripts::{Deed, scripts, spec},
    wire::Wire,
    world::{FUNDS, World},
};
use crate::size;

/// Spoils one event in so many.
struct Chance {
    random: StdRng,
    one_in: u32,
}

impl Plan for Chance {
    fn request(&mut self, _: &Entry) -> Option<Fault> {
        None
    }

    fn event(&mut self, _: &Event) -> Delivery {
        if self.random.random_range(0..self.one_in) != 0 {
            return Delivery::Now;
        }
        match self.random.random_range(0..6) {
            0 => Delivery::Never,
            1 => Delivery::Twice,
            2 => Delivery::AfterNext,
            3 => Delivery::Late(Duration::from_millis(self.random.random_range(1..30_000))),
            4 => Delivery::Break,
            _ => Delivery::Expire,
        }
    }
}

/// What got lost is found with the next list, which comes within a quarter of an hour.
const NEXT_LIST: Duration = Duration::from_mins(16);

/// `FUNDBOND_WATCH_PLANS=100` for the long way.
#[tokio::test(start_paused = true)]
async fn whatever_watches_do_it_ends_as_if_they_had_told_everything() {
    let (plans, seed) = (size("FUNDBOND_WATCH_PLANS", 8), size("FUNDBOND_SEED", rand::random::<u64>() >> 1));
    println!("FUNDBOND_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let scripts = scripts();
    for plan in 0..plans {
        let script = &scripts[random.random_range(0..scripts.len())];
        let calm = Outcome::of(script, Wire::default(), 2).await;
        let world = World::new(1, Wire::default(), 2);
        let one_in = random.random_range(2..20);
        world.simulator.plan(Chance { random: StdRng::seed_from_u64(random.random()), one_in });
        for deed in &script.1 {
            deed.be_done(&world.user);
            world.settle().await;
        }
        world.simulator.plan_nothing();
        sleep(NEXT_LIST).await;
        world.settle().await;
        let end = Outcome::now(&world);
        assert_eq!(end.differences(&calm), [""; 0], "plan {plan}, {}, one in {one_in}", script.0);
        let writes = world.writes();
        sleep(NEXT_LIST).await;
        assert_eq!(
            world.writes(),
            writes,
            "plan {plan}, {}: nothing is written where all is as it should be",
            script.0
        );
    }
    println!("{plans} plans");
}

/// Never tells that the Deployment of the proxy is gone.
struct Unsaid;

impl Plan for Unsaid {
    fn request(&mut self, _: &Entry) -> Option<Fault> {
        None
    }

    fn event(&mut self, event: &Event) -> Delivery {
        let is_it = event.word == "DELETED" && event.name == "desk-proxy" && event.resource == "deployments";
        if is_it { Delivery::Never } else { Delivery::Now }
    }
}

/// The operator orders what it takes for a child of the former FundCluster to be deleted, hears that there is none, and may
/// not take that for the end of its work.
#[tokio::test(start_paused = true)]
async fn a_child_that_nobody_said_was_gone_is_made_anew_before_all_is_said_to_be_applied() {
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    world.simulator.plan(Unsaid);
    Deed::Delete("desk").be_done(&world.user);
    // sleep-ok: the clock is paused; orphans are left for longer.
    sleep(Duration::from_secs(2)).await;
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    let proxy = world.user.get::<Deployment>(FUNDS, "desk-proxy").unwrap();
    let owner = world.user.get::<FundCluster>(FUNDS, "desk").unwrap();
    assert_eq!(proxy.metadata.owner_references.unwrap()[0].uid, owner.metadata.uid.unwrap());
    let said: Vec<_> = world.simulator.trace().iter().map(ToString::to_string).collect();
    let after = said.iter().skip_while(|entry| !entry.contains("delete deployments.apps funds/desk-proxy"));
    let next: Vec<_> = after.skip(1).filter(|entry| entry.contains("patch")).collect();
    let made = next.iter().position(|entry| entry.contains("patch deployments.apps funds/desk-proxy"));
    let told = next.iter().position(|entry| entry.contains("patch fundclusters.fundbond.dev/status"));
    assert!(made.unwrap() < told.unwrap(), "{next:#?}");
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_minutes_everything_goes_on_within_ten_seconds() {
    let world = World::new(1, Wire::default(), 2);
    let route = |number: usize| json!({"route": {"value": format!("desk{number}")}});
    let names: [&str; 5] = ["desk0", "desk1", "desk2", "desk3", "desk4"];
    for (number, name) in names.iter().enumerate() {
        Deed::Create(name, spec(&route(number))).be_done(&world.user);
    }
    world.settle().await;
    for minutes in [1, 5, 60] {
        world.simulator.away(true);
        sleep(Duration::from_mins(minutes)).await;
        world.simulator.away(false);
        let back = Instant::now();
        let replicas = i32::try_from(minutes).unwrap() % 7 + 3;
        for name in names {
            Deed::Edit(name, json!({"pods": {"replicas": replicas}})).be_done(&world.user);
        }
        let served = |name: &&str| {
            let pods = world.user.get::<Deployment>(FUNDS, &format!("{name}-pods")).unwrap();
            pods.spec.unwrap().replicas == Some(replicas)
        };
        while !names.iter().all(served) {
            assert!(back.elapsed() < Duration::from_secs(10), "{minutes} minutes");
            sleep(Duration::from_millis(50)).await;
        }
        println!("{minutes} minutes away: served again after {:.1} s", back.elapsed().as_secs_f64());
        world.settle().await;
        let ready = world.user.get::<FundCluster>(FUNDS, "desk0").unwrap().status.unwrap();
        assert_eq!(ready.pods.ready, replicas);
    }
}
