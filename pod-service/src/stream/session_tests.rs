//! The reading rules, against hand-written stores.

use fundbond_protocol::{
    ConnectionId, Epoch, EventId, PodId, Status, TaskId,
    sse::{Event, Item, Parser},
};
use fundbond_store::{Asserted, Entry, EntryKind, Finished, Generation, Opened, Outcome, Reading, Snapshot};
use jiff::Timestamp;
use proptest::prelude::*;

use super::session::{End, Session, Want};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn epoch(name: &str) -> Epoch {
    name.parse().unwrap()
}

fn task(name: &str) -> TaskId {
    TaskId::parse(name).unwrap()
}

fn entry(offset: u64, name: &str, kind: EntryKind) -> Entry {
    let status = match kind {
        EntryKind::Event => Status::SUBTASK_COMPLETED,
        EntryKind::Final => Status::COMPLETED,
        EntryKind::Moved => Status::REPLACED,
        EntryKind::Note => Status::parse("NOTE").unwrap(),
    };
    let event_id = EventId::of_step(&task(name), offset);
    Entry { offset, task: task(name), event_id, status, kind, json: format!("{{\"n\":{offset}}}").into() }
}

fn reading(end: u64, open: Option<usize>, entries: Vec<Entry>) -> Reading {
    Reading { epoch: epoch("k1"), end, open, outcome: Outcome::Entries(entries) }
}

fn opened(reading: Reading, tasks: &[(&str, bool)]) -> Opened {
    let tasks = tasks.iter().map(|(name, is_final)| (task(name), *is_final)).collect();
    Opened { generation: Generation(7), reading, tasks }
}

fn session() -> Session {
    Session::new(ConnectionId::parse("c").unwrap(), PodId::parse("pod-a-1~aaaaaaaa").unwrap(), [])
}

fn parse(bytes: &[u8]) -> Vec<Event> {
    let mut items = Vec::new();
    Parser::new(1 << 20).feed(bytes, &mut items).unwrap();
    let events =
        items.into_iter().filter_map(|item| if let Item::Event(event) = item { Some(event) } else { None });
    events.collect()
}

fn said(bytes: &[u8]) -> Vec<String> {
    parse(bytes).into_iter().map(|event| format!("{} {}", event.id, event.name)).collect()
}

#[test]
fn every_end_has_a_label_of_its_own() {
    let ends = [End::Finished, End::Replaced, End::Closed, End::Draining, End::Slow, End::ClientLeft];
    let labels = ["finished", "replaced", "closed", "draining", "slow", "client-left"];
    assert_eq!(ends.map(End::label), labels);
}

#[test]
fn a_new_stream_says_connected_at_zero_and_then_the_live_events() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    session.attached(&task("t"));
    assert!(session.event(&epoch("k1"), &entry(1, "t", EntryKind::Event), true, &mut out));
    assert_eq!(session.want(), Want::Nothing);
    assert!(session.event(&epoch("k1"), &entry(2, "t", EntryKind::Final), true, &mut out));
    assert_eq!(said(&out), ["k1.0 CONNECTED", "k1.1 SUBTASK_COMPLETED", "k1.2 COMPLETED"]);
    assert!(matches!(session.want(), Want::Finish(p) if p.offset == 2));
    assert!(!session.finished(Finished::Closed, NOW, &mut out));
    assert_eq!(session.want(), Want::Ended(End::Finished));
}

// Tells `conn_noid`: a client that is cut before the first event would come back from nowhere.
#[test]
fn connected_carries_the_place_where_replay_starts() {
    let (mut session, mut out) = (session(), Vec::new());
    let entries = vec![entry(5, "t", EntryKind::Event), entry(6, "t", EntryKind::Event)];
    session.registered(opened(reading(6, Some(1), entries), &[("t", false)]), NOW, &mut out);
    assert_eq!(said(&out), ["k1.4 CONNECTED", "k1.5 SUBTASK_COMPLETED", "k1.6 SUBTASK_COMPLETED"]);
}

