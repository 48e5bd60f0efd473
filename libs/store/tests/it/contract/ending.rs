//! How a stream ends, and what must not end it.

use fundbond_store::{Asserted, Closed, Finished, Submitted};

use crate::scene::{Loss, Scene, at, connection, holder};

pub(crate) async fn a_stream_ends_when_nothing_is_open_and_everything_is_read(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let end = at(&stream.reading.epoch, 1);
    assert_eq!(scene.finish(&holder("c", &pod, &stream), &end).await, Finished::Closed);
    assert_eq!(scene.holder_of("c").await, None);
}

pub(crate) async fn a_stream_with_something_open_or_unread_goes_on(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t", "u"]).await;
    let me = holder("c", &pod, &stream);
    let epoch = &stream.reading.epoch;
    scene.emit("t", "end", "c").await;
    assert_eq!(scene.finish(&me, &at(epoch, 1)).await, Finished::More, "u is open");
    scene.emit("u", "end", "c").await;
    assert_eq!(scene.finish(&me, &at(epoch, 1)).await, Finished::More, "the end of u is unread");
    assert_eq!(scene.finish(&me, &"1.2".parse().unwrap()).await, Finished::More, "another history");
    assert_eq!(scene.holder_of("c").await, Some(pod));
    assert_eq!(scene.finish(&me, &at(epoch, 2)).await, Finished::Closed);
}

// Tells `close_local` and `no_told`: the pod may not have heard of the first, nor the client of the end. Whichever
// comes first, somebody knows: the stream goes on, or the answer says that it is closed.
pub(crate) async fn a_task_comes_before_the_end_of_its_stream_or_is_told_that_it_came_after(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    let me = holder("c", &pod, &stream);
    let end = |offset| at(&stream.reading.epoch, offset);
    scene.emit("t", "end", "c").await;
    let accepted = |stream_open| Submitted::New { connection: connection("c"), stream_open };
    assert_eq!(scene.submit("before", "c").await, accepted(true));
    assert_eq!(scene.finish(&me, &end(1)).await, Finished::More);
    scene.emit("before", "end", "c").await;
    assert_eq!(scene.finish(&me, &end(2)).await, Finished::Closed);
    assert_eq!(scene.submit("after", "c").await, accepted(false));
    let again = scene.resume(&pod, "c", end(2), &[]).await;
    assert_eq!(again.reading.open, Some(1), "and its client is not sent away");
}

pub(crate) async fn a_stream_that_never_had_a_task_does_not_end(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &[]).await;
    let start = at(&stream.reading.epoch, 0);
    assert_eq!(scene.finish(&holder("c", &pod, &stream), &start).await, Finished::More);
}

