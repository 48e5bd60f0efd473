//! What is said to people.

use fundbond_protocol::{ConnectionId, EventId, LastEventId, Position, Status, UserId};
use fundbond_store::{
    Answer, Asserted, Buried, EntryKind, Finished, Lines, Message, NODE_TIMEOUT, Ordered, Question,
    Registered, Sent, StraySwept, StreamReport, Swept, Taken, UserEvent, UserRecord, UserSend,
    users::{LINES_REMEMBERED, NAMED_KEPT},
};

use super::housekeeping::order;
use crate::scene::{
    LOG_FLOOR, Loss, Scene, at, cluster, connection, entries, holder, opened, reset, short, told,
};

const STREAM: &str = "user:u";

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

/// An event; `!` before its id says that the sender gave it.
fn event(id: &str) -> UserEvent {
    UserEvent {
        event_id: EventId::parse(id.trim_start_matches('!')).unwrap(),
        named: id.starts_with('!'),
        name: Status::named("token").unwrap(),
        json: "{\"a\":\t1}".into(),
    }
}

pub(crate) fn to(name: &str, ids: &[&str]) -> UserSend {
    UserSend {
        user: user(name),
        events: ids.iter().map(|id| event(id)).collect(),
        lines: None,
        only_in: None,
    }
}

async fn send(scene: &Scene, ids: &[&str]) -> Sent {
    scene.store.send(&to("u", ids)).await.unwrap()
}

async fn kept(scene: &Scene, sent: &Sent) -> Vec<String> {
    short(entries(&scene.read(STREAM, &at(&sent.end.epoch, 0)).await))
}

pub(crate) async fn what_is_sent_reaches_the_pod_that_holds_the_stream(scene: &Scene) {
    let (here, there) = (scene.pod("here").await, scene.pod("there").await);
    let mut ears = [scene.listen(&here).await, scene.listen(&there).await];
    let stream = scene.open(&there, STREAM, &[]).await;
    let sent = send(scene, &["a", "b"]).await;
    assert_eq!(sent.logged, 2);
    assert_eq!(sent.end, at(&stream.reading.epoch, 2));
    assert_eq!(sent.holder, Some((there, cluster("k"))));
    let [here, there] = &mut ears;
    let heard = scene.heard(there).await;
    assert_eq!(told(&heard, STREAM)[..], ["event 1 a", "event 2 b"]);
    let entry = heard.iter().find_map(|message| match message {
        Message::Event { entry, .. } => Some(entry),
        _ => None,
    });
    let entry = entry.unwrap();
    assert_eq!((entry.kind, entry.status.as_str(), entry.task.as_str()), (EntryKind::Note, "token", "u"));
    assert_eq!(&*entry.json, "{\"a\":\t1}", "as it was sent");
    assert!(told(&scene.heard(here).await, STREAM).is_empty(), "it is nobody else's");
}

pub(crate) async fn what_is_sent_while_nobody_listens_is_replayed(scene: &Scene) {
    let pod = scene.pod("a").await;
    let sent = send(scene, &["a"]).await;
    assert_eq!((sent.logged, &sent.holder), (1, &None));
    assert_eq!(send(scene, &["b", "c"]).await.end.offset, 3);
    let stream = scene.open(&pod, STREAM, &[]).await;
    assert_eq!(short(entries(&stream.reading))[..], ["1 a", "2 b", "3 c"]);
    // Beyond its bound a log forgets, and says so.
    let many: Vec<String> = (0..LOG_FLOOR).map(|n| format!("m{n}")).collect();
    send(scene, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let again = opened(scene.register(&pod, STREAM, LastEventId::Start, &[]).await);
    assert_eq!(reset(&again.reading), (3, &[][..]));
}

pub(crate) async fn an_event_that_its_sender_named_is_logged_once(scene: &Scene) {
    assert_eq!(send(scene, &["!a", "b"]).await.logged, 2);
    assert_eq!(send(scene, &["!a"]).await.logged, 0);
    let sent = send(scene, &["!c", "!a", "!c", "b"]).await;
    assert_eq!((sent.logged, sent.end.offset), (2, 4));
    assert_eq!(kept(scene, &sent).await[..], ["1 a", "2 b", "3 c", "4 b"]);
    let other = scene.store.send(&to("v", &["!a"])).await.unwrap();
    assert_eq!(other.logged, 1, "ids are a user's own");
}

pub(crate) async fn only_the_newest_names_are_remembered(scene: &Scene) {
    assert_eq!(send(scene, &["!first", "!second"]).await.logged, 2);
    let names: Vec<String> = (0..NAMED_KEPT - 1).map(|n| format!("!n{n}")).collect();
    for part in names.chunks(128) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        assert_eq!(send(scene, &part).await.logged, part.len());
    }
    assert_eq!(send(scene, &["!second"]).await.logged, 0);
    assert_eq!(send(scene, &["!first"]).await.logged, 1, "this many later it is forgotten");
}

