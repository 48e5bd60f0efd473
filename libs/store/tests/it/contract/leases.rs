//! Leases: who writes what, and that numbers only rise.

use fundbond_lease::{Expected, Stored, Version, Written};
use fundbond_store::RETENTION;

use crate::scene::{Loss, Scene};

fn done(written: Written) -> Version {
    match written {
        Written::Done(version) => version,
        Written::Conflict => panic!("it was expected to be done"),
    }
}

pub(crate) async fn a_lease_is_written_over_what_was_seen_and_nothing_else(scene: &Scene) {
    let lease = scene.store.lease("k-housekeeper");
    assert_eq!(lease.read().await.unwrap(), None);
    assert_eq!(lease.write(Some("a"), Expected::Version(Version(1))).await.unwrap(), Written::Conflict);
    let first = done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    let stored = |holder: Option<&str>, version| Some(Stored { holder: holder.map(Into::into), version });
    assert_eq!(lease.read().await.unwrap(), stored(Some("a"), first));
    assert_eq!(lease.write(Some("b"), Expected::Absent).await.unwrap(), Written::Conflict);
    let second = done(lease.write(Some("a"), Expected::Version(first)).await.unwrap());
    assert!(second > first);
    assert_eq!(lease.write(Some("b"), Expected::Version(first)).await.unwrap(), Written::Conflict);
    let third = done(lease.write(None, Expected::Version(second)).await.unwrap());
    assert_eq!(scene.store.lease("k-housekeeper").read().await.unwrap(), stored(None, third));
    assert_eq!(scene.store.lease("other").read().await.unwrap(), None);
}

pub(crate) async fn a_lease_rises_even_where_it_was_lost_or_rolled_back(scene: &Scene) {
    let lease = scene.store.lease("l");
    let mut last = done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    scene.fixture.back_up().await;
    for loss in [Loss::SinceBackup, Loss::Everything] {
        for _ in 0..3 {
            let now = lease.read().await.unwrap().map_or(Expected::Absent, |s| Expected::Version(s.version));
            let version = done(lease.write(Some("a"), now).await.unwrap());
            assert!(version > last, "{loss:?}");
            last = version;
        }
        scene.fixture.restart(loss).await;
        let now = lease.read().await.unwrap().map_or(Expected::Absent, |s| Expected::Version(s.version));
        let version = done(lease.write(Some("b"), now).await.unwrap());
        assert!(version > last, "{loss:?}");
        last = version;
    }
    scene.fixture.advance(RETENTION).await;
    assert_eq!(lease.read().await.unwrap(), None, "a lease of nobody goes like everything else");
}
