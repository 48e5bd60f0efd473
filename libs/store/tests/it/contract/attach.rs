//! Which connection a task belongs to, and what comes with it.

use fundbond_protocol::{LastEventId, Status, TaskEvent};
use fundbond_store::{Emitted, EntryKind};

use crate::scene::{LOG_FLOOR, Scene, at, entries, opened, reset, short, states, told};

pub(crate) async fn a_task_brings_its_events_to_the_stream_that_asks_for_it(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c1").await;
    scene.submit("u", "c1").await;
    scene.run("t", 2, "c1").await;
    scene.run("u", 1, "c1").await;
    scene.run("own", 1, "c2").await;
    let stream = scene.open(&pod, "c2", &["t"]).await;
    assert_eq!(short(entries(&stream.reading)), ["1 own:0", "2 t:0", "3 t:1"]);
    assert_eq!(stream.reading.open, Some(2));
    assert_eq!(scene.emit("t", "1", "c1").await, Emitted::Duplicate, "its event ids come along");
    scene.emit("t", "2", "c1").await;
    let next = scene.read("c2", &at(&stream.reading.epoch, 3)).await;
    assert_eq!(short(entries(&next)), ["4 t:2"]);
}

pub(crate) async fn the_old_connection_is_told_who_has_the_task_now(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let mut ear = scene.listen(&one).await;
    let old = scene.open(&one, "c1", &["t"]).await;
    scene.run("t", 1, "c1").await;
    scene.open(&two, "c2", &["t"]).await;

    let reading = scene.read("c1", &at(&old.reading.epoch, 1)).await;
    let [moved] = entries(&reading) else { panic!("{reading:?}") };
    assert_eq!((moved.offset, moved.kind, &moved.status), (2, EntryKind::Moved, &Status::REPLACED));
    let event: TaskEvent = serde_json::from_str(&moved.json).unwrap();
    assert_eq!((event.status, event.final_event), (Status::REPLACED, false));
    assert_eq!((event.correlation_id, event.event_id), (moved.task.clone(), moved.event_id.clone()));
    assert!(event.message.contains("c2"), "{}", event.message);
    let heard = told(&scene.heard(&mut ear).await, "c1");
    assert_eq!(heard.last(), Some(&format!("event 2 {}", moved.event_id)));
}

pub(crate) async fn a_task_that_moved_away_is_neither_open_nor_listed(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c1", &["t", "u"]).await;
    scene.run("t", 1, "c1").await;
    scene.open(&pod, "c2", &["t"]).await;
    let old = opened(scene.register(&pod, "c1", LastEventId::Unknown, &[]).await);
    assert_eq!(old.reading.open, Some(1));
    assert_eq!(states(reset(&old.reading).1), ["u:-"]);
    assert_eq!(old.tasks.len(), 1);
}

pub(crate) async fn a_moved_task_says_nothing_more_to_its_old_connection(scene: &Scene) {
    let pod = scene.pod("a").await;
    let old = scene.open(&pod, "c1", &["t"]).await;
    let new = scene.open(&pod, "c2", &["t"]).await;
    let end = scene.read("c1", &at(&old.reading.epoch, 0)).await.end;
    scene.run("t", 2, "c1").await;
    scene.emit("t", "end", "c1").await;
    assert_eq!(scene.read("c1", &at(&old.reading.epoch, 0)).await.end, end);
    let reading = scene.read("c2", &at(&new.reading.epoch, 0)).await;
    assert_eq!(short(entries(&reading)), ["1 t:0", "2 t:1", "3 t:end"]);
}

pub(crate) async fn the_holder_hears_of_the_task_and_then_of_its_events(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let mut ear = scene.listen(&one).await;
    scene.open(&one, "c2", &[]).await;
    scene.run("t", 2, "c1").await;
    scene.open(&two, "c2", &["t"]).await;
    let heard = scene.heard(&mut ear).await;
    assert_eq!(told(&heard, "c2"), ["attached t", "event 1 t:0", "event 2 t:1", "lost"]);
}

