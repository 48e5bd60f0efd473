//! What becomes of accepted tasks where the store forgets them.

use fundbond_store::{Emitted, RETENTION, Restored, Standing};

use super::queue::{bury, claim, claim_one, emit_by, hold, names, nothing};
use crate::scene::{Loss, Scene, cluster, submission, task};

pub(crate) async fn a_store_that_lost_everything_learns_what_waits_and_what_runs(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    for name in ["runs", "waits"] {
        scene.submit(name, "c").await;
    }
    let attempt = claim_one(scene, &pod).await.attempt;
    scene.fixture.restart(Loss::Everything).await;
    scene.heartbeat(&pod).await;
    scene.heartbeat(&other).await;
    assert_eq!(hold(scene, &pod, &[("runs", attempt)]).await.1, ["runs"]);
    let restore = |name: &'static str, standing| {
        let submission = submission(name, "c");
        async move { scene.store.restore(&submission, &standing).await.unwrap() }
    };
    let running = Standing::Running(pod.clone(), attempt);
    assert_eq!(restore("runs", running.clone()).await, Restored::Claimed);
    assert_eq!(restore("waits", Standing::Waiting).await, Restored::Waiting);
    assert_eq!(names(&claim(scene, &other, 5).await), ["waits"]);
    assert_eq!(restore("waits", Standing::Waiting).await, Restored::Claimed);
    assert_eq!(emit_by(scene, "runs", "end", attempt).await, Emitted::Logged);
    assert_eq!(restore("runs", running).await, Restored::Ended);
    assert_eq!(restore("runs", Standing::Waiting).await, Restored::Ended);
}

pub(crate) async fn restoring_changes_nothing_where_nothing_was_lost(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    let restore =
        |standing| async move { scene.store.restore(&submission("t", "c"), &standing).await.unwrap() };
    assert_eq!(restore(Standing::Waiting).await, Restored::Waiting);
    let earlier = claim_one(scene, &pod).await.attempt;
    assert_eq!(restore(Standing::Waiting).await, Restored::Claimed);
    bury(scene, &pod, &[&other]).await;
    let later = claim_one(scene, &other).await.attempt;
    let again = scene.pod("a~2").await;
    assert_eq!(restore(Standing::Running(again, earlier)).await, Restored::Lost);
    assert_eq!(hold(scene, &other, &[("t", later)]).await, nothing());
}

pub(crate) async fn a_run_comes_back_before_its_pod_is_well(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    let attempt = claim_one(scene, &pod).await.attempt;
    scene.fixture.restart(Loss::Everything).await;
    let standing = Standing::Running(pod.clone(), attempt);
    assert_eq!(scene.store.restore(&submission("t", "c"), &standing).await.unwrap(), Restored::Waiting);
    assert_eq!(emit_by(scene, "t", "0", attempt).await, Emitted::Logged);
    scene.heartbeat(&pod).await;
    assert_eq!(hold(scene, &pod, &[("t", attempt)]).await, nothing());
    assert_eq!(scene.store.backlog(&cluster("k")).await.unwrap().waiting, 0);
}

pub(crate) async fn a_run_that_was_rolled_back_is_still_the_latest(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    scene.fixture.back_up().await;
    let attempt = claim_one(scene, &pod).await.attempt;
    scene.fixture.restart(Loss::SinceBackup).await;
    scene.heartbeat(&pod).await;
    assert_eq!(hold(scene, &pod, &[("t", attempt)]).await, nothing());
    scene.heartbeat(&other).await;
    assert!(claim(scene, &other, 1).await.is_empty());
}

pub(crate) async fn a_task_whose_end_is_told_first_is_known_again(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    scene.emit("t", "end", "c").await;
    scene.fixture.restart(Loss::Everything).await;
    scene.heartbeat(&pod).await;
    scene.emit("t", "end", "c").await;
    assert_eq!(scene.store.task(&task("t")).await.unwrap(), None, "nobody said that it was accepted");
    let restored = scene.store.restore(&submission("t", "c"), &Standing::Waiting).await.unwrap();
    assert_eq!(restored, Restored::Ended);
    assert!(scene.store.task(&task("t")).await.unwrap().unwrap().is_final);
    assert!(claim(scene, &pod, 1).await.is_empty());
    scene.fixture.advance(RETENTION).await;
    assert_eq!(scene.store.task(&task("t")).await.unwrap(), None);
}