// Tells `lines_unmarked`.
pub(crate) async fn lines_that_are_sent_again_are_logged_once(scene: &Scene) {
    let lines =
        |last, ids: &[&str]| UserSend { lines: Some(Lines { request: "r".into(), last }), ..to("u", ids) };
    let first = lines(2, &["a", "b"]);
    assert_eq!(scene.store.send(&first).await.unwrap().logged, 2);
    // The answer was lost, and the step is repeated.
    let repeated = scene.store.send(&first).await.unwrap();
    assert_eq!((repeated.logged, repeated.end.offset), (0, 2));
    let sent = scene.store.send(&lines(3, &["c"])).await.unwrap();
    assert_eq!(kept(scene, &sent).await[..], ["1 a", "2 b", "3 c"]);
    let other = UserSend { lines: Some(Lines { request: "other".into(), last: 1 }), ..to("u", &["d"]) };
    assert_eq!(scene.store.send(&other).await.unwrap().logged, 1);
    scene.fixture.advance(LINES_REMEMBERED).await;
    assert_eq!(scene.store.send(&first).await.unwrap().logged, 2, "it is not remembered for ever");
}

pub(crate) async fn an_event_for_one_cluster_is_left_out_where_another_holds_the_stream(scene: &Scene) {
    let pod = scene.pod("a").await;
    let only = |name| UserSend { only_in: Some(cluster(name)), ..to("u", &["!a"]) };
    assert_eq!(scene.store.send(&only("k")).await.unwrap().logged, 0, "nobody holds it");
    scene.open(&pod, STREAM, &[]).await;
    assert_eq!(scene.store.send(&only("other")).await.unwrap().logged, 0);
    assert_eq!(scene.store.send(&only("k")).await.unwrap().logged, 1);
    assert_eq!(scene.store.send(&only("k")).await.unwrap().logged, 0, "once");
}

pub(crate) async fn the_stream_of_a_user_never_ends_by_itself(scene: &Scene) {
    let pod = scene.pod("a").await;
    let sent = send(scene, &["a"]).await;
    let stream = scene.resume(&pod, STREAM, sent.end.clone(), &[]).await;
    assert_eq!((stream.reading.open, entries(&stream.reading).len()), (None, 0));
    let holder = holder(STREAM, &pod, &stream);
    assert_eq!(scene.finish(&holder, &sent.end).await, Finished::More);
}

