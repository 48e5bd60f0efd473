//! Leases: who writes what, and that numbers only rise.

use fundbond_lease::{
    Expected, Version, Written,
    contract::a_lease_is_written_over_what_was_seen_and_nothing_else as lease_contract,
};
use fundbond_store::RETENTION;

use crate::scene::{Loss, Scene};

fn done(written: Written) -> Version {
    match written {
        Written::Done(version) => version,
        Written::Conflict => panic!("it was expected to be done"),
    }
}

pub(crate) async fn a_lease_is_written_over_what_was_seen_and_nothing_else(scene: &Scene) {
    let [one, other] = ["k-housekeeper"; 2].map(|name| scene.store.lease(name));
    let delete = async || scene.fixture.restart(Loss::Everything).await;
    lease_contract(&*one, &*other, delete).await.unwrap();
    assert_eq!(scene.store.lease("another").read().await.unwrap(), None);
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
