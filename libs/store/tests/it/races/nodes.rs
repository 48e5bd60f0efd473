//! Pods that are silent, and are not, at the wrong moment.

use fundbond_protocol::{LastEventId, keys};
use fundbond_store::{Asserted, Assertion, Buried, Node, Ordered, Reasserted, Registered};

use super::{NOT_BURIED, Race, pod, swept};
use crate::scene::{at, cluster, connection, holder, opened};

#[tokio::test]
async fn r08_a_newborn_holds_nothing_before_it_has_health_and_is_nobody_to_bury_then() {
    let race = Race::new().await;
    let newborn = pod("a~1");
    assert_eq!(race.register(&newborn, "c", LastEventId::Start, &[]).await, Registered::NoHealth);
    assert!(race.store.nodes(&cluster("k")).await.unwrap().nodes.is_empty(), "no leader sees it");
    assert!(race.store.strays(0, 1_000).await.unwrap().strays.is_empty());
    race.heartbeat(&newborn).await;
    let leader = Race::leader(1);
    assert_eq!(race.bury(&leader, &newborn).await, Ordered::Done(vec![Buried::Alive]));
    race.open(&newborn, "c", &[]).await;
    assert_eq!(race.sweep(&leader, &newborn, 9).await, NOT_BURIED);
    assert!(race.holds(&newborn, "c").await);
}

#[tokio::test]
async fn r09_a_pod_that_was_paused_and_swept_goes_on_under_another_name() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let (paused, streams) = race.buried(&leader, "pod-a~1", &["kept", "moved"]).await;
    let other = race.pod("pod-b~1").await;
    race.open(&other, "moved", &[]).await;
    race.sweep(&leader, &paused, 1).await;
    // It wakes between two batches, and whatever it tries under its old name is refused.
    assert_eq!(race.store.heartbeat(&paused, &cluster("k")).await.unwrap(), Node::Buried);
    assert_eq!(race.register(&paused, "x", LastEventId::Start, &[]).await, Registered::Buried);
    assert_eq!(race.store.reassert(&paused, &cluster("k"), &[]).await.unwrap(), Reasserted::Buried);
    let awake = race.pod("pod-a~2").await;
    let again = |index: usize, stream: &str| Assertion {
        connection: connection(stream),
        generation: streams[index].generation,
        position: at(&streams[index].reading.epoch, 0),
        tasks: vec![],
        gained: false,
    };
    let said = race.store.reassert(&awake, &cluster("k"), &[again(0, "kept"), again(1, "moved")]).await;
    let Reasserted::Streams(answers) = said.unwrap() else { panic!("it is well") };
    assert!(matches!(answers[0], Asserted::Held { .. }));
    assert_eq!(answers[1], Asserted::Replaced);
    race.sweep(&leader, &paused, 9).await;
    assert!(race.holds(&awake, "kept").await && race.holds(&other, "moved").await);
}

#[tokio::test]
async fn r10_of_a_tombstone_and_a_heartbeat_one_comes_first_and_counts() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let (mut lived, mut died) = (0, 0);
    for round in 0..40 {
        let name = format!("a~{round}");
        let (silent, _) = race.silent(&name, &[&name]).await;
        let k = cluster("k");
        let (beat, grave) = if round % 2 == 0 {
            let both = tokio::join!(race.store.heartbeat(&silent, &k), race.bury(&leader, &silent));
            (both.0.unwrap(), both.1)
        } else {
            let both = tokio::join!(race.bury(&leader, &silent), race.store.heartbeat(&silent, &k));
            (both.1.unwrap(), both.0)
        };
        match (beat, grave) {
            (Node::Alive, Ordered::Done(dead)) if dead == [Buried::Alive] => {
                lived += 1;
                assert_eq!(race.sweep(&leader, &silent, 9).await, NOT_BURIED);
                assert!(race.holds(&silent, &name).await);
            }
            (Node::Buried, Ordered::Done(dead)) if dead == [Buried::Dead] => {
                died += 1;
                assert_eq!(race.sweep(&leader, &silent, 9).await, swept(1, 0));
            }
            both => panic!("it cannot be both: {both:?}"),
        }
    }
    assert!(lived > 0 && died > 0, "{lived} lived, {died} died");
}

#[tokio::test]
async fn r17_pods_whose_health_is_lost_keep_what_they_hold_until_they_are_buried() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let pods = [race.pod("a~1").await, race.pod("b~1").await, race.pod("c~1").await];
    for (index, pod) in pods.iter().enumerate() {
        race.open(pod, &format!("c{index}"), &[]).await;
        race.server.command::<u32>(&["DEL", &keys::node_health(pod)]).await.unwrap();
    }
    let seen = race.store.nodes(&cluster("k")).await.unwrap().nodes;
    assert!(seen.len() == 3 && seen.iter().all(|node| node.health_age.is_none() && !node.buried));
    for (index, pod) in pods.iter().enumerate() {
        assert_eq!(race.sweep(&leader, pod, 9).await, NOT_BURIED);
        assert!(race.holds(pod, &format!("c{index}")).await);
        assert_eq!(race.register(pod, "new", LastEventId::Start, &[]).await, Registered::NoHealth);
        race.heartbeat(pod).await;
        assert_eq!(race.bury(&leader, pod).await, Ordered::Done(vec![Buried::Alive]));
        let stream = opened(race.register(pod, "new", LastEventId::Start, &[]).await);
        race.close(&holder("new", pod, &stream)).await;
    }
}