// Tells `reset_noid`.
#[test]
fn a_reset_alone_carries_the_new_position_and_the_states() {
    let (mut session, mut out) = (session(), Vec::new());
    let snapshot = vec![
        Snapshot { task: task("a"), is_final: true, json: Some(r#"{"x":1}"#.into()) },
        Snapshot { task: task("b"), is_final: false, json: None },
        Snapshot { task: task("c"), is_final: false, json: Some(r#"{"y":2}"#.into()) },
    ];
    let outcome = Outcome::Reset { at: 9, snapshot };
    let reading = Reading { epoch: epoch("k2"), end: 9, open: Some(1), outcome };
    session.registered(opened(reading, &[("a", true), ("b", false)]), NOW, &mut out);
    let events = parse(&out);
    assert_eq!(said(&out), [" CONNECTED", "k2.9 RESET"]);
    assert!(events[1].data.ends_with(r#""tasks":[{"x":1},{"y":2}]}"#), "{}", events[1].data);
    assert!(serde_json::from_str::<serde_json::Value>(&events[1].data).is_ok());
}

// Tells `no_gap`.
#[test]
fn an_event_beyond_the_next_is_not_written_but_read() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert!(!session.event(&epoch("k1"), &entry(2, "t", EntryKind::Event), true, &mut out));
    assert!(matches!(session.want(), Want::CatchUp(p) if p.offset == 0));
    // The page was read before event 3 was logged, and event 3 was heard before the page arrived.
    assert!(!session.event(&epoch("k1"), &entry(3, "t", EntryKind::Event), true, &mut out));
    let page = vec![entry(1, "t", EntryKind::Event), entry(2, "t", EntryKind::Event)];
    session.caught_up(reading(2, Some(1), page), NOW, &mut out);
    assert!(matches!(session.want(), Want::CatchUp(p) if p.offset == 2));
    session.caught_up(reading(3, Some(1), vec![entry(3, "t", EntryKind::Event)]), NOW, &mut out);
    assert_eq!(session.want(), Want::Nothing);
    assert_eq!(
        said(&out)[1..],
        ["k1.1 SUBTASK_COMPLETED", "k1.2 SUBTASK_COMPLETED", "k1.3 SUBTASK_COMPLETED"]
    );
}

#[test]
fn a_late_message_does_not_hide_the_newest_that_was_heard() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    for heard in [2, 3, 1] {
        assert!(!session.event(&epoch("k1"), &entry(heard, "t", EntryKind::Event), true, &mut out));
    }
    let page = vec![entry(1, "t", EntryKind::Event), entry(2, "t", EntryKind::Event)];
    session.caught_up(reading(2, Some(1), page), NOW, &mut out);
    assert!(matches!(session.want(), Want::CatchUp(p) if p.offset == 2), "3 was heard");
}

// Tells `no_epoch_check`.
#[test]
fn an_event_of_another_epoch_is_never_written_live() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert!(!session.event(&epoch("k2"), &entry(1, "t", EntryKind::Event), true, &mut out));
    assert!(matches!(session.want(), Want::CatchUp(_)));
}

// Tells `stale_buffer`: what was kept for later would ask for a page for ever.
#[test]
fn an_event_of_a_history_that_is_over_costs_one_page_and_no_more() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(1, None, vec![entry(1, "t", EntryKind::Event)]), &[]), NOW, &mut out);
    assert!(!session.event(&epoch("k0"), &entry(9, "t", EntryKind::Event), true, &mut out));
    let mut pages = 0;
    while let Want::CatchUp(position) = session.want() {
        assert_eq!(position.to_string(), "k1.1");
        session.caught_up(reading(1, None, vec![]), NOW, &mut out);
        pages += 1;
        assert!(pages <= 2, "one page for the event, and one to know that it was old");
    }
    assert_eq!(session.want(), Want::Nothing);
    assert_eq!(said(&out), ["k1.0 CONNECTED", "k1.1 SUBTASK_COMPLETED"]);
}

// Tells `reset_forgets`: only the pod can tell the store of it again.
#[test]
fn a_reset_without_a_task_does_not_forget_it() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, Some(1), vec![]), &[("t", false)]), NOW, &mut out);
    session.gap();
    let outcome = Outcome::Reset { at: 0, snapshot: Vec::new() };
    session.caught_up(Reading { epoch: epoch("k2"), end: 0, open: None, outcome }, NOW, &mut out);
    assert_eq!(said(&out), ["k1.0 CONNECTED", "k2.0 RESET"]);
    assert!(session.tasks().eq([&task("t")]));
}

