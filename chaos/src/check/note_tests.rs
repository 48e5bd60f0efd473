//! What is sent to people: histories made by hand, of a user who is sent five notes.

use fundbond_protocol::UserId;

use super::{tests::plan, *};
use crate::{
    fact::{Farewell, Frame},
    plan::{Desk, Habit, Notes},
    post::{NOTE, NOTICE},
};

fn user() -> ConnectionId {
    ConnectionId::of_user(&UserId::parse("reader0").unwrap())
}

/// The rules that a history breaks.
fn broken(lines: &[&str]) -> Vec<Rule> {
    let mut rules: Vec<_> = check_of(lines).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

/// What is wrong with a history, each line of which is ten seconds after the one before.
fn check_of(lines: &[&str]) -> Vec<Violation> {
    let desk = Desk {
        at: Duration::ZERO,
        connection: user(),
        habit: Habit::Stays,
        jobs: Vec::new(),
        notes: Some(Notes { count: 5, gap: Duration::ZERO }),
    };
    let plan = Plan { desks: vec![desk], ..plan() };
    let timed = lines.iter().zip(1..);
    let facts: Vec<_> =
        timed.map(|(line, n)| Fact { at: Duration::from_secs(10 * n), what: fact(line) }).collect();
    check(&plan, &facts)
}

/// `asks [last]`, `connected [id]`, `reset <id>`, `<id> note <n>`, `<id> notice <n>`, `send <n>`, `sent <n> <status>`, `all <n>`
/// (a notice is sent), `heard <n>` (and accepted), `gone <why>`, `broken`, `break <kind>`.
fn fact(line: &str) -> What {
    let page = Page { connection: user(), number: 0 };
    let mut words = line.split(' ');
    let word = words.next().unwrap();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let frame = |name: &str, id: &str, number| {
        let frame = Frame { name: Some(name.to_owned()), id: id.to_owned(), number, ..Frame::default() };
        What::Saw { page: page.clone(), frame }
    };
    let number = |text: &str| text.parse::<u32>().unwrap();
    match word {
        "asks" => What::Asks { page, last: first.to_owned() },
        "connected" => frame("CONNECTED", first, None),
        "reset" => frame("RESET", first, None),
        "send" => What::Sends { to: Some(user()), number: number(first) },
        "sent" => What::Sent { to: Some(user()), number: number(first), status: second.parse().ok() },
        "all" => What::Sends { to: None, number: number(first) },
        "heard" => What::Sent { to: None, number: number(first), status: Some(202) },
        "gone" if first == "left" => What::Gone { page, why: Farewell::Left },
        "gone" => What::Gone { page, why: Farewell::Replaced },
        "broken" => What::Ended { page, how: Ending::Broken("reset".to_owned()) },
        "break" => {
            let kind = <FaultKind as clap::ValueEnum>::from_str(first, false).unwrap();
            What::Breaks { fault: 0, kind, target: String::new() }
        }
        id => frame(if first == NOTE { NOTE } else { NOTICE }, id, Some(number(second))),
    }
}

const GOOD: [&str; 12] = [
    "asks",
    "connected k.0",
    "send 0",
    "sent 0 202",
    "k.1 note 0",
    "k.2 note 1",
    "broken",
    "asks k.2",
    "connected k.2",
    "k.3 note 2",
    "k.4 note 3",
    "k.5 note 4",
];

#[test]
fn notes_come_in_order_and_whole_over_reconnects() {
    assert_eq!(broken(&[&GOOD[..], &["gone left"]].concat()), []);
    // One is missing, comes twice, or is the last that never comes.
    let with = |from: usize, lines: &[&'static str]| broken(&[&GOOD[..from], lines].concat());
    assert_eq!(with(9, &["k.3 note 3", "k.4 note 4"]), [Rule::SentIsSeen]);
    assert_eq!(with(9, &["k.3 note 1", "k.4 note 2", "k.5 note 3", "k.6 note 4"]), [Rule::NothingTwice]);
    assert_eq!(with(11, &["gone left"]), [Rule::SentIsSeen]);
    assert_eq!(with(11, &["gone replaced"]), [Rule::SomebodyReads]);
    // The first one of a whole log is the first that was sent.
    assert_eq!(with(4, &["k.1 note 1", "k.2 note 2", "k.3 note 3", "k.4 note 4"]), [Rule::SentIsSeen]);
}

#[test]
fn only_a_reset_excuses_notes_that_were_sent_before_it() {
    let reset = |lines: &[&'static str]| broken(&[&GOOD[..7], &["send 2", "asks k.2"], lines].concat());
    assert_eq!(reset(&["connected", "reset m.9", "m.10 note 3", "m.11 note 4"]), []);
    // It may repeat what came before it.
    assert_eq!(
        reset(&["connected", "reset m.9", "m.10 note 1", "m.11 note 2", "m.12 note 3", "m.13 note 4"]),
        []
    );
    // What somebody slept over may come late, and stands outside the order.
    let late = ["connected", "reset m.9", "m.10 note 2", "m.11 note 0", "m.12 note 3", "m.13 note 4"];
    assert_eq!(broken(&[&["send 0"], &GOOD[..2], &GOOD[4..7], &["asks k.2"], &late[..]].concat()), []);
    let later = ["connected", "reset m.9", "send 3", "m.10 note 4"];
    assert_eq!(reset(&later), [Rule::SentIsSeen]);
}

#[test]
fn a_new_page_gets_what_the_log_has_and_a_redis_that_forgot_has_less() {
    let new = ["asks", "connected m.0", "m.1 note 3", "m.2 note 4"];
    assert_eq!(broken(&[&["send 0", "send 3"], &new[..]].concat()), [Rule::SentIsSeen]);
    assert_eq!(broken(&[&["send 0", "break redis-flush"], &new[..]].concat()), []);
    let later = ["asks", "connected m.0", "send 3", "m.1 note 4"];
    assert_eq!(broken(&[&["break redis-flush"], &later[..]].concat()), [Rule::SentIsSeen]);
}

#[test]
fn whoever_is_there_all_the_while_gets_a_notice_once() {
    let there = |lines: &[&'static str]| {
        let begin = ["asks", "connected k.0", "k.1 note 0", "k.2 note 1", "all 0", "heard 0"];
        broken(&[&begin, lines, &["send 2", "k.8 note 2", "k.9 note 3", "k.10 note 4", "broken"]].concat())
    };
    let of_order = Rule::NothingMissing;
    let found = |lines: &[&'static str]| -> Vec<_> {
        there(lines).into_iter().filter(|rule| *rule != of_order).collect()
    };
    assert_eq!(found(&["k.3 notice 0"]), []);
    assert_eq!(found(&[]), [Rule::SentIsSeen]);
    assert_eq!(found(&["k.3 notice 0", "k.4 notice 0"]), [Rule::NothingTwice]);
    // Whoever was not there for long, or not any more, may have missed it; and whom the store forgot.
    assert_eq!(found(&["break redis-flush"]), []);
    assert_eq!(found(&["broken", "asks k.2", "connected k.2"]), []);
    // Nor has a slow reader seen it who has not seen what was sent after it: here, only the end of the notes is missing.
    let behind =
        ["asks", "connected k.0", "send 1", "k.1 note 0", "all 0", "heard 0", "k.2 note 1", "gone left"];
    let found = check_of(&behind);
    assert!(found.len() == 1 && found[0].text.contains("the end was never seen"), "{found:?}");
}

#[test]
fn what_is_refused_for_good_is_a_violation() {
    let refused =
        |status: &'static str| broken(&[&GOOD[..3], &[status], &GOOD[4..], &["gone left"]].concat());
    assert_eq!(refused("sent 0 503"), []);
    assert_eq!(refused("sent 0 none"), []);
    assert_eq!(refused("sent 0 422"), [Rule::Accepts]);
}
