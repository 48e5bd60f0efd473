//! What publishers say that are not ours.

use fundbond_protocol::{ForeignEvent, LastEventId};
use fundbond_store::{
    Assertion, Emitted, EntryKind, Foreign, Generation, Message, Opened, Outcome, RETENTION, Reasserted,
    Taken,
};
use jiff::Timestamp;

use crate::scene::{Loss, Scene, at, cluster, connection, entries, opened, short, states, task, told};

/// The event as the pod that holds `stream` would take it.
fn taken(message: &str, stream: &str, generation: Generation) -> Foreign {
    let event = ForeignEvent::parse(message.as_bytes(), "nonce", Timestamp::UNIX_EPOCH).unwrap();
    Foreign::of(&event, &connection(stream), generation)
}

async fn take(scene: &Scene, message: &str, stream: &str, held: &Opened) -> Taken {
    scene.store.foreign(&taken(message, stream, held.generation)).await.unwrap()
}

fn foreign(of: &str, id: &str) -> String {
    format!(r#"{{"correlationId":"{of}","status":"TEST","eventId":"{id}"}}"#)
}

pub(crate) async fn every_pod_hears_what_somebody_else_publishes(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let mut ears = [scene.listen(&one).await, scene.listen(&two).await];
    scene.fixture.publish(r#"{"correlationId":"c","status":"TEST"}"#).await;
    scene.fixture.publish("hello").await;
    for ear in &mut ears {
        let heard = ear.until(|message| matches!(message, Message::Unusable(_))).await;
        let [Message::Foreign(event), Message::Unusable(why)] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!((event.task.as_str(), event.status.as_str(), event.named), ("c", "TEST", false));
        assert_eq!(why.reason(), "not-json");
    }
}

pub(crate) async fn a_foreign_event_of_a_task_is_logged_like_any_other(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 1, "c").await;
    assert_eq!(take(scene, &foreign("t", "f"), "c", &stream).await, Taken::Logged);
    scene.emit("t", "1", "c").await;
    assert_eq!(told(&scene.heard(&mut ear).await, "c")[..], ["event 1 t:0", "event 2 f", "event 3 t:1"]);
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!(short(entries(&reading))[..], ["1 t:0", "2 f", "3 t:1"]);
    // It goes with its task, and counts as one of its events.
    let moved = scene.open(&pod, "d", &["t"]).await;
    assert_eq!(short(entries(&moved.reading))[..], ["1 t:0", "2 f", "3 t:1"]);
}

pub(crate) async fn a_foreign_event_is_its_tasks_latest_in_a_reset(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 1, "c").await;
    assert_eq!(take(scene, &foreign("t", "f"), "c", &stream).await, Taken::Logged);
    let gone = opened(scene.register(&pod, "c", LastEventId::Unknown, &[]).await);
    let Outcome::Reset { snapshot, .. } = &gone.reading.outcome else { panic!("{gone:?}") };
    assert_eq!(states(snapshot)[..], ["f"]);
}

pub(crate) async fn a_foreign_final_ends_its_task(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    let last = r#"{"correlationId":"t","status":"COMPLETED","finalEvent":true}"#;
    assert_eq!(take(scene, last, "c", &stream).await, Taken::Logged);
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!((reading.end, reading.open), (1, Some(0)));
    assert_eq!(entries(&reading)[0].kind, EntryKind::Final);
    assert_eq!(scene.emit("t", "end", "c").await, Emitted::AfterFinal);
    assert_eq!(take(scene, last, "c", &stream).await, Taken::AfterFinal);
}

pub(crate) async fn a_task_of_which_somebody_else_spoke_first_is_forgotten_like_any_other(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    let first = r#"{"correlationId":"t","status":"TEST"}"#;
    assert_eq!(take(scene, first, "c", &stream).await, Taken::Logged);
    scene.run("t", 1, "c").await;
    scene.fixture.advance(RETENTION).await;
    assert_eq!(scene.emit("t", "0", "c").await, Emitted::Logged, "its events are not remembered for ever");
}