pub(crate) async fn the_stream_of_a_user_is_not_that_of_a_connection_or_task_of_its_name(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, STREAM, &[]).await;
    let plain = scene.open(&pod, "u", &["u"]).await;
    scene.run("u", 1, "u").await;
    let sent = send(scene, &["a"]).await;
    assert_eq!(kept(scene, &sent).await[..], ["1 a"]);
    assert_eq!(short(entries(&scene.read("u", &at(&plain.reading.epoch, 0)).await))[..], ["1 u:0"]);
    // What others publish is for tasks and connections.
    let parse = |text: &str| {
        fundbond_protocol::ForeignEvent::parse(text.as_bytes(), "n", jiff::Timestamp::UNIX_EPOCH)
    };
    let published = parse(r#"{"correlationId":"nobody","status":"TEST"}"#).unwrap();
    let other = scene.open(&pod, "user:nobody", &[]).await;
    let foreign = fundbond_store::Foreign::of(&published, &connection("user:nobody"), other.generation);
    assert_eq!(scene.store.foreign(&foreign).await.unwrap(), Taken::NotHeld);
    assert!(parse(r#"{"correlationId":"user:u","status":"TEST"}"#).is_err());
    assert_eq!(scene.holder_of(STREAM).await, Some(pod));
    assert!(stream.tasks.is_empty());
}

pub(crate) async fn a_newer_stream_of_a_user_takes_over(scene: &Scene) {
    let (one, two) = (scene.pod("one").await, scene.pod("two").await);
    let mut ear = scene.listen(&one).await;
    let older = scene.open(&one, STREAM, &[]).await;
    let newer = scene.open(&two, STREAM, &[]).await;
    assert!(newer.generation > older.generation);
    assert_eq!(told(&scene.heard(&mut ear).await, STREAM)[..], ["lost"]);
    assert_eq!(send(scene, &["a"]).await.holder, Some((two, cluster("k"))));
    let late = scene.reassert(&holder(STREAM, &one, &older), at(&older.reading.epoch, 0), &[]).await;
    assert_eq!(late, Asserted::Replaced);
}

// Tells `close_forgetful`.
pub(crate) async fn a_closed_stream_tells_its_holder_and_is_not_resumed(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    let stream = scene.open(&pod, STREAM, &[]).await;
    assert_eq!(scene.store.close_user(&user("u")).await.unwrap(), Some((pod.clone(), cluster("k"))));
    let heard = scene.heard(&mut ear).await;
    let closed = heard.iter().find_map(|message| match message {
        Message::Closed { connection: of, generation } if *of == connection(STREAM) => Some(*generation),
        _ => None,
    });
    assert!(closed.unwrap() > stream.generation);
    assert_eq!(scene.store.user(&user("u")).await.unwrap().holder, None);
    assert_eq!(scene.store.close_user(&user("u")).await.unwrap(), None, "nobody holds it any more");
    // Wherever a client says it stands, it says that it was here before.
    let end = send(scene, &["a"]).await.end;
    for last in [LastEventId::At(at(&end.epoch, 0)), LastEventId::At(end), LastEventId::Unknown] {
        assert_eq!(scene.register(&pod, STREAM, last, &[]).await, Registered::Done);
    }
    let anew = scene.open(&pod, STREAM, &[]).await;
    assert_eq!(short(entries(&anew.reading))[..], ["1 a"]);
    let position = at(&anew.reading.epoch, 1);
    assert!(matches!(
        scene.register(&pod, STREAM, LastEventId::At(position), &[]).await,
        Registered::Open(_)
    ));
}

pub(crate) async fn a_holder_that_did_not_hear_of_a_close_is_told_when_it_asserts(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, STREAM, &[]).await;
    scene.store.close_user(&user("u")).await.unwrap();
    let holder = holder(STREAM, &pod, &stream);
    let position = at(&stream.reading.epoch, 0);
    assert_eq!(scene.reassert(&holder, position.clone(), &[]).await, Asserted::Closed);
    assert_eq!(scene.holder_of(STREAM).await, None, "it is not revived");
    let other = scene.pod("b").await;
    scene.open(&other, STREAM, &[]).await;
    assert_eq!(scene.reassert(&holder, position, &[]).await, Asserted::Replaced);
}

// Tells `close_forgetful`.
pub(crate) async fn a_stream_is_closed_while_its_client_is_away(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, STREAM, &[]).await;
    scene.close(&holder(STREAM, &pod, &stream)).await;
    assert_eq!(scene.store.close_user(&user("u")).await.unwrap(), None);
    let back = LastEventId::At(at(&stream.reading.epoch, 0));
    assert_eq!(scene.register(&pod, STREAM, back, &[]).await, Registered::Done);
}

pub(crate) async fn closing_what_nobody_knows_changes_nothing(scene: &Scene) {
    let pod = scene.pod("a").await;
    assert_eq!(scene.store.close_user(&user("u")).await.unwrap(), None);
    assert_eq!(scene.store.user(&user("u")).await.unwrap(), UserRecord::default());
    assert!(matches!(scene.register(&pod, STREAM, LastEventId::Unknown, &[]).await, Registered::Open(_)));
}

pub(crate) async fn a_restart_ends_the_history_of_a_user(scene: &Scene) {
    let pod = scene.pod("a").await;
    let before = send(scene, &["!a", "b"]).await;
    assert_eq!(scene.store.user(&user("u")).await.unwrap().end, Some(before.end.clone()));
    scene.fixture.restart(Loss::Everything).await;
    assert_eq!(scene.store.user(&user("u")).await.unwrap(), UserRecord::default());
    scene.heartbeat(&pod).await;
    let after = send(scene, &["!a"]).await;
    assert_eq!((after.logged, after.end.offset), (1, 1));
    assert_ne!(after.end.epoch, before.end.epoch);
    let stream = opened(scene.register(&pod, STREAM, LastEventId::At(before.end), &[]).await);
    assert_eq!(reset(&stream.reading).0, 0, "it has not read what came since");
}

