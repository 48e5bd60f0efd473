//! Leaders that are paused, doubled and forgotten.

use fundbond_store::{Asserted, Buried, Forgotten, Ordered};

use super::{NOT_BURIED, Race, swept};
use crate::scene::{Loss, at, cluster, holder};

#[tokio::test]
async fn r05_a_leader_that_slept_before_it_deletes_spares_who_spoke_meanwhile() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let (silent, _) = race.silent("a~1", &["c"]).await;
    let seen = race.store.nodes(&cluster("k")).await.unwrap().nodes;
    assert_eq!(seen[0].health_age, None, "this is what it will go by");
    race.heartbeat(&silent).await;
    assert_eq!(race.bury(&leader, &silent).await, Ordered::Done(vec![Buried::Alive]));
    assert_eq!(race.sweep(&leader, &silent, 9).await, NOT_BURIED);
    assert!(race.holds(&silent, "c").await);
}

#[tokio::test]
async fn r06_between_two_batches_streams_are_taken_up_and_leaders_change() {
    let race = Race::new().await;
    let (first, second) = (Race::leader(1), Race::leader(2));
    let (dead, _) = race.buried(&first, "a~1", &["c1", "c2", "c3", "c4"]).await;
    assert_eq!(race.sweep(&first, &dead, 1).await, swept(1, 3));
    let living = race.pod("b~1").await;
    for stream in ["c1", "c2", "c3", "c4"] {
        if race.holder_of(stream).await.is_some() {
            race.open(&living, stream, &[]).await;
            break;
        }
    }
    assert_eq!(race.store.bury_nodes(&second.0, &[]).await.unwrap(), Ordered::Done(vec![]));
    assert_eq!(race.sweep(&first, &dead, 9).await, Ordered::Late);
    assert_eq!(race.sweep(&second, &dead, 9).await, swept(2, 0));
    let mut held = 0;
    for stream in ["c1", "c2", "c3", "c4"] {
        held += usize::from(race.holds(&living, stream).await);
    }
    assert_eq!(held, 1);
    assert_eq!(race.store.forget(&second.0, &dead).await.unwrap(), Ordered::Done(Forgotten::Done));
}

#[tokio::test]
async fn r07_of_two_leaders_the_older_has_nothing_to_say_once_the_newer_spoke() {
    let race = Race::new().await;
    let (older, newer) = (Race::leader(7), Race::leader(8));
    let (dead, _) = race.buried(&older, "a~1", &["c1", "c2"]).await;
    let (silent, _) = race.silent("b~1", &["c3"]).await;
    assert_eq!(race.bury(&newer, &dead).await, Ordered::Done(vec![Buried::Dead]));
    assert_eq!(race.bury(&older, &silent).await, Ordered::Late);
    assert_eq!(race.sweep(&older, &dead, 9).await, Ordered::Late);
    race.heartbeat(&silent).await;
    assert!(race.holds(&silent, "c3").await && race.holds(&dead, "c1").await);
    assert_eq!(race.sweep(&newer, &dead, 9).await, swept(2, 0));
}

#[tokio::test]
async fn r12_a_failover_that_rolls_back_a_tombstone_spares_who_went_on() {
    let race = Race::new().await;
    let leader = Race::leader(5);
    let (paused, streams) = race.silent("pod-a~1", &["c"]).await;
    race.fixture.back_up().await;
    race.bury(&leader, &paused).await;
    race.sweep(&leader, &paused, 9).await;
    let awake = race.pod("pod-a~2").await;
    let said = holder("c", &awake, &streams[0]);
    let position = at(&streams[0].reading.epoch, 0);
    assert!(matches!(race.reassert(&said, position.clone(), &[]).await, Asserted::Held { .. }));
    race.fixture.restart(Loss::SinceBackup).await;
    assert!(race.holds(&paused, "c").await, "as it was before");
    assert_eq!(race.sweep(&leader, &paused, 9).await, NOT_BURIED);
    race.heartbeat(&awake).await;
    assert!(matches!(race.reassert(&said, position, &[]).await, Asserted::Held { .. }));
    assert!(race.holds(&awake, "c").await);
    race.bury(&leader, &paused).await;
    assert_eq!(race.sweep(&leader, &paused, 9).await, swept(0, 0));
    assert!(race.holds(&awake, "c").await);
}

#[tokio::test]
async fn r12_a_failover_that_rolls_back_a_fence_gives_an_old_leader_no_living_pod() {
    let race = Race::new().await;
    let (older, newer) = (Race::leader(1), Race::leader(2));
    let (paused, streams) = race.buried(&older, "pod-a~1", &["c"]).await;
    race.fixture.back_up().await;
    race.store.bury_nodes(&newer.0, &[]).await.unwrap();
    let awake = race.pod("pod-a~2").await;
    let said = holder("c", &awake, &streams[0]);
    let position = at(&streams[0].reading.epoch, 0);
    race.reassert(&said, position.clone(), &[]).await;
    race.fixture.restart(Loss::SinceBackup).await;
    // The fence is gone with the re-assertion: the older leader is heard again, and deletes what says the dead name.
    assert_eq!(race.sweep(&older, &paused, 9).await, swept(1, 0));
    race.heartbeat(&awake).await;
    assert_eq!(race.sweep(&older, &awake, 9).await, NOT_BURIED);
    assert_eq!(race.bury(&older, &awake).await, Ordered::Done(vec![Buried::Alive]));
    // The process that goes on takes its stream up again: no sweep raised its generation.
    assert!(matches!(race.reassert(&said, position, &[]).await, Asserted::Held { .. }));
    assert!(race.holds(&awake, "c").await);
}

#[tokio::test]
async fn r19_a_server_that_forgot_its_scripts_in_the_middle_of_a_sweep_learns_them_again() {
    let race = Race::new().await;
    let leader = Race::leader(1);
    let (dead, _) = race.buried(&leader, "a~1", &["c1", "c2", "c3"]).await;
    assert_eq!(race.sweep(&leader, &dead, 1).await, swept(1, 2));
    race.server.command::<()>(&["SCRIPT", "FLUSH"]).await.unwrap();
    assert_eq!(race.sweep(&leader, &dead, 1).await, swept(1, 1));
    race.fixture.restart(Loss::Nothing).await;
    assert_eq!(race.sweep(&leader, &dead, 1).await, swept(1, 0));
    assert_eq!(race.store.forget(&leader.0, &dead).await.unwrap(), Ordered::Done(Forgotten::Done));
}
