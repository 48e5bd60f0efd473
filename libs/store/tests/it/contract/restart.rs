//! A store that restarts: nobody can know what was lost, so every history ends.

use std::collections::HashSet;

use fundbond_store::Message;

use crate::scene::{Loss, Scene, at, entries, reset, short, states, told};

// Tells `no_run_epoch` and `same_run`.
pub(crate) async fn a_restart_ends_every_history_and_keeps_the_offset(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t", "u"]).await;
    scene.run("t", 2, "c").await;
    scene.emit("u", "end", "c").await;
    scene.fixture.restart(Loss::Nothing).await;
    let again = scene.resume(&pod, "c", at(&stream.reading.epoch, 3), &[]).await;
    assert_ne!(again.reading.epoch, stream.reading.epoch);
    assert!(again.generation > stream.generation);
    let (position, snapshot) = reset(&again.reading);
    assert_eq!((position, states(snapshot)), (3, vec!["t:1".to_owned(), "u:end!".to_owned()]));
    assert_eq!(again.reading.open, Some(1));
}

// Tells `epoch_counter`: a counter that is rolled back with the data names two histories alike.
pub(crate) async fn an_epoch_never_comes_back_however_often_data_is_lost(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut epochs = HashSet::new();
    epochs.insert(scene.open(&pod, "c", &["t"]).await.reading.epoch);
    scene.fixture.back_up().await;
    for loss in [Loss::SinceBackup, Loss::SinceBackup, Loss::Nothing, Loss::Everything, Loss::Everything] {
        scene.fixture.restart(loss).await;
        scene.heartbeat(&pod).await;
        let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
        assert!(epochs.insert(epoch), "after {loss:?}");
    }
}

pub(crate) async fn a_reader_from_the_start_is_told_that_the_start_is_gone(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 2, "c").await;
    scene.fixture.restart(Loss::Nothing).await;
    let again = scene.open(&pod, "c", &["t"]).await;
    assert_eq!(states(reset(&again.reading).1), ["t:1"]);
}

pub(crate) async fn a_task_whose_history_ended_comes_with_its_state(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.run("t", 2, "c1").await;
    scene.fixture.restart(Loss::Nothing).await;
    let stream = scene.open(&pod, "c2", &["t"]).await;
    assert_eq!(states(reset(&stream.reading).1), ["t:1"]);
}

pub(crate) async fn events_after_a_restart_are_read_on(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 2, "c").await;
    scene.fixture.restart(Loss::Nothing).await;
    scene.emit("t", "2", "c").await;
    scene.emit("t", "end", "c").await;
    let known = scene.read("c", &at(&stream.reading.epoch, 2)).await;
    assert_eq!((reset(&known).0, known.open), (4, Some(0)));
    let fresh = scene.open(&pod, "c", &[]).await;
    let (position, snapshot) = reset(&fresh.reading);
    assert_eq!((position, snapshot), (2, &[][..]), "the task's latest event is among what follows");
    let rest = scene.read("c", &at(&fresh.reading.epoch, position)).await;
    assert_eq!(short(entries(&rest)), ["3 t:2", "4 t:end"]);
}

// Tells `no_resub_catch`: a pod that is not told of the gap cannot know of it.
pub(crate) async fn every_pod_hears_of_a_gap(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let (mut one_ear, mut two_ear) = (scene.listen(&one).await, scene.listen(&two).await);
    scene.fixture.restart(Loss::Nothing).await;
    one_ear.until(|message| *message == Message::Gap).await;
    two_ear.until(|message| *message == Message::Gap).await;
}

// Tells `no_resub_catch` as well.
pub(crate) async fn a_cut_subscription_is_told_and_loses_no_event(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.fixture.cut(&pod).await;
    scene.emit("t", "0", "c").await;
    ear.until(|message| *message == Message::Gap).await;
    assert_eq!(short(entries(&scene.read("c", &at(&stream.reading.epoch, 0)).await)), ["1 t:0"]);
    scene.emit("t", "1", "c").await;
    assert_eq!(told(&scene.heard(&mut ear).await, "c").last().unwrap(), "event 2 t:1");
}