// Tells `reassert_blind`: its attachment was missed, and nobody says it twice.
#[test]
fn a_re_assertion_brings_a_task_that_was_missed() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, Some(1), vec![]), &[("t", false)]), NOW, &mut out);
    let open = vec![task("t"), task("u")];
    session.asserted(Asserted::Held { epoch: epoch("k1"), end: 0, open }, NOW, &mut out);
    assert!(session.tasks().eq([&task("t"), &task("u")]));
    session.event(&epoch("k1"), &entry(1, "t", EntryKind::Final), true, &mut out);
    assert_eq!(session.want(), Want::Nothing, "u is open");
}

// Tells `no_tail`: the last message was lost, and no later one shows it.
#[test]
fn a_re_assertion_that_shows_a_difference_is_followed_by_a_page() {
    let answers = [
        ("k1", 1, &["t"][..], false),
        ("k1", 2, &["t"], true),
        ("k2", 1, &["t"], true),
        ("k1", 1, &[], true),
    ];
    for (history, end, open, differs) in answers {
        let (mut session, mut out) = (session(), Vec::new());
        let page = vec![entry(1, "t", EntryKind::Event)];
        session.registered(opened(reading(1, Some(1), page), &[("t", false)]), NOW, &mut out);
        let open = open.iter().map(|name| task(name)).collect();
        session.asserted(Asserted::Held { epoch: epoch(history), end, open }, NOW, &mut out);
        assert_eq!(session.is_behind(), differs, "{history}.{end}");
    }
}

#[test]
fn a_full_queue_makes_the_session_fall_behind_and_drops_nothing() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert!(!session.event(&epoch("k1"), &entry(1, "t", EntryKind::Event), false, &mut out));
    assert!(matches!(session.want(), Want::CatchUp(p) if p.offset == 0));
}

#[test]
fn a_newer_registration_ends_the_stream_with_a_farewell_that_is_not_resumed() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    for earlier in [6, 7] {
        session.lost(Generation(earlier), End::Replaced, NOW, &mut out);
        assert!(!session.is_ended(), "it is the seventh itself");
    }
    session.lost(Generation(8), End::Replaced, NOW, &mut out);
    assert_eq!(said(&out), ["k1.0 CONNECTED", "x.8 REPLACED"]);
    assert_eq!(session.want(), Want::Ended(End::Replaced));
}

#[test]
fn a_refused_re_assertion_ends_the_stream_unless_its_own_end_is_being_asked() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, Some(1), vec![]), &[("t", false)]), NOW, &mut out);
    session.asserted(Asserted::Replaced, NOW, &mut out);
    assert_eq!(said(&out), ["k1.0 CONNECTED", "x.8 REPLACED"]);
    assert_eq!(session.want(), Want::Ended(End::Replaced));

    let (mut session, mut out) = (self::session(), Vec::new());
    let page = vec![entry(1, "t", EntryKind::Final)];
    session.registered(opened(reading(1, Some(0), page), &[("t", true)]), NOW, &mut out);
    session.asserted(Asserted::Replaced, NOW, &mut out);
    assert!(matches!(session.want(), Want::Finish(_)));
    assert!(!session.finished(Finished::Replaced, NOW, &mut out));
    assert_eq!(session.want(), Want::Ended(End::Replaced), "somebody did take it over");
    assert_eq!(said(&out).last().unwrap(), "x.8 REPLACED");
}

// Tells `no_xseen`.
#[test]
fn a_newer_registration_that_overtakes_our_own_answer_wins() {
    let (mut session, mut out) = (session(), Vec::new());
    session.lost(Generation(8), End::Replaced, NOW, &mut out);
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert_eq!(session.want(), Want::Ended(End::Replaced));

    // What our own registration ended came before it.
    let (mut session, mut out) = (self::session(), Vec::new());
    session.lost(Generation(7), End::Replaced, NOW, &mut out);
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert_eq!(session.want(), Want::Nothing);
}

