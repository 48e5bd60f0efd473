//! What clusters say of themselves reaches their FundClusters, where it is news.

use std::time::Duration;

use fundbond_crds::FundCluster;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    scripts::{Deed, spec},
    wire::Wire,
    world::{FUNDS, World},
};

/// Streams, backlog, leader, as the FundCluster was told.
type Told = (Option<i64>, Option<i64>, Option<String>);

fn told(world: &World) -> Told {
    let status = world.user.get::<FundCluster>(FUNDS, "desk").unwrap().status.unwrap_or_default();
    (status.streams, status.backlog, status.leader)
}

fn numbers(streams: i64, backlog: i64, leader: &str) -> Told {
    (Some(streams), Some(backlog), Some(leader.to_owned()))
}

async fn a_desk() -> World {
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_tenth_is_told_once_and_less_is_not() {
    let world = a_desk().await;
    assert_eq!(told(&world), numbers(42, 3, "pod-a"), "what the living pods hold");
    for (says, then, writes) in [
        ((22, 3, "pod-a"), numbers(42, 3, "pod-a"), 0),
        ((24, 3, "pod-a"), numbers(48, 3, "pod-a"), 1),
        ((25, 4, "pod-a"), numbers(50, 4, "pod-a"), 1),
        ((25, 4, "pod-b"), numbers(50, 4, "pod-b"), 1),
        ((0, 0, "pod-b"), numbers(0, 0, "pod-b"), 1),
    ] {
        let before = world.writes();
        world.clusters.say(Some(says));
        sleep(Duration::from_mins(3)).await;
        assert_eq!((told(&world), world.writes() - before), (then, writes), "{says:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_twice_in_half_a_minute_or_before_anything_serves() {
    let world = World::new(1, Wire::default(), 1);
    for name in ["desk", "other", "third"] {
        let more = json!({"route": {"value": name}});
        Deed::Create(name, spec(&more)).be_done(&world.user);
    }
    sleep(Duration::from_mins(10)).await;
    let mut asked = world.clusters.asked();
    asked.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    for pair in asked.windows(2).filter(|pair| pair[0].1 == pair[1].1) {
        let between = pair[1].0 - pair[0].0;
        // The lease was won once, so there is one beginning.
        assert!((30..=31).contains(&between.as_secs()), "{} again after {between:?}", pair[0].1);
    }
    assert!(asked.len() >= 3 * 18, "{} questions in ten minutes", asked.len());
    let ready = world.simulator.trace().iter().position(|entry| entry.resource == "deployments").unwrap();
    assert!(ready > 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_cluster_says_no_more_is_taken_back() {
    let world = a_desk().await;
    world.clusters.say(None);
    let began = Instant::now();
    let writes = world.writes();
    while told(&world).0.is_some() {
        assert!(began.elapsed() < Duration::from_mins(3), "old numbers stay");
        // sleep-ok: the clock is paused.
        sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() > Duration::from_mins(1), "one lost answer is no news: {:?}", began.elapsed());
    sleep(Duration::from_mins(5)).await;
    assert_eq!((told(&world), world.writes() - writes), ((None, None, None), 1));
    world.clusters.say(Some((1, 0, "pod-b")));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(told(&world), numbers(2, 0, "pod-b"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_pods_is_not_asked() {
    let world = a_desk().await;
    Deed::Edit("desk", json!({"pods": {"replicas": 0}})).be_done(&world.user);
    world.settle().await;
    let asked = world.clusters.asked().len();
    sleep(Duration::from_mins(5)).await;
    assert_eq!(world.clusters.asked().len(), asked);
    assert_eq!(told(&world), (None, None, None));
}