// Tells `moveback_dup`: readers of the first connection have seen the task's events once already.
pub(crate) async fn a_task_that_comes_back_ends_the_history(scene: &Scene) {
    let pod = scene.pod("a").await;
    let first = scene.open(&pod, "c1", &["t"]).await;
    scene.run("t", 2, "c1").await;
    scene.open(&pod, "c2", &["t"]).await;
    let back = scene.open(&pod, "c1", &["t"]).await;
    assert_ne!(back.reading.epoch, first.reading.epoch);
    let (position, snapshot) = reset(&back.reading);
    assert_eq!((position, states(snapshot)), (back.reading.end, vec!["t:1".to_owned()]));
    assert!(back.reading.end > 3, "an offset never falls");
    reset(&scene.read("c1", &at(&first.reading.epoch, 2)).await);
    scene.emit("t", "end", "c1").await;
    let rest = scene.read("c1", &at(&back.reading.epoch, position)).await;
    assert_eq!(short(entries(&rest)), [format!("{} t:end", position + 1)]);
}

// Tells `merge_silent`.
pub(crate) async fn a_task_with_more_events_than_are_kept_ends_the_history(scene: &Scene) {
    let pod = scene.pod("a").await;
    let before = scene.open(&pod, "c2", &["u"]).await;
    scene.run("u", 2, "c2").await;
    scene.run("t", LOG_FLOOR + 1, "c1").await;
    let stream = scene.open(&pod, "c2", &["t"]).await;
    assert_ne!(stream.reading.epoch, before.reading.epoch);
    let (position, snapshot) = reset(&stream.reading);
    assert_eq!(position, stream.reading.end);
    assert_eq!(states(snapshot), [format!("t:{LOG_FLOOR}"), "u:1".to_owned()]);
    let live = scene.read("c2", &at(&before.reading.epoch, 2)).await;
    assert_eq!(reset(&live).0, live.end, "a live reader is told as well");
}

pub(crate) async fn a_finished_task_with_a_hole_comes_as_finished(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.run("t", LOG_FLOOR + 1, "c1").await;
    scene.emit("t", "end", "c1").await;
    let stream = scene.open(&pod, "c2", &["t"]).await;
    assert_eq!(stream.reading.open, Some(0));
    assert_eq!(states(reset(&stream.reading).1), ["t:end!"]);
    assert_eq!(stream.tasks, [(crate::scene::task("t"), true)]);
}

pub(crate) async fn a_finished_task_is_copied_and_stays_finished_where_it_was(scene: &Scene) {
    let pod = scene.pod("a").await;
    let old = scene.open(&pod, "c1", &["t"]).await;
    scene.emit("t", "end", "c1").await;
    let new = scene.open(&pod, "c2", &["t"]).await;
    assert_eq!(short(entries(&new.reading)), ["1 t:end"]);
    assert_eq!(new.reading.open, Some(0));
    let reading = scene.read("c1", &at(&old.reading.epoch, 0)).await;
    assert_eq!(short(entries(&reading)), ["1 t:end"], "nothing comes after a final event");
    assert_eq!(reading.open, Some(0));
    let again = opened(scene.register(&pod, "c1", LastEventId::Unknown, &[]).await);
    assert_eq!(states(reset(&again.reading).1), ["t:end!"]);
}

pub(crate) async fn a_task_named_like_a_connection_is_not_its_log(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("x", "c").await;
    scene.run("x", 2, "c").await;
    scene.submit("other", "x").await;
    scene.run("other", 1, "x").await;
    let named_alike = scene.open(&pod, "x", &[]).await;
    assert_eq!(short(entries(&named_alike.reading)), ["1 other:0"]);
    let own = scene.open(&pod, "x", &["x"]).await;
    assert_eq!(short(entries(&own.reading)), ["1 other:0", "2 x:0", "3 x:1"]);
}

pub(crate) async fn asking_again_for_an_attached_task_changes_nothing(scene: &Scene) {
    let pod = scene.pod("a").await;
    let first = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 1, "c").await;
    for _ in 0..2 {
        let again = scene.open(&pod, "c", &["t", "t"]).await;
        assert_eq!(again.reading.epoch, first.reading.epoch);
        assert_eq!((again.reading.end, again.reading.open), (1, Some(1)));
    }
}