#[test]
fn a_stream_that_has_ended_says_nothing_more_and_keeps_its_reason() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, Some(1), vec![]), &[("t", false)]), NOW, &mut out);
    session.drain(2_000, "going away", NOW, &mut out);
    let written = out.len();
    session.drain(2_000, "going away", NOW, &mut out);
    session.lost(Generation(8), End::Closed, NOW, &mut out);
    session.asserted(Asserted::Replaced, NOW, &mut out);
    session.caught_up(reading(1, Some(1), vec![entry(1, "t", EntryKind::Event)]), NOW, &mut out);
    assert!(!session.event(&epoch("k1"), &entry(1, "t", EntryKind::Event), true, &mut out));
    assert!(!session.finished(Finished::Lost, NOW, &mut out));
    assert!(!session.finished(Finished::Replaced, NOW, &mut out));
    session.gap();
    session.abandon(End::ClientLeft);
    assert_eq!((out.len(), session.want()), (written, Want::Ended(End::Draining)));
}

#[test]
fn a_page_with_all_that_was_heard_is_the_last_one() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert!(!session.event(&epoch("k1"), &entry(2, "t", EntryKind::Event), true, &mut out));
    let page = vec![entry(1, "t", EntryKind::Event), entry(2, "t", EntryKind::Event)];
    session.caught_up(reading(2, Some(1), page), NOW, &mut out);
    assert_eq!(session.want(), Want::Nothing);
}

#[test]
fn a_task_that_is_attached_keeps_the_stream_open_and_one_that_is_known_changes_nothing() {
    let (mut session, mut out) = (session(), Vec::new());
    let page = vec![entry(1, "t", EntryKind::Final)];
    session.registered(opened(reading(1, Some(0), page), &[("t", true)]), NOW, &mut out);
    session.attached(&task("t"));
    assert!(matches!(session.want(), Want::Finish(_)), "its end is known");
    session.attached(&task("u"));
    assert_eq!(session.want(), Want::Nothing);
    assert!(session.tasks().eq([&task("t"), &task("u")]));
}

#[test]
fn a_stream_that_nobody_reads_ends_without_a_word() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    let written = out.len();
    session.abandon(End::Slow);
    assert_eq!((out.len(), session.want()), (written, Want::Ended(End::Slow)));
}

#[test]
fn each_heartbeat_is_another_event() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    for _ in 0..3 {
        session.heartbeat(NOW, &mut out);
    }
    let ids: std::collections::BTreeSet<String> = parse(&out)[1..]
        .iter()
        .map(|event| serde_json::from_str::<serde_json::Value>(&event.data).unwrap()["eventId"].to_string())
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn a_close_ends_the_stream_with_a_farewell_that_has_no_id() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    session.lost(Generation(6), End::Closed, NOW, &mut out);
    assert!(!session.is_ended(), "an older one was meant");
    session.lost(Generation(8), End::Closed, NOW, &mut out);
    assert_eq!(session.want(), Want::Ended(End::Closed));
    // The reader's last id is still that of the last event before.
    assert_eq!(said(&out), ["k1.0 CONNECTED", "k1.0 CLOSED"]);

    // The word came before the answer to the registration, or was missed.
    let (mut session, mut out) = (self::session(), Vec::new());
    session.lost(Generation(8), End::Closed, NOW, &mut out);
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    assert_eq!(session.want(), Want::Ended(End::Closed));
    let (mut session, mut out) = (self::session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    session.asserted(Asserted::Closed, NOW, &mut out);
    assert_eq!(session.want(), Want::Ended(End::Closed));
}

#[test]
fn a_stream_that_never_had_a_task_stays_open() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
    session.heartbeat(NOW, &mut out);
    assert_eq!(session.want(), Want::Nothing);
    assert_eq!(said(&out), ["k1.0 CONNECTED", "k1.0 HEARTBEAT"]);
}

// Tells `close_local`.
#[test]
fn a_finish_that_is_refused_reads_on_and_asks_again() {
    let (mut session, mut out) = (session(), Vec::new());
    let page = vec![entry(1, "a", EntryKind::Final)];
    session.registered(opened(reading(1, Some(0), page), &[("a", true)]), NOW, &mut out);
    assert!(matches!(session.want(), Want::Finish(_)));
    let _ = session.finished(Finished::More, NOW, &mut out);
    assert!(matches!(session.want(), Want::CatchUp(_)));
    session.caught_up(reading(2, Some(0), vec![entry(2, "b", EntryKind::Final)]), NOW, &mut out);
    assert!(matches!(session.want(), Want::Finish(p) if p.offset == 2));
}

