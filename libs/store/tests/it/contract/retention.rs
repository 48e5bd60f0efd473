//! What a store forgets, and when.

use std::time::Duration;

use fundbond_store::{Asserted, Emitted, RETENTION, Submitted, TaskQuery};

use crate::scene::{Scene, at, cluster, connection, entries, holder, short, task};

/// Well within the retention, and three of them beyond it.
const STEP: Duration = Duration::from_hours(10);

pub(crate) async fn everything_is_gone_a_day_after_its_last_refresh(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    let before = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 2, "c").await;
    scene.emit("t", "end", "c").await;
    scene.store.put_rows(&task("t"), vec!["1".into()]).await.unwrap();
    scene.fixture.advance(RETENTION).await;

    assert_eq!(scene.store.task(&task("t")).await.unwrap(), None);
    assert_eq!(scene.store.rows(&task("t"), 0, 1).await.unwrap(), None);
    assert_eq!(scene.store.holder(&connection("c")).await.unwrap(), None);
    let query = TaskQuery { cluster: cluster("k"), connection: None, status: None, limit: 9, cursor: None };
    assert!(scene.store.list(&query).await.unwrap().items.is_empty());
    scene.heartbeat(&pod).await;
    let after = scene.open(&pod, "c", &[]).await;
    assert!(entries(&after.reading).is_empty());
    assert_ne!(after.reading.epoch, before.reading.epoch);
    assert_eq!((after.reading.end, after.reading.open), (0, None));
}

pub(crate) async fn re_assertions_keep_a_stream_and_its_tasks(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 2, "c").await;
    for _ in 0..3 {
        scene.fixture.advance(STEP).await;
        scene.heartbeat(&pod).await;
        let position = at(&stream.reading.epoch, 2);
        let asserted = scene.reassert(&holder("c", &pod, &stream), position, &["t"]).await;
        assert!(matches!(asserted, Asserted::Held { end: 2, .. }));
    }
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!(short(entries(&reading)), ["1 t:0", "2 t:1"]);
    assert_eq!(scene.emit("t", "2", "elsewhere").await, Emitted::Logged);
    assert_eq!(scene.read("c", &at(&stream.reading.epoch, 2)).await.end, 3);
}

pub(crate) async fn events_keep_a_log_and_a_task(scene: &Scene) {
    scene.submit("t", "c").await;
    for step in 0..3 {
        scene.fixture.advance(STEP).await;
        scene.emit("t", &step.to_string(), "c").await;
    }
    assert!(scene.store.task(&task("t")).await.unwrap().is_some());
    let pod = scene.pod("a").await;
    assert_eq!(scene.open(&pod, "c", &[]).await.reading.end, 3);
}

pub(crate) async fn a_task_that_was_forgotten_may_be_accepted_again(scene: &Scene) {
    scene.submit("t", "c").await;
    scene.emit("t", "end", "c").await;
    scene.fixture.advance(RETENTION).await;
    assert!(matches!(scene.submit("t", "c").await, Submitted::New { .. }));
    assert_eq!(scene.emit("t", "end", "c").await, Emitted::Logged);
}
