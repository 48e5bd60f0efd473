//! Opening a stream.

use std::time::Duration;

use fundbond_protocol::LastEventId;
use fundbond_store::{Closed, Holder, Message, Opened, Registered};
use tokio::time::Instant;

use crate::scene::{Scene, at, connection, entries, opened, short, task, tasks, told};

fn at_start(stream: &Opened) -> LastEventId {
    LastEventId::At(at(&stream.reading.epoch, 0))
}

pub(crate) async fn a_new_stream_begins_at_offset_zero_and_is_held(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &[]).await;
    assert!(entries(&stream.reading).is_empty());
    assert_eq!((stream.reading.end, stream.reading.open, &stream.tasks[..]), (0, None, &[][..]));
    let holder = scene.store.holder(&connection("c")).await.unwrap();
    assert_eq!(holder, Some((pod, crate::scene::cluster("k"))));
    assert_eq!(scene.holder_of("other").await, None);
}

pub(crate) async fn what_was_logged_before_the_stream_opened_is_replayed(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    scene.run("t", 3, "c").await;
    let stream = scene.open(&pod, "c", &["t", "later"]).await;
    assert_eq!(short(entries(&stream.reading)), ["1 t:0", "2 t:1", "3 t:2"]);
    assert_eq!((stream.reading.end, stream.reading.open), (3, Some(2)));
    assert_eq!(stream.tasks, [(tasks(&["later"])[0].clone(), false), (tasks(&["t"])[0].clone(), false)]);
}

pub(crate) async fn a_known_position_brings_exactly_what_follows(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    scene.run("t", 4, "c").await;
    for (offset, want) in [(0, &["1 t:0", "2 t:1", "3 t:2", "4 t:3"][..]), (3, &["4 t:3"]), (4, &[])] {
        let stream = scene.resume(&pod, "c", at(&epoch, offset), &["t"]).await;
        assert_eq!(short(entries(&stream.reading)), want);
        assert_eq!(stream.reading.epoch, epoch);
    }
}

pub(crate) async fn a_takeover_tells_the_old_pod_and_has_the_greater_generation(scene: &Scene) {
    let (old, new) = (scene.pod("a").await, scene.pod("b").await);
    let (mut old_ear, mut new_ear) = (scene.listen(&old).await, scene.listen(&new).await);
    let first = scene.open(&old, "c", &["t"]).await;
    let second = scene.resume(&new, "c", at(&first.reading.epoch, 0), &["t"]).await;
    assert!(second.generation > first.generation);
    assert_eq!(scene.holder_of("c").await, Some(new));
    let lost = Message::Lost { connection: connection("c"), generation: second.generation };
    assert!(scene.heard(&mut old_ear).await.contains(&lost));

    scene.emit("t", "0", "c").await;
    assert!(told(&scene.heard(&mut old_ear).await, "c").is_empty());
    assert_eq!(told(&scene.heard(&mut new_ear).await, "c"), ["event 1 t:0"]);
}

// Tells `register_unasked`: the page that is open would be told that another one replaced it, and there is none.
pub(crate) async fn a_request_that_a_newer_one_overtook_takes_nothing(scene: &Scene) {
    let (slow, quick) = (scene.pod("a").await, scene.pod("b").await);
    let mut ear = scene.listen(&quick).await;
    // By more than the clocks of server and pod are known to each other.
    let asked = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    let open = scene.open(&quick, "c", &["t"]).await;
    let held = scene.store.holder(&connection("c")).await.unwrap();
    for last in [LastEventId::Start, at_start(&open), LastEventId::Unknown] {
        let late = scene.register_asked(asked, &slow, "c", last, &["t", "u"]).await;
        assert_eq!(late, Registered::Late);
    }
    assert_eq!(scene.store.holder(&connection("c")).await.unwrap(), held);
    let lost = |message: &&Message| matches!(message, Message::Lost { connection, .. } if connection.as_str() == "c");
    assert_eq!(scene.heard(&mut ear).await.iter().find(lost), None);
    assert_eq!(scene.store.task(&task("u")).await.unwrap(), None, "no task of its own is attached");
    // Whoever asks now is newer than both.
    assert!(scene.open(&slow, "c", &[]).await.generation > open.generation);
}