#[test]
fn a_finish_that_the_store_had_forgotten_is_asked_again_after_the_re_assertion() {
    let (mut session, mut out) = (session(), Vec::new());
    session.registered(opened(reading(0, Some(1), vec![]), &[("t", false)]), NOW, &mut out);
    // The only task moves away: nothing is left to be final, and yet the stream should end.
    session.event(&epoch("k1"), &entry(1, "t", EntryKind::Moved), true, &mut out);
    assert!(matches!(session.want(), Want::Finish(_)));
    assert!(session.finished(Finished::Lost, NOW, &mut out));
    assert_eq!(session.want(), Want::Nothing);
    session.asserted(Asserted::Held { epoch: epoch("k1"), end: 1, open: vec![] }, NOW, &mut out);
    assert!(matches!(session.want(), Want::CatchUp(_)));
    session.caught_up(reading(1, Some(0), vec![]), NOW, &mut out);
    assert!(matches!(session.want(), Want::Finish(p) if p.offset == 1));
}

#[test]
fn a_filter_hides_events_but_not_positions_and_never_a_final() {
    let mut session = Session::new(
        ConnectionId::parse("c").unwrap(),
        PodId::parse("p").unwrap(),
        [Status::parse("NONE").unwrap()],
    );
    let mut out = Vec::new();
    session.registered(opened(reading(0, None, vec![]), &[("t", false)]), NOW, &mut out);
    session.event(&epoch("k1"), &entry(1, "t", EntryKind::Event), true, &mut out);
    assert!(String::from_utf8_lossy(&out).ends_with("\nid: k1.1\n\n"));
    session.event(&epoch("k1"), &entry(2, "t", EntryKind::Final), true, &mut out);
    assert_eq!(said(&out), ["k1.0 CONNECTED", "k1.2 COMPLETED"]);
}

proptest! {
    /// Whatever messages are lost, repeated, late or refused for want of room, the client reads 1, 2, 3 ...
    #[test]
    fn every_mix_of_messages_and_pages_reads_the_whole_log_once(
        length in 1_u64..40,
        moves in proptest::collection::vec((0_u8..4, 0_u64..40, 1_usize..6), 0..80),
    ) {
        let log: Vec<Entry> = (1..=length)
            .map(|n| entry(n, "t", if n == length { EntryKind::Final } else { EntryKind::Event }))
            .collect();
        let (mut session, mut out) = (session(), Vec::new());
        session.registered(opened(reading(0, None, vec![]), &[]), NOW, &mut out);
        let mut logged = 0_usize;
        let page = |session: &Session, logged: usize, size: usize| {
            let from = usize::try_from(session.position().unwrap().offset).unwrap();
            let entries = log[from..logged.min(from + size)].to_vec();
            reading(logged as u64, Some(usize::from(logged < log.len())), entries)
        };
        for (what, which, size) in moves {
            match what {
                // An event is logged and its message arrives, is lost, or is refused.
                0 | 1 if logged < log.len() => {
                    logged += 1;
                    if what == 0 {
                        session.event(&epoch("k1"), &log[logged - 1], which % 5 != 0, &mut out);
                    }
                }
                // A message is late or repeated.
                2 if logged > 0 => {
                    let late = usize::try_from(which).unwrap() % logged;
                    session.event(&epoch("k1"), &log[late], true, &mut out);
                }
                3 => if let Want::CatchUp(_) = session.want() {
                    let reading = page(&session, logged, size);
                    session.caught_up(reading, NOW, &mut out);
                },
                _ => {}
            }
        }
        logged = log.len();
        session.gap();
        for _ in 0..200 {
            match session.want() {
                Want::CatchUp(_) => {
                    let reading = page(&session, logged, 3);
                    session.caught_up(reading, NOW, &mut out);
                }
                Want::Finish(position) => {
                    prop_assert_eq!(position.offset, length);
                    let _ = session.finished(Finished::Closed, NOW, &mut out);
                }
                Want::Ended(_) => break,
                Want::Nothing => session.gap(),
            }
        }
        prop_assert_eq!(session.want(), Want::Ended(End::Finished));
        let ids: Vec<String> = parse(&out).into_iter().skip(1).map(|event| event.id).collect();
        let expected: Vec<String> = (1..=length).map(|n| format!("k1.{n}")).collect();
        prop_assert_eq!(ids, expected);
    }
}