pub(crate) async fn a_stream_that_somebody_took_does_not_end_here(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let first = scene.open(&one, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    scene.open(&two, "c", &[]).await;
    let end = at(&first.reading.epoch, 1);
    assert_eq!(scene.finish(&holder("c", &one, &first), &end).await, Finished::Replaced);
    assert_eq!(scene.holder_of("c").await, Some(two));
}

// The answer to the first question may be lost. A client that is told `REPLACED` instead stays away for good, and
// believes that somebody else reads its stream.
pub(crate) async fn an_end_that_is_asked_for_again_is_the_same_end(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let first = scene.open(&one, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let (me, end) = (holder("c", &one, &first), at(&first.reading.epoch, 1));
    assert_eq!(scene.finish(&me, &end).await, Finished::Closed);
    assert_eq!(scene.finish(&me, &end).await, Finished::Closed, "asked again");
    scene.open(&two, "c", &[]).await;
    assert_eq!(scene.finish(&me, &end).await, Finished::Replaced, "somebody came after it");
    assert_eq!(scene.holder_of("c").await, Some(two));
}

pub(crate) async fn a_stream_whose_pod_took_a_new_id_leaves_nothing_behind(scene: &Scene) {
    let old = scene.pod("a~one").await;
    let stream = scene.open(&old, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let renewed = scene.pod("a~two").await;
    let end = at(&stream.reading.epoch, 1);
    assert_eq!(scene.finish(&holder("c", &renewed, &stream), &end).await, Finished::Closed);
    assert_eq!(scene.holder_of("c").await, None, "the generation is the proof, and the old id is dead");
}

// Tells `finish_strict`: the client of a lost registration must not be sent away for good.
pub(crate) async fn a_finish_that_the_store_cannot_judge_is_lost_and_not_replaced(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.fixture.back_up().await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let (me, end) = (holder("c", &pod, &stream), at(&stream.reading.epoch, 1));
    scene.fixture.restart(Loss::SinceBackup).await;
    assert_eq!(scene.finish(&me, &end).await, Finished::Lost, "the generation was rolled back");
    scene.fixture.restart(Loss::Everything).await;
    assert_eq!(scene.finish(&me, &end).await, Finished::Lost, "nothing is known");
}

pub(crate) async fn a_stream_from_another_life_of_the_store_does_not_end_yet(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    scene.fixture.restart(Loss::Nothing).await;
    let end = at(&stream.reading.epoch, 1);
    assert_eq!(scene.finish(&holder("c", &pod, &stream), &end).await, Finished::More);
}

// Tells `reassert_revives`: a re-assertion may be under way while its stream ends.
pub(crate) async fn a_finished_stream_cannot_be_revived(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let (me, end) = (holder("c", &pod, &stream), at(&stream.reading.epoch, 1));
    assert_eq!(scene.finish(&me, &end).await, Finished::Closed);
    assert_eq!(scene.reassert(&me, end, &["t"]).await, Asserted::Replaced);
    assert_eq!(scene.holder_of("c").await, None);
}

// Tells `reassert_revives` as well.
pub(crate) async fn a_closed_stream_cannot_be_revived(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    let me = holder("c", &pod, &stream);
    assert_eq!(scene.close(&me).await, Closed::Deleted);
    let start = at(&stream.reading.epoch, 0);
    assert_eq!(scene.reassert(&me, start, &["t"]).await, Asserted::Replaced);
    assert_eq!(scene.holder_of("c").await, None);
}

// Tells `close_nogen`.
pub(crate) async fn a_late_close_leaves_the_newer_registration_of_the_same_pod(scene: &Scene) {
    let pod = scene.pod("a").await;
    let first = scene.open(&pod, "c", &[]).await;
    let second = scene.open(&pod, "c", &[]).await;
    assert_eq!(scene.close(&holder("c", &pod, &first)).await, Closed::Kept);
    assert_eq!(scene.holder_of("c").await, Some(pod.clone()));
    assert_eq!(scene.close(&holder("c", &pod, &second)).await, Closed::Deleted);
    assert_eq!(scene.holder_of("c").await, None);
}

pub(crate) async fn a_late_close_leaves_the_registration_of_another_pod(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let first = scene.open(&one, "c", &[]).await;
    let second = scene.open(&two, "c", &[]).await;
    assert_eq!(scene.close(&holder("c", &one, &first)).await, Closed::Kept);
    let borrowed = holder("c", &one, &second);
    assert_eq!(scene.close(&borrowed).await, Closed::Kept, "the generation alone proves nothing");
    assert_eq!(scene.holder_of("c").await, Some(two));
}

pub(crate) async fn a_stream_is_closed_once(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &[]).await;
    let me = holder("c", &pod, &stream);
    assert_eq!(scene.close(&me).await, Closed::Deleted);
    assert_eq!(scene.close(&me).await, Closed::Kept);
    assert_eq!(scene.close(&holder("unknown", &pod, &stream)).await, Closed::Kept);
}

pub(crate) async fn a_close_after_a_roll_back_leaves_room_for_the_newer_holder(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let first = scene.open(&one, "c", &[]).await;
    scene.fixture.back_up().await;
    let second = scene.open(&two, "c", &[]).await;
    scene.fixture.restart(Loss::SinceBackup).await;
    assert_eq!(scene.close(&holder("c", &one, &first)).await, Closed::Deleted);
    let start = at(&second.reading.epoch, 0);
    let asserted = scene.reassert(&holder("c", &two, &second), start, &[]).await;
    assert!(matches!(asserted, Asserted::Held { .. }));
    assert_eq!(scene.holder_of("c").await, Some(two));
}