// Else a request that was under way would open what its client has left since.
pub(crate) async fn a_request_that_comes_after_its_stream_ended_takes_nothing(scene: &Scene) {
    let pod = scene.pod("a").await;
    let asked = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    let open = scene.open(&pod, "c", &[]).await;
    let holder = Holder { connection: connection("c"), pod: pod.clone(), generation: open.generation };
    assert_eq!(scene.close(&holder).await, Closed::Deleted);
    assert_eq!(scene.register_asked(asked, &pod, "c", LastEventId::Start, &[]).await, Registered::Late);
    assert_eq!(scene.holder_of("c").await, None);
}

pub(crate) async fn a_client_that_comes_back_to_the_same_pod_takes_over_from_itself(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    let first = scene.open(&pod, "c", &[]).await;
    let second = scene.open(&pod, "c", &[]).await;
    assert!(second.generation > first.generation);
    let lost = Message::Lost { connection: connection("c"), generation: second.generation };
    assert!(scene.heard(&mut ear).await.contains(&lost), "the pod ends the older stream by this");
}

// Tells `move_on_resume`: two pages that reconnect would steal the task from each other for ever.
pub(crate) async fn a_resume_takes_no_task_from_another_connection(scene: &Scene) {
    let pod = scene.pod("a").await;
    let first = scene.open(&pod, "c1", &["t"]).await;
    scene.open(&pod, "c2", &["t"]).await;
    let again = scene.resume(&pod, "c1", at(&first.reading.epoch, 0), &["t"]).await;
    assert!(again.tasks.is_empty());
    scene.emit("t", "0", "c1").await;
    let second = scene.open(&pod, "c2", &[]).await;
    assert_eq!(short(entries(&second.reading)), ["1 t:0"]);
}

pub(crate) async fn a_resume_attaches_a_task_that_nobody_has(scene: &Scene) {
    let pod = scene.pod("a").await;
    let first = scene.open(&pod, "c", &[]).await;
    let again = scene.resume(&pod, "c", at(&first.reading.epoch, 0), &["t"]).await;
    assert_eq!((again.reading.open, again.tasks), (Some(1), vec![(crate::scene::task("t"), false)]));
}

pub(crate) async fn a_reader_at_the_end_of_finished_tasks_is_done(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    let stream = scene.open(&pod, "c", &["t", "u"]).await;
    scene.emit("t", "end", "c").await;
    let here = |offset| LastEventId::At(at(&stream.reading.epoch, offset));
    let open = opened(scene.register(&pod, "c", here(1), &[]).await);
    assert_eq!(open.reading.open, Some(1));
    scene.emit("u", "end", "c").await;
    for names in [&[][..], &["t", "u"]] {
        assert_eq!(scene.register(&other, "c", here(2), names).await, Registered::Done);
    }
    assert_eq!(scene.holder_of("c").await, Some(pod), "there was nothing to take over");
}

pub(crate) async fn a_finished_stream_is_read_again_from_the_start(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let again = scene.open(&pod, "c", &["t"]).await;
    assert_eq!(short(entries(&again.reading)), ["1 t:end"]);
    assert_eq!(again.reading.open, Some(0));
}

pub(crate) async fn a_finished_stream_with_something_left_replays_it(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 1, "c").await;
    scene.emit("t", "end", "c").await;
    let again = scene.resume(&pod, "c", at(&stream.reading.epoch, 1), &[]).await;
    assert_eq!(short(entries(&again.reading)), ["2 t:end"]);
}

pub(crate) async fn a_stream_that_never_had_a_task_is_never_done(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &[]).await;
    let again = scene.resume(&pod, "c", at(&stream.reading.epoch, 0), &[]).await;
    assert_eq!(again.reading.open, None);
}

pub(crate) async fn a_generation_rises_even_where_data_was_lost(scene: &Scene) {
    let pod = scene.pod("a").await;
    let first = scene.open(&pod, "c", &[]).await;
    scene.fixture.restart(crate::scene::Loss::Everything).await;
    scene.heartbeat(&pod).await;
    let second = scene.open(&pod, "c", &[]).await;
    assert!(second.generation > first.generation);
}
