//! Locks: one at a time, and that numbers only rise.

use std::time::Duration;

use fundbond_store::{LOCK_TIME, Lock, Locked};

use crate::scene::{Loss, Scene};

async fn take(scene: &Scene, owner: &str) -> Lock {
    match scene.store.lock("key", owner, LOCK_TIME).await.unwrap() {
        Locked::Taken(lock) => lock,
        Locked::Held => panic!("nobody has it"),
    }
}

async fn held(scene: &Scene, owner: &str) -> bool {
    scene.store.lock("key", owner, LOCK_TIME).await.unwrap() == Locked::Held
}

pub(crate) async fn a_lock_is_had_by_one_and_given_back(scene: &Scene) {
    let lock = take(scene, "a").await;
    assert!(held(scene, "b").await && held(scene, "a").await);
    assert!(matches!(scene.store.lock("other", "b", LOCK_TIME).await.unwrap(), Locked::Taken(_)));
    let forged = [Lock { owner: "b".into(), ..lock.clone() }, Lock { token: lock.token + 1, ..lock.clone() }];
    for forged in forged {
        assert!(!scene.store.unlock(&forged).await.unwrap(), "{forged:?}");
        assert!(!scene.store.extend(&forged, LOCK_TIME).await.unwrap(), "{forged:?}");
    }
    assert!(scene.store.unlock(&lock).await.unwrap());
    assert!(!scene.store.unlock(&lock).await.unwrap());
    assert!(take(scene, "b").await.token > lock.token);
}

pub(crate) async fn a_lock_ends_by_itself_unless_it_is_extended(scene: &Scene) {
    let lock = take(scene, "a").await;
    for _ in 0..3 {
        scene.fixture.advance(LOCK_TIME * 9 / 10).await;
        assert!(held(scene, "b").await);
        assert!(scene.store.extend(&lock, LOCK_TIME).await.unwrap());
    }
    scene.fixture.advance(LOCK_TIME).await;
    assert!(!scene.store.extend(&lock, LOCK_TIME).await.unwrap());
    let next = take(scene, "b").await;
    assert!(next.token > lock.token);
    assert!(!scene.store.unlock(&lock).await.unwrap(), "it is somebody else's");
    assert!(scene.store.extend(&next, Duration::from_secs(1)).await.unwrap());
    scene.fixture.advance(Duration::from_secs(1)).await;
    take(scene, "c").await;
}

pub(crate) async fn a_lock_rises_even_where_it_was_lost_or_rolled_back(scene: &Scene) {
    let mut last = take(scene, "a").await;
    scene.fixture.back_up().await;
    for loss in [Loss::SinceBackup, Loss::SinceBackup, Loss::Everything] {
        scene.store.unlock(&last).await.unwrap();
        let lost = take(scene, "b").await;
        scene.fixture.restart(loss).await;
        scene.fixture.advance(LOCK_TIME).await;
        let lock = take(scene, "c").await;
        assert!(lock.token > lost.token && lost.token > last.token, "{loss:?}");
        last = lock;
    }
}