// Tells `reset_skips`: no reset tells what a note said.
pub(crate) async fn after_a_reset_a_user_is_given_every_note_that_is_left(scene: &Scene) {
    let pod = scene.pod("a").await;
    let before = send(scene, &["a", "b"]).await.end;
    scene.fixture.restart(Loss::Nothing).await;
    scene.heartbeat(&pod).await;
    // Sent while the reader was away, into a history that it does not know.
    let sent = send(scene, &["c", "d"]).await;
    let stream = scene.resume(&pod, STREAM, before, &[]).await;
    let (at_offset, _) = reset(&stream.reading);
    let reading = scene.read(STREAM, &at(&stream.reading.epoch, at_offset)).await;
    assert_eq!(short(entries(&reading)), ["3 c", "4 d"]);

    // The same where the log was too short for what came while it was away.
    let many: Vec<String> = (0..2 * LOG_FLOOR).map(|number| format!("n{number}")).collect();
    send(scene, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let stream = scene.resume(&pod, STREAM, sent.end, &[]).await;
    let (at_offset, _) = reset(&stream.reading);
    let reading = scene.read(STREAM, &at(&stream.reading.epoch, at_offset)).await;
    assert_eq!(entries(&reading).len(), LOG_FLOOR, "all that is kept");
}

pub(crate) async fn the_connected_users_of_a_cluster_are_those_its_pods_hold(scene: &Scene) {
    let (one, two) = (scene.pod("one").await, scene.pod("two").await);
    assert!(scene.store.connected(&cluster("k")).await.unwrap().is_empty());
    for (pod, stream) in [(&one, "user:v"), (&two, STREAM), (&two, "u")] {
        scene.open(pod, stream, &[]).await;
    }
    send(scene, &["a"]).await;
    scene.store.send(&to("offline", &["a"])).await.unwrap();
    assert_eq!(scene.store.connected(&cluster("k")).await.unwrap(), [user("u"), user("v")]);
    assert!(scene.store.connected(&cluster("other")).await.unwrap().is_empty());
    scene.store.close_user(&user("v")).await.unwrap();
    assert_eq!(scene.store.connected(&cluster("k")).await.unwrap(), [user("u")]);
}

pub(crate) async fn pods_ask_and_answer_each_other(scene: &Scene) {
    let (one, two) = (scene.pod("one").await, scene.pod("two").await);
    let (mut ear_of_one, mut ear_of_two) = (scene.listen(&one).await, scene.listen(&two).await);
    let question = Question { number: 7, from: one.clone(), connection: ConnectionId::of_user(&user("u")) };
    scene.store.ask(&two, &question).await.unwrap();
    assert!(ear_of_two.until(|m| matches!(m, Message::Asked(_))).await.contains(&Message::Asked(question)));
    let position = Position { epoch: "k3".parse().unwrap(), offset: 12 };
    let report = StreamReport { since: jiff::Timestamp::UNIX_EPOCH, position, queued_bytes: 9 };
    let answer = Answer { number: 7, report: Some(report) };
    scene.store.answer(&one, &answer).await.unwrap();
    let heard = ear_of_one.until(|m| matches!(m, Message::Answered(_))).await;
    assert!(heard.contains(&Message::Answered(answer)));
}

pub(crate) async fn a_dead_pod_leaves_no_stream_of_a_user(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, STREAM, &[]).await;
    let sent = send(scene, &["a"]).await;
    scene.fixture.plant("user:v", "nobody-1", "k").await;
    scene.fixture.advance(NODE_TIMEOUT).await;
    let strays = scene.store.strays(0, 10).await.unwrap().strays;
    assert_eq!(strays.iter().map(|stray| stray.connection.as_str()).collect::<Vec<_>>(), ["user:v"]);
    let found = scene.store.sweep_strays(&order(1), &strays).await.unwrap();
    assert_eq!(found, Ordered::Done(StraySwept::Deleted(1)));
    assert_eq!(
        scene.store.bury_nodes(&order(1), std::slice::from_ref(&pod)).await.unwrap(),
        Ordered::Done(vec![Buried::Dead])
    );
    let swept = scene.store.sweep(&order(1), &pod, 10).await.unwrap();
    assert_eq!(swept, Ordered::Done(Swept::Some { deleted: 1, left: 0 }));
    for name in ["u", "v"] {
        assert_eq!(scene.store.user(&user(name)).await.unwrap().holder, None, "{name}");
    }
    // What was sent is kept for the next pod.
    let next = scene.pod("b").await;
    let stream = scene.resume(&next, STREAM, at(&sent.end.epoch, 0), &[]).await;
    assert_eq!(short(entries(&stream.reading))[..], ["1 a"]);
}
