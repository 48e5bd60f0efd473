//! Leases whose words cross.

use std::{sync::Arc, time::Duration};

use fundbond_lease::{Action, Expected, LeaseStore, Stored, Timing, Token, Version, View, Written, decide};
use fundbond_protocol::keys;
use fundbond_store::{Ordered, Swept};

use super::Race;
use crate::scene::{connection, holder};

const NAME: &str = "k-housekeeper";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn version(written: Written) -> Version {
    match written {
        Written::Done(version) => version,
        Written::Conflict => panic!("nothing stood in the way"),
    }
}

async fn expected(lease: &Arc<dyn LeaseStore>) -> Expected {
    lease.read().await.unwrap().map_or(Expected::Absent, |stored| Expected::Version(stored.version))
}

/// A candidate that leads since its time zero, over a lease that was given back before.
async fn leader(lease: &Arc<dyn LeaseStore>, name: &str) -> (View, Version) {
    lease.write(None, expected(lease).await).await.unwrap();
    let mut view = View::new(name, Timing::USUAL);
    view.sent(Action::Look, at(0));
    view.looked(lease.read().await.unwrap(), at(0));
    let Action::Claim(expected) = decide(&view, at(0)) else { panic!("it is free") };
    view.sent(Action::Claim(expected), at(0));
    let written = lease.write(Some(name), expected).await.unwrap();
    view.claimed(expected, written, at(0), at(0));
    assert!(view.leads(at(0)).is_some());
    (view, version(written))
}

#[tokio::test]
async fn r13_a_lease_that_is_deleted_in_the_middle_of_a_sweep_ends_the_sweep_or_its_successor_does() {
    let race = Race::new().await;
    let lease = race.store.lease(NAME);
    let (mut first, mine) = leader(&lease, "first").await;
    let (token, _) = first.leads(at(1)).unwrap();
    let sweeper = Race::leader(token.0);
    let (dead, _) = race.buried(&sweeper, "a~1", &["c1", "c2", "c3"]).await;
    race.sweep(&sweeper, &dead, 1).await;
    race.server.command::<u32>(&["DEL", &keys::lease(NAME)]).await.unwrap();
    // Another one writes it anew, and leads only once the first has noticed or lapsed.
    let mut second = View::new("second", Timing::USUAL);
    second.sent(Action::Look, at(2));
    second.looked(lease.read().await.unwrap(), at(2));
    assert_eq!(decide(&second, at(2)), Action::Claim(Expected::Absent));
    let written = lease.write(Some("second"), Expected::Absent).await.unwrap();
    second.claimed(Expected::Absent, written, at(2), at(2));
    assert_eq!(second.leads(at(11)), None);
    assert!(version(written) > mine);
    first.sent(Action::Claim(Expected::Version(mine)), at(2));
    let renewal = lease.write(Some("first"), Expected::Version(mine)).await.unwrap();
    assert_eq!(renewal, Written::Conflict);
    first.looked(lease.read().await.unwrap(), at(3));
    assert_eq!(first.leads(at(3)), None);
    let after = Race::leader(version(written).0);
    assert!(matches!(race.sweep(&after, &dead, 1).await, Ordered::Done(Swept::Some { .. })));
    assert_eq!(race.sweep(&sweeper, &dead, 1).await, Ordered::Late);
}

#[tokio::test]
async fn r14_a_renewal_whose_reply_was_lost_is_found_and_the_leadership_goes_on() {
    let race = Race::new().await;
    let lease = race.store.lease(NAME);
    let (mut view, mine) = leader(&lease, "first").await;
    let token = view.leads(at(1)).unwrap().0;
    view.sent(Action::Claim(Expected::Version(mine)), at(2));
    let lost = version(lease.write(Some("first"), Expected::Version(mine)).await.unwrap());
    // Nobody told it. It does not guess: by what it knew it would be refused.
    assert_eq!(lease.write(Some("first"), Expected::Version(mine)).await.unwrap(), Written::Conflict);
    assert_eq!(decide(&view, at(5)), Action::Look);
    view.sent(Action::Look, at(5));
    view.looked(lease.read().await.unwrap(), at(5));
    assert_eq!(decide(&view, at(7)), Action::Claim(Expected::Version(lost)));
    view.sent(Action::Claim(Expected::Version(lost)), at(7));
    let written = lease.write(Some("first"), Expected::Version(lost)).await.unwrap();
    view.claimed(Expected::Version(lost), written, at(7), at(7));
    assert_eq!(view.leads(at(8)), Some((token, at(17))), "it never stopped");
}

#[tokio::test]
async fn r15_a_renewal_that_arrives_after_the_lease_was_given_back_takes_it_from_nobody() {
    let race = Race::new().await;
    let lease = race.store.lease(NAME);
    let (_, mine) = leader(&lease, "first").await;
    // The renewal is on its way; the process ends and gives back what it knows of.
    let released = version(lease.write(None, Expected::Version(mine)).await.unwrap());
    let taken = version(lease.write(Some("second"), Expected::Version(released)).await.unwrap());
    let renewal = lease.write(Some("first"), Expected::Version(mine)).await.unwrap();
    assert_eq!(renewal, Written::Conflict);
    let stored = Stored { holder: Some("second".into()), version: taken };
    assert_eq!(lease.read().await.unwrap(), Some(stored));
    // The other way round, it is the giving back that comes too late.
    let renewed = version(lease.write(Some("second"), Expected::Version(taken)).await.unwrap());
    assert_eq!(lease.write(None, Expected::Version(taken)).await.unwrap(), Written::Conflict);
    assert!(renewed > taken);
}

#[tokio::test]
async fn r18_a_clock_that_jumped_ahead_and_back_makes_no_number_fall() {
    let race = Race::new().await;
    // The year 2074 in microseconds: what a clock that was ahead gave away.
    let ahead = 3_300_000_000_000_000_u64;
    let lease = race.store.lease(NAME);
    let (_, mine) = leader(&lease, "first").await;
    assert!(mine.0 < ahead);
    let text = ahead.to_string();
    race.server.command::<u32>(&["HSET", &keys::lease(NAME), "version", &text]).await.unwrap();
    let next = version(lease.write(Some("second"), Expected::Version(Version(ahead))).await.unwrap());
    assert_eq!(next, Version(ahead + 1));
    let living = race.pod("a~1").await;
    race.open(&living, "c", &[]).await;
    race.server.command::<u32>(&["HSET", &keys::meta(&connection("c")), "gen", &text]).await.unwrap();
    let stream = race.open(&living, "c", &[]).await;
    assert_eq!(stream.generation.0, ahead + 1);
    // And a candidate goes by its own clock: what the store's says is no reason to take a lease early or late.
    let mut view = View::new("third", Timing::USUAL);
    view.sent(Action::Look, at(0));
    view.looked(lease.read().await.unwrap(), at(0));
    assert_eq!(decide(&view, at(14)), Action::Look);
    assert_eq!(decide(&view, at(15)), Action::Claim(Expected::Version(next)));
    let (order, dead) = (Race::leader(Token(next.0).0), race.silent("b~1", &["d"]).await.0);
    race.bury(&order, &dead).await;
    assert_eq!(race.sweep(&Race::leader(mine.0), &dead, 9).await, Ordered::Late);
    race.close(&holder("c", &living, &stream)).await;
}