pub(crate) async fn a_foreign_event_of_no_task_is_about_the_connection(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    let last = r#"{"correlationId":"c","status":"DONE","finalEvent":true}"#;
    for _ in 0..2 {
        assert_eq!(take(scene, last, "c", &stream).await, Taken::Logged);
    }
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!(entries(&reading).iter().map(|e| e.kind).collect::<Vec<_>>(), [EntryKind::Note; 2]);
    assert_eq!(reading.open, Some(1), "it is no task");
    // A task that takes this name later begins at its beginning, and its move takes no note along.
    scene.submit("c", "c").await;
    scene.run("c", 1, "c").await;
    let reading = scene.read("c", &at(&stream.reading.epoch, 2)).await;
    assert_eq!(short(entries(&reading))[..], ["3 c:0"]);
    let moved = scene.open(&pod, "d", &["c"]).await;
    assert_eq!(short(entries(&moved.reading))[..], ["1 c:0"]);
}

// Tells `foreign_local`.
pub(crate) async fn a_foreign_event_for_a_generation_that_is_gone_is_refused(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let before = scene.open(&one, "c", &["t"]).await;
    let after = scene.open(&two, "c", &[]).await;
    for of in ["c", "t"] {
        // Both pods heard it, each at a time when it held the stream for all it knew.
        let message = format!(r#"{{"correlationId":"{of}","status":"TEST"}}"#);
        assert_eq!(take(scene, &message, "c", &before).await, Taken::NotHeld);
        assert_eq!(take(scene, &message, "c", &after).await, Taken::Logged);
    }
    assert_eq!(scene.read("c", &at(&after.reading.epoch, 0)).await.end, 2);
}

pub(crate) async fn a_foreign_event_is_refused_where_its_task_does_not_belong(scene: &Scene) {
    let pod = scene.pod("a").await;
    let c = scene.open(&pod, "c", &["t"]).await;
    let d = scene.open(&pod, "d", &[]).await;
    assert_eq!(take(scene, &foreign("t", "f"), "d", &d).await, Taken::NotHeld);
    assert_eq!(take(scene, &foreign("nobody", "f"), "d", &d).await, Taken::NotHeld);
    // A task named like a connection is not its log.
    let e = scene.open(&pod, "e", &["d"]).await;
    assert_eq!(take(scene, &foreign("d", "f"), "d", &d).await, Taken::NotHeld);
    assert_eq!(take(scene, &foreign("d", "f"), "e", &e).await, Taken::Logged);
    assert_eq!(take(scene, &foreign("t", "f"), "c", &c).await, Taken::Logged);
}

pub(crate) async fn a_foreign_event_with_an_id_is_logged_once(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    for of in ["t", "c"] {
        assert_eq!(take(scene, &foreign(of, "t:0"), "c", &stream).await, Taken::Logged);
        assert_eq!(take(scene, &foreign(of, "t:0"), "c", &stream).await, Taken::Duplicate);
    }
    // Nobody else's ids use up those of the task itself.
    assert_eq!(scene.emit("t", "0", "c").await, Emitted::Logged);
}

pub(crate) async fn a_store_that_forgot_the_stream_takes_nothing_foreign(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.fixture.restart(Loss::Everything).await;
    scene.heartbeat(&pod).await;
    assert_eq!(take(scene, &foreign("t", "f"), "c", &stream).await, Taken::NotHeld);
    let holder = crate::scene::holder("c", &pod, &stream);
    scene.reassert(&holder, at(&stream.reading.epoch, 0), &["t"]).await;
    assert_eq!(take(scene, &foreign("t", "f"), "c", &stream).await, Taken::Logged);
    assert_eq!(scene.emit("t", "0", "c").await, Emitted::Logged);
}

pub(crate) async fn a_pod_that_did_not_hear_that_it_has_a_stream_is_told_again(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    let mut ear = scene.listen(&pod).await;
    for gained in [true, false] {
        let assertion = Assertion {
            connection: connection("c"),
            generation: stream.generation,
            position: at(&stream.reading.epoch, 0),
            tasks: vec![task("t")],
            gained,
        };
        let answer = scene.store.reassert(&pod, &cluster("k"), &[assertion]).await.unwrap();
        assert!(matches!(answer, Reasserted::Streams(_)), "{answer:?}");
        let heard = scene.heard(&mut ear).await;
        let told = heard.iter().any(|message| {
            matches!(message, Message::Gained { connection: c, generation }
                if *c == connection("c") && *generation == stream.generation)
        });
        assert_eq!(told, !gained);
    }
}
