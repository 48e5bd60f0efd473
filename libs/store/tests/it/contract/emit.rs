//! What a task says.

use fundbond_protocol::LastEventId;
use fundbond_store::{Emitted, EntryKind, Message};

use crate::scene::{Loss, Scene, at, entries, event, opened, reset, short, states, task, told};

pub(crate) async fn each_event_gets_the_next_offset_and_reaches_the_holder(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    let stream = scene.open(&pod, "c", &["t", "u"]).await;
    scene.emit("t", "0", "c").await;
    scene.emit("u", "0", "c").await;
    scene.emit("t", "end", "c").await;
    let heard = scene.heard(&mut ear).await;
    assert_eq!(told(&heard, "c")[..], ["event 1 t:0", "event 2 u:0", "event 3 t:end"]);
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    let heard: Vec<_> = heard
        .into_iter()
        .filter_map(|message| match message {
            Message::Event { epoch, entry, .. } => Some((epoch, entry)),
            _ => None,
        })
        .collect();
    let logged: Vec<_> = entries(&reading).iter().map(|e| (reading.epoch.clone(), e.clone())).collect();
    assert_eq!(heard, logged, "the message is the entry");
    assert_eq!(logged[0].1.kind, EntryKind::Event);
    assert_eq!(logged[2].1.kind, EntryKind::Final);
    assert_eq!(logged[2].1.json, event("t", "end", "c").json);
}

pub(crate) async fn an_event_is_logged_once_however_often_it_is_emitted(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 3, "c").await;
    for step in ["0", "2", "1"] {
        assert_eq!(scene.emit("t", step, "c").await, Emitted::Duplicate);
    }
    assert_eq!(scene.read("c", &at(&stream.reading.epoch, 0)).await.end, 3);
}

// Tells `no_final_guard`.
pub(crate) async fn nothing_is_logged_after_the_final_event(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 1, "c").await;
    assert_eq!(scene.emit("t", "end", "c").await, Emitted::Logged);
    assert_eq!(scene.emit("t", "end", "c").await, Emitted::Duplicate);
    assert_eq!(scene.emit("t", "1", "c").await, Emitted::AfterFinal);
    let mut other_end = event("t", "cancelled", "c");
    other_end.is_final = true;
    assert_eq!(scene.store.emit(&other_end).await.unwrap(), Emitted::AfterFinal);
    assert_eq!(scene.store.end(&other_end).await.unwrap(), Emitted::AfterFinal);
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!((reading.end, reading.open), (2, Some(0)));
}

pub(crate) async fn an_event_goes_where_its_task_belongs_whatever_it_says_itself(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "0", "elsewhere").await;
    assert_eq!(short(entries(&scene.read("c", &at(&stream.reading.epoch, 0)).await)), ["1 t:0"]);
}

// Tells `no_hint`.
pub(crate) async fn an_event_of_a_forgotten_task_goes_where_it_says(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 2, "c").await;
    scene.fixture.restart(Loss::Everything).await;
    scene.heartbeat(&pod).await;
    let mut ear = scene.listen(&pod).await;
    let stream = scene.open(&pod, "c", &[]).await;
    assert_eq!(scene.emit("t", "2", "c").await, Emitted::Logged);
    assert_eq!(told(&scene.heard(&mut ear).await, "c"), ["attached t", "event 1 t:2"]);
    assert_eq!(scene.emit("t", "3", "elsewhere").await, Emitted::Logged);
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!(short(entries(&reading)), ["1 t:2", "2 t:3"]);
    assert_eq!(reading.open, Some(1));
    let reset_reader = opened(scene.register(&pod, "c", LastEventId::Unknown, &[]).await);
    assert_eq!(states(reset(&reset_reader.reading).1), ["t:3"]);
}

pub(crate) async fn emits_at_the_same_time_share_one_order(scene: &Scene) {
    let pod = scene.pod("a").await;
    let names = ["t", "u", "v"];
    let stream = scene.open(&pod, "c", &names).await;
    let emits: Vec<_> = names
        .iter()
        .flat_map(|name| (0..4).map(move |step| (name, step)))
        .map(|(name, step)| {
            let (store, event) = (scene.store.clone(), event(name, &step.to_string(), "c"));
            tokio::spawn(async move { store.emit(&event).await.unwrap() })
        })
        .collect();
    for emit in emits {
        assert_eq!(emit.await.unwrap(), Emitted::Logged);
    }
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert!(entries(&reading).iter().map(|entry| entry.offset).eq(1..=12));
}

pub(crate) async fn ending_a_task_tells_every_pod(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let (mut one_ear, mut two_ear) = (scene.listen(&one).await, scene.listen(&two).await);
    let stream = scene.open(&one, "c", &["t"]).await;
    assert_eq!(scene.store.end(&event("t", "end", "c")).await.unwrap(), Emitted::Logged);
    let ended = Message::Ended { task: task("t") };
    assert!(scene.heard(&mut one_ear).await.contains(&ended));
    assert!(scene.heard(&mut two_ear).await.contains(&ended));
    let reading = scene.read("c", &at(&stream.reading.epoch, 0)).await;
    assert_eq!((short(entries(&reading)), reading.open), (vec!["1 t:end".to_owned()], Some(0)));
}

pub(crate) async fn ending_a_task_twice_is_told_once(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    scene.open(&pod, "c", &["t"]).await;
    scene.store.end(&event("t", "end", "c")).await.unwrap();
    assert_eq!(scene.store.end(&event("t", "end", "c")).await.unwrap(), Emitted::Duplicate);
    let ended = Message::Ended { task: task("t") };
    assert_eq!(scene.heard(&mut ear).await.iter().filter(|message| **message == ended).count(), 1);
}

pub(crate) async fn ending_a_finished_task_changes_nothing(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    let mut ear = scene.listen(&pod).await;
    let mut cancel = event("t", "cancelled", "c");
    cancel.is_final = true;
    assert_eq!(scene.store.end(&cancel).await.unwrap(), Emitted::AfterFinal);
    assert!(!scene.heard(&mut ear).await.contains(&Message::Ended { task: task("t") }));
}

pub(crate) async fn a_second_subscription_takes_over(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut first = scene.listen(&pod).await;
    let mut second = scene.listen(&pod).await;
    scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "0", "c").await;
    assert_eq!(told(&scene.heard(&mut second).await, "c"), ["event 1 t:0"]);
    assert_eq!(first.subscription.recv_many(&mut Vec::new(), 8).await, 0);
}
