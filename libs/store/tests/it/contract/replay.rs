//! Reading a log from wherever a reader stands.

use fundbond_protocol::{LastEventId, Position};
use fundbond_store::ReadLimit;

use crate::scene::{LOG_FLOOR, Scene, at, connection, entries, opened, reset, short, states};

pub(crate) async fn a_page_ends_at_its_number_of_entries(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    scene.run("t", 7, "c").await;
    let limit = ReadLimit { entries: 3, bytes: usize::MAX };
    let mut sizes = Vec::new();
    let mut offset = 0;
    loop {
        let page = scene.store.catch_up(&connection("c"), &at(&epoch, offset), limit).await.unwrap();
        assert_eq!(page.end, 7);
        let read = entries(&page);
        assert!(read.iter().map(|entry| entry.offset).eq(offset + 1..=offset + read.len() as u64));
        sizes.push(read.len());
        offset += read.len() as u64;
        if offset == page.end {
            break;
        }
    }
    assert_eq!(sizes, [3, 3, 1]);
}

pub(crate) async fn a_page_ends_at_its_bytes_but_holds_one_entry(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    scene.run("t", 5, "c").await;
    let all = scene.read("c", &at(&epoch, 0)).await;
    let size = entries(&all)[0].json.len();
    for (bytes, want) in [(1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2)] {
        let limit = ReadLimit { entries: 10, bytes };
        let page = scene.store.catch_up(&connection("c"), &at(&epoch, 0), limit).await.unwrap();
        assert_eq!(entries(&page).len(), want, "{bytes} bytes");
    }
}

pub(crate) async fn a_log_keeps_its_floor(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    scene.run("t", LOG_FLOOR + 1, "c").await;
    assert_eq!(entries(&scene.read("c", &at(&epoch, 1)).await).len(), LOG_FLOOR);
    reset(&scene.read("c", &at(&epoch, 0)).await);
}

pub(crate) async fn a_log_keeps_eight_events_a_task_where_that_is_more(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t", "u", "v"]).await.reading.epoch;
    scene.run("t", 24, "c").await;
    assert_eq!(entries(&scene.read("c", &at(&epoch, 0)).await).len(), 24);
    scene.emit("u", "0", "c").await;
    reset(&scene.read("c", &at(&epoch, 0)).await);
}

// Tells `fresh_trim_silent`.
pub(crate) async fn a_reader_from_a_start_that_is_gone_begins_at_the_oldest_kept_entry(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["early"]).await;
    scene.emit("early", "end", "c").await;
    scene.emit("t", "0", "c").await;
    // Two tasks keep 16 events: the newest 16 of 24.
    for step in 1..23 {
        scene.emit("t", &step.to_string(), "c").await;
    }
    let stream = scene.open(&pod, "c", &["silent"]).await;
    let (position, snapshot) = reset(&stream.reading);
    assert_eq!((position, stream.reading.end), (8, 24));
    assert_eq!(states(snapshot), ["early:end!", "silent:-"], "what comes later is told by its events");
    let rest = scene.read("c", &at(&stream.reading.epoch, position)).await;
    assert_eq!((entries(&rest).len(), rest.end), (16, 24));
}

// Tells `reset_nosnap`.
pub(crate) async fn an_evicted_position_is_reset_with_the_state_of_every_task(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t", "u", "v"]).await.reading.epoch;
    scene.emit("u", "end", "c").await;
    scene.run("t", 24, "c").await;
    let after = LastEventId::At(at(&epoch, 0));
    let stream = opened(scene.register(&pod, "c", after, &[]).await);
    let (position, snapshot) = reset(&stream.reading);
    assert_eq!((position, stream.reading.end, stream.reading.open), (25, 25, Some(2)));
    assert_eq!(states(snapshot), ["t:23", "u:end!", "v:-"]);
    assert_eq!(stream.reading.epoch, epoch, "the history goes on");
    let live = scene.read("c", &at(&epoch, 0)).await;
    assert_eq!(live.outcome, stream.reading.outcome);
}

pub(crate) async fn an_unknown_position_is_reset_in_the_same_history(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    scene.run("t", 2, "c").await;
    let stream = opened(scene.register(&pod, "c", LastEventId::Unknown, &[]).await);
    let (position, snapshot) = reset(&stream.reading);
    assert_eq!((position, states(snapshot)), (2, vec!["t:1".to_owned()]));
    assert_eq!(stream.reading.epoch, epoch);
}

pub(crate) async fn a_position_of_another_history_is_reset(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let elsewhere: Position = "1.1".parse().unwrap();
    let stream = opened(scene.register(&pod, "c", LastEventId::At(elsewhere.clone()), &[]).await);
    let (position, snapshot) = reset(&stream.reading);
    assert_eq!((position, states(snapshot)), (1, vec!["t:end!".to_owned()]));
    reset(&scene.read("c", &elsewhere).await);
}

// Tells `future_keeps`: were the history kept, its offsets would be given to other events now.
pub(crate) async fn a_position_from_the_future_ends_the_history(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    for (step, ahead) in [("0", 2), ("1", u64::MAX)] {
        scene.emit("t", step, "c").await;
        let stream = opened(scene.register(&pod, "c", LastEventId::At(at(&epoch, ahead)), &[]).await);
        assert_ne!(stream.reading.epoch, epoch);
        let (position, snapshot) = reset(&stream.reading);
        assert_eq!(position, stream.reading.end);
        assert_eq!(states(snapshot), [format!("t:{step}")]);
        epoch = stream.reading.epoch.clone();
        // The new history goes on like any other.
        let after = format!("after-{step}");
        assert_eq!(scene.emit("t", &after, "c").await, fundbond_store::Emitted::Logged);
        let next = scene.read("c", &at(&epoch, position)).await;
        assert_eq!(short(entries(&next)), [format!("{} t:{after}", position + 1)]);
    }
}

pub(crate) async fn a_live_reader_ahead_of_its_log_ends_the_history(scene: &Scene) {
    let pod = scene.pod("a").await;
    let epoch = scene.open(&pod, "c", &["t"]).await.reading.epoch;
    let reading = scene.read("c", &at(&epoch, 1)).await;
    assert_ne!(reading.epoch, epoch);
    assert_eq!(reset(&reading).0, reading.end);
}

pub(crate) async fn a_connection_nobody_knew_has_one_history(scene: &Scene) {
    let elsewhere: Position = "1.1".parse().unwrap();
    let first = scene.read("c", &elsewhere).await;
    assert_eq!((reset(&first), first.open), ((0, &[][..]), None));
    let second = scene.read("c", &at(&first.epoch, 0)).await;
    assert!(entries(&second).is_empty());
    assert_eq!(second.epoch, first.epoch);
}
