//! Streams that are taken, left and refreshed at the wrong moment.

use fundbond_protocol::{LastEventId, keys};
use fundbond_store::{Asserted, Closed, Ordered, Registered, StraySwept};

use super::{Race, pod, swept};
use crate::scene::{at, connection, holder};

#[tokio::test]
async fn r01_a_restart_under_the_same_pod_name_keeps_what_it_took_up() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let (dead, _) = race.silent("pod-a-1~old", &["taken-up", "left"]).await;
    let restarted = race.pod("pod-a-1~new").await;
    race.open(&restarted, "taken-up", &[]).await;
    race.bury(&leader, &dead).await;
    assert_eq!(race.sweep(&leader, &dead, 9).await, swept(1, 0));
    assert!(race.holds(&restarted, "taken-up").await);
    assert_eq!(race.holder_of("left").await, None);
    race.heartbeat(&restarted).await;
}

#[tokio::test]
async fn r02_a_close_that_comes_after_the_client_went_elsewhere_leaves_it_there() {
    let race = Race::new().await;
    let (first, second) = (race.pod("a").await, race.pod("b").await);
    let left = race.open(&first, "c", &[]).await;
    race.open(&second, "c", &[]).await;
    assert_eq!(race.close(&holder("c", &first, &left)).await, Closed::Kept);
    assert!(race.holds(&second, "c").await);
}

#[tokio::test]
async fn r03_a_close_of_the_stream_before_leaves_the_next_one_of_the_same_pod() {
    let race = Race::new().await;
    let only = race.pod("a").await;
    let before = race.open(&only, "c", &[]).await;
    let next = race.open(&only, "c", &[]).await;
    assert_eq!(race.close(&holder("c", &only, &before)).await, Closed::Kept);
    assert!(race.holds(&only, "c").await);
    assert_eq!(race.close(&holder("c", &only, &next)).await, Closed::Deleted);
}

#[tokio::test]
async fn r04_a_refresh_by_the_old_owner_neither_takes_nor_keeps_the_stream() {
    let race = Race::new().await;
    let (old, new) = (race.pod("a").await, race.pod("b").await);
    let before = race.open(&old, "c", &[]).await;
    race.open(&new, "c", &[]).await;
    let key = keys::registration(&connection("c"));
    race.server.command::<u32>(&["PEXPIRE", &key, "5000"]).await.unwrap();
    let position = at(&before.reading.epoch, 0);
    assert_eq!(race.reassert(&holder("c", &old, &before), position, &[]).await, Asserted::Replaced);
    assert!(race.holds(&new, "c").await);
    let left: u64 = race.server.command(&["PTTL", &key]).await.unwrap();
    assert!(left <= 5_000, "what is not its own it does not refresh: {left} ms");
}

#[tokio::test]
async fn r11_a_registration_that_lapsed_and_was_made_anew_is_not_its_old_owners() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let (dead, _) = race.silent("a~1", &["c"]).await;
    // It expires alone, so that the dead pod's list still has the stream.
    race.server.command::<u32>(&["DEL", &keys::registration(&connection("c"))]).await.unwrap();
    let living = race.pod("b~1").await;
    race.open(&living, "c", &[]).await;
    race.bury(&leader, &dead).await;
    assert_eq!(race.sweep(&leader, &dead, 9).await, swept(0, 0));
    assert!(race.holds(&living, "c").await);
}

#[tokio::test]
async fn r16_a_scan_that_repeats_or_misses_does_no_harm() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    race.fixture.plant("ghost", "pod-1", "cluster-1").await;
    race.fixture.plant("spectre", "pod-1", "cluster-1").await;
    let mut found = race.store.strays(0, 1_000).await.unwrap().strays;
    found.sort();
    let twice = [found.clone(), found.clone()].concat();
    // Between the scan and the order somebody takes one of them.
    let living = race.pod("a~1").await;
    race.open(&living, "ghost", &[]).await;
    let deleted = race.store.sweep_strays(&leader.0, &twice).await.unwrap();
    assert_eq!(deleted, Ordered::Done(StraySwept::Deleted(1)));
    assert!(race.holds(&living, "ghost").await);
    // What was missed is found by the next one.
    race.fixture.plant("late", "pod-1", "cluster-1").await;
    let next = race.store.strays(0, 1_000).await.unwrap().strays;
    assert_eq!(next.len(), 1, "{next:?}");
    let deleted = race.store.sweep_strays(&leader.0, &next).await.unwrap();
    assert_eq!(deleted, Ordered::Done(StraySwept::Deleted(1)));
    assert_eq!(race.register(&pod("pod-1"), "ghost", LastEventId::Start, &[]).await, Registered::Buried);
}
