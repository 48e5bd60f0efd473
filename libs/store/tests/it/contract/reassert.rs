//! A pod's word on what it holds, after everything that can happen to a store.

use fundbond_protocol::Epoch;
use fundbond_store::{Asserted, Assertion, Closed, Emitted, Generation, Message, Node, Reasserted};

use crate::scene::{
    Loss, Scene, at, cluster, connection, entries, holder, pod_id, reset, short, states, task, tasks, told,
};

/// Epoch, end and open tasks of a stream that is still held.
fn held(asserted: Asserted) -> (Epoch, u64, Vec<String>) {
    match asserted {
        Asserted::Held { epoch, end, open } => {
            let mut open: Vec<_> = open.iter().map(ToString::to_string).collect();
            open.sort();
            (epoch, end, open)
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_holder_that_has_everything_sees_no_difference(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t", "u"]).await;
    scene.emit("t", "end", "c").await;
    let position = at(&stream.reading.epoch, 1);
    let asserted = scene.reassert(&holder("c", &pod, &stream), position, &["t", "u"]).await;
    assert_eq!(held(asserted), (stream.reading.epoch, 1, vec!["u".to_owned()]));
}

pub(crate) async fn a_holder_that_missed_something_sees_the_difference(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 2, "c").await;
    scene.submit("u", "c").await;
    let start = at(&stream.reading.epoch, 0);
    let asserted = scene.reassert(&holder("c", &pod, &stream), start, &["t"]).await;
    assert_eq!(held(asserted), (stream.reading.epoch, 2, vec!["t".to_owned(), "u".to_owned()]));
}

// Tells `reassert_unfenced`.
pub(crate) async fn an_older_holder_is_replaced_and_changes_nothing(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let first = scene.open(&one, "c", &[]).await;
    scene.open(&two, "c", &[]).await;
    let start = at(&first.reading.epoch, 0);
    let asserted = scene.reassert(&holder("c", &one, &first), start.clone(), &["t"]).await;
    assert_eq!(asserted, Asserted::Replaced);
    assert_eq!(scene.holder_of("c").await, Some(two));
    assert_eq!(scene.read("c", &start).await.open, None, "its tasks are not taken either");
}

// Tells `reassert_notasks`: a silent task would never be open again, and its stream end without it.
pub(crate) async fn a_store_that_lost_everything_learns_streams_and_tasks_again(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t", "u"]).await;
    scene.run("t", 3, "c").await;
    let me = holder("c", &pod, &stream);
    scene.fixture.restart(Loss::Everything).await;
    assert_eq!(scene.holder_of("c").await, None);
    scene.heartbeat(&pod).await;
    let mut ear = scene.listen(&pod).await;
    let (epoch, end, open) = held(scene.reassert(&me, at(&stream.reading.epoch, 3), &["t", "u"]).await);
    assert_ne!(epoch, stream.reading.epoch);
    assert_eq!(open, ["t", "u"]);
    assert_eq!(scene.holder_of("c").await, Some(pod));
    scene.emit("t", "3", "elsewhere").await;
    assert_eq!(told(&scene.heard(&mut ear).await, "c"), [format!("event {} t:3", end + 1)]);
}

// Tells `reassert_final`: what a pod believes of a task is no event that a client has seen.
pub(crate) async fn a_lost_task_comes_back_open_until_its_final_is_emitted_again(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    scene.fixture.restart(Loss::Everything).await;
    scene.heartbeat(&pod).await;
    let me = holder("c", &pod, &stream);
    let (epoch, end, open) = held(scene.reassert(&me, at(&stream.reading.epoch, 1), &["t"]).await);
    assert_eq!(open, ["t"]);
    assert_eq!(scene.emit("t", "end", "c").await, Emitted::Logged);
    let reading = scene.read("c", &at(&epoch, end)).await;
    assert_eq!(short(entries(&reading)), [format!("{} t:end", end + 1)]);
    assert_eq!(reading.open, Some(0));
}

// Tells `raise_off` and `future_keeps`: offsets that clients have seen must not be given away again.
pub(crate) async fn a_position_ahead_of_the_log_ends_the_history_and_raises_nothing(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &["t"]).await;
    scene.run("t", 1, "c").await;
    let ahead = at(&stream.reading.epoch, 4);
    let (epoch, end, _) = held(scene.reassert(&holder("c", &pod, &stream), ahead.clone(), &["t"]).await);
    assert_ne!(epoch, stream.reading.epoch);
    assert_eq!(end, 1);
    // Nor inside an epoch that somebody else may be reading already.
    let again = scene.reassert(&holder("c", &pod, &stream), ahead.clone(), &["t"]).await;
    assert_eq!(held(again), (epoch.clone(), end, vec!["t".to_owned()]));
    let reading = scene.read("c", &ahead).await;
    assert_eq!((reset(&reading).0, states(reset(&reading).1)), (end, vec!["t:0".to_owned()]));
    scene.emit("t", "1", "c").await;
    assert_eq!(short(entries(&scene.read("c", &at(&epoch, end)).await)), [format!("{} t:1", end + 1)]);
}

pub(crate) async fn a_newer_holder_wins_over_a_registration_that_was_rolled_back(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let first = scene.open(&one, "c", &["t"]).await;
    scene.fixture.back_up().await;
    let second = scene.open(&two, "c", &["t"]).await;
    scene.fixture.restart(Loss::SinceBackup).await;
    assert_eq!(scene.holder_of("c").await, Some(one.clone()));
    let mut ear = scene.listen(&one).await;
    let start = at(&second.reading.epoch, 0);
    held(scene.reassert(&holder("c", &two, &second), start.clone(), &["t"]).await);
    assert_eq!(scene.holder_of("c").await, Some(two));
    let lost = Message::Lost { connection: connection("c"), generation: second.generation };
    assert!(scene.heard(&mut ear).await.contains(&lost));
    let asserted = scene.reassert(&holder("c", &one, &first), start, &["t"]).await;
    assert_eq!(asserted, Asserted::Replaced);
}

pub(crate) async fn a_pod_with_a_new_nonce_goes_on_with_its_streams(scene: &Scene) {
    let old = pod_id("a~old");
    scene.heartbeat(&old).await;
    let stream = scene.open(&old, "c", &["t"]).await;
    scene.fixture.advance(fundbond_store::NODE_TIMEOUT).await;
    assert!(scene.store.bury(&old).await.unwrap());
    assert_eq!(scene.store.heartbeat(&old, &cluster("k")).await.unwrap(), Node::Buried);
    let new = scene.pod("a~new").await;
    let me = holder("c", &new, &stream);
    let asserted = scene.reassert(&me, at(&stream.reading.epoch, 0), &["t"]).await;
    assert_eq!(held(asserted).0, stream.reading.epoch);
    assert_eq!(scene.holder_of("c").await, Some(new));
}

pub(crate) async fn a_pod_that_is_not_well_is_refused(scene: &Scene) {
    let pod = pod_id("a");
    assert_eq!(scene.store.reassert(&pod, &cluster("k"), &[]).await.unwrap(), Reasserted::NoHealth);
    assert!(scene.store.bury(&pod).await.unwrap());
    assert_eq!(scene.store.reassert(&pod, &cluster("k"), &[]).await.unwrap(), Reasserted::Buried);
}

pub(crate) async fn answers_come_in_order(scene: &Scene) {
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    let mut assertions = Vec::new();
    for name in ["c1", "c2", "c3"] {
        let stream = scene.open(&one, name, &[]).await;
        assertions.push(Assertion {
            connection: connection(name),
            generation: stream.generation,
            position: at(&stream.reading.epoch, 0),
            tasks: tasks(&[&format!("of-{name}")]),
            gained: true,
        });
    }
    scene.open(&two, "c2", &[]).await;
    assertions.push(Assertion { generation: Generation(u64::MAX / 2), ..assertions[0].clone() });
    let answer = scene.store.reassert(&one, &cluster("k"), &assertions).await.unwrap();
    let Reasserted::Streams(answers) = answer else { panic!("{answer:?}") };
    let open: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Asserted::Replaced | Asserted::Closed => vec![],
            Asserted::Held { open, .. } => open.clone(),
        })
        .collect();
    assert_eq!(open, [vec![task("of-c1")], vec![], vec![task("of-c3")], vec![task("of-c1")]]);
}

// Else what a store brings back that went back in time says for a day that somebody listens.
pub(crate) async fn a_pod_is_told_what_it_holds_beyond_what_it_knows(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    let (c, d) = (scene.open(&pod, "c", &[]).await, scene.open(&pod, "d", &[]).await);
    scene.open(&other, "e", &[]).await;
    assert_eq!(scene.store.held(&pod, 2).await.unwrap(), []);
    let mut beyond = scene.store.held(&pod, 1).await.unwrap();
    beyond.sort_by(|a, b| a.connection.cmp(&b.connection));
    assert_eq!(beyond, [holder("c", &pod, &c), holder("d", &pod, &d)]);
    // It is released like any other, unless it is another one by then.
    let again = scene.open(&pod, "d", &[]).await;
    assert_eq!(scene.close(&beyond[0]).await, Closed::Deleted);
    assert_eq!(scene.close(&beyond[1]).await, Closed::Kept);
    assert_eq!(scene.store.held(&pod, 0).await.unwrap(), [holder("d", &pod, &again)]);
}
