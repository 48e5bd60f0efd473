//! Histories made by hand: each promise kept, and each one broken in the ways in which it can be.

use fundbond_protocol::EventId;

use super::*;
use crate::{
    fact::{Farewell, Frame, Said, State},
    plan::{Desk, Habit, Job},
};

/// One stream, `desk0`, and one task of three steps.
const TASK: &str = "desk0-fund-0";

pub(super) fn plan() -> Plan {
    let work = Work::Steps { count: 3, delay: Duration::ZERO };
    let job = Job { task: task(), after: Duration::ZERO, work, cancel: None };
    let desk = Desk {
        at: Duration::ZERO,
        connection: connection(),
        habit: Habit::Stays,
        jobs: vec![job],
        notes: None,
    };
    Plan {
        calm_from: Duration::from_secs(90),
        ends: Duration::from_secs(100),
        desks: vec![desk],
        ..Plan::of_nothing(0, 2, 1)
    }
}

fn connection() -> ConnectionId {
    ConnectionId::parse("desk0").unwrap()
}

fn task() -> TaskId {
    TaskId::parse(TASK).unwrap()
}

/// A history, a line a fact, in the words of [`fact`].
fn history(lines: &[&str]) -> Vec<Fact> {
    let timed = lines.iter().zip(1..);
    timed.map(|(line, second)| Fact { at: Duration::from_secs(second), what: fact(line) }).collect()
}

/// `asks [last]`, `opened 200`, `connected [id]`, `id <id>`, `<id> <step>` (an event), `reset <id> [step]`,
/// `gone <why>`, `broken`, `submit`, `accepted`, `answered 503`, `state COMPLETED`, `break <kind>`.
/// A page other than 0 stands before, as in `1: asks`.
fn fact(line: &str) -> What {
    let (number, line) =
        line.split_once(": ").map_or((0, line), |(number, rest)| (number.parse().unwrap(), rest));
    let page = Page { connection: connection(), number };
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let frame = |name: Option<&str>, id: &str, said, snapshot| {
        let frame = Frame { name: name.map(str::to_owned), id: id.to_owned(), said, snapshot, number: None };
        What::Saw { page: page.clone(), frame }
    };
    match word {
        "asks" => What::Asks { page, last: rest.to_owned() },
        "opened" => What::Opened { page, status: rest.parse().unwrap(), by: None },
        "connected" => frame(Some("CONNECTED"), rest, None, Vec::new()),
        "heartbeat" => frame(Some("HEARTBEAT"), rest, None, Vec::new()),
        "id" => frame(None, rest, None, Vec::new()),
        "moved" => frame(Some("REPLACED"), rest, Some(said("moved")), Vec::new()),
        "reset" => {
            let (id, steps) = rest.split_once(' ').unwrap_or((rest, ""));
            frame(Some("RESET"), id, None, steps.split_whitespace().map(said).collect())
        }
        "gone" => What::Gone {
            page,
            why: match rest {
                "finished" => Farewell::Finished,
                "replaced" => Farewell::Replaced,
                _ => Farewell::Over,
            },
        },
        "broken" => What::Ended { page, how: Ending::Broken("reset".to_owned()) },
        "silent" => What::Ended { page, how: Ending::Silent },
        "submit" => What::Submits { task: task() },
        "accepted" => What::Answered { task: task(), status: 202 },
        "answered" => What::Answered { task: task(), status: rest.parse().unwrap() },
        "state" => {
            let last = ["COMPLETED", "FAILED", "CANCELLED"].contains(&rest);
            let state = (rest != "unknown").then(|| State { status: rest.to_owned(), last });
            What::State { task: task(), state }
        }
        "break" => {
            let kind = <FaultKind as clap::ValueEnum>::from_str(rest, false).unwrap();
            What::Breaks { fault: 0, kind, target: String::new() }
        }
        "held" => What::Holder { connection: connection(), pod: (!rest.is_empty()).then(|| rest.to_owned()) },
        "died" => What::Died { process: "pod-1".to_owned(), how: rest.to_owned() },
        "line" => What::Line { process: "pod-1".to_owned(), text: rest.to_owned() },
        "key" => What::Key { key: rest.to_owned(), why: String::new() },
        id => frame(Some("EVENT"), id, Some(said(rest)), Vec::new()),
    }
}

fn said(step: &str) -> Said {
    let (step, status) = match step {
        "completed" => ("final", "COMPLETED"),
        "failed" => ("final", "FAILED"),
        "cancelled" => ("cancelled", "CANCELLED"),
        "processing" => (step, "PROCESSING"),
        _ => (step, "SUBTASK_COMPLETED"),
    };
    let last = matches!(step, "final" | "cancelled");
    Said { task: task(), event: EventId::of_step(&task(), step), status: status.to_owned(), last }
}

/// The rules that a history breaks.
fn broken(lines: &[&str]) -> Vec<Rule> {
    let mut rules: Vec<_> =
        check(&plan(), &history(lines)).into_iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// A whole history with one part of it replaced.
fn with<'a>(from: &str, to: &[&'a str]) -> Vec<&'a str> {
    let at = GOOD.iter().position(|line| *line == from).unwrap();
    [&GOOD[..at], to, &GOOD[at + 1..]].concat()
}

const GOOD: [&str; 16] = [
    "asks",
    "opened 200",
    "connected k.0",
    "submit",
    "accepted",
    "k.1 processing",
    "k.2 1",
    "heartbeat k.2",
    "broken",
    "asks k.2",
    "connected k.2",
    "k.3 2",
    "k.4 3",
    "k.5 completed",
    "gone finished",
    "state COMPLETED",
];

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(broken(&GOOD), []);
    // An id alone stands for an event that a filter left out; a RESET takes the place of what is gone.
    assert_eq!(broken(&with("heartbeat k.2", &["answered 503", "submit", "accepted"])), []);
    let reset = ["connected", "reset m.9 2", "m.10 3"];
    let told = [&GOOD[..10], &reset, &["m.11 completed", "gone finished", "state COMPLETED"]].concat();
    assert_eq!(broken(&told), []);
    // A final may be repeated across a RESET, in it and after it.
    let again = with("gone finished", &["connected", "reset m.9", "m.10 completed", "gone finished"]);
    assert_eq!(broken(&[&["break redis-flush"], &again[..]].concat()), []);
}

#[test]
fn offsets_rise_by_one() {
    assert_eq!(broken(&with("k.3 2", &["k.4 2"])), [Rule::NothingMissing, Rule::NothingTwice]);
    assert_eq!(broken(&with("heartbeat k.2", &["id k.4"])), [Rule::NothingMissing]);
    assert_eq!(broken(&with("k.2 1", &["k.2 1", "k.2 1"])), [Rule::NothingTwice, Rule::StepsInOrder]);
    assert_eq!(broken(&with("connected k.0", &[])), [Rule::NothingMissing]);
}

#[test]
fn a_stream_goes_on_where_it_was_asked_to() {
    assert_eq!(
        broken(&with("connected k.2", &["connected k.1"])),
        [Rule::NothingMissing, Rule::ResumesWhereAsked]
    );
    assert_eq!(
        broken(&with("connected k.0", &["connected k.1"])),
        [Rule::NothingTwice, Rule::ResumesWhereAsked]
    );
}

#[test]
fn a_new_history_begins_with_a_reset() {
    let silent = with("k.3 2", &["m.3 2"]);
    assert!(broken(&silent).contains(&Rule::NewHistoryIsTold));
    let announced = with("connected k.2", &["connected"]);
    assert_eq!(broken(&announced), [Rule::NewHistoryIsTold]);
}

#[test]
fn a_reset_says_what_is_so() {
    let end = ["m.9 2", "m.10 3", "m.11 completed", "gone finished", "state COMPLETED"];
    let reset = |line: &'static str| [&GOOD[..10], &["connected", line], &end].concat();
    assert_eq!(broken(&reset("reset m.8 1")), []);
    // It takes the task back.
    assert_eq!(broken(&reset("reset m.8 processing")), [Rule::ResetIsTrue, Rule::StepsInOrder]);
    // It forgets the task, and may do so only if Redis did.
    assert_eq!(broken(&reset("reset m.8")), [Rule::ResetIsTrue]);
    assert_eq!(broken(&[&["break redis-flush"], &reset("reset m.8")[..]].concat()), []);
    // It goes back in the same history.
    let back =
        [&GOOD[..10], &["connected", "reset k.1 1", "k.2 2", "k.3 3", "k.4 completed"], &GOOD[14..]].concat();
    assert_eq!(broken(&back), [Rule::ResetIsTrue]);
    // It opens a task again that had ended.
    let opened = with("gone finished", &["connected", "reset m.9 3", "m.10 completed", "gone finished"]);
    assert_eq!(broken(&opened), [Rule::ResetIsTrue]);
}

#[test]
fn nothing_follows_the_end_of_a_task() {
    assert_eq!(broken(&with("gone finished", &["k.6 4", "gone finished"])), [Rule::NothingAfterTheEnd]);
    let repeated = broken(&with("gone finished", &["k.6 completed", "gone finished"]));
    assert_eq!(repeated, [Rule::NothingTwice, Rule::NothingAfterTheEnd]);
    let after_reset = with("gone finished", &["connected", "reset m.9 completed", "m.10 3", "gone finished"]);
    assert_eq!(broken(&after_reset), [Rule::NothingAfterTheEnd]);
}

#[test]
fn steps_come_in_order_and_all_before_the_end() {
    assert_eq!(broken(&with("k.2 1", &["k.2 2"])), [Rule::NothingTwice, Rule::StepsInOrder]);
    let short = [&GOOD[..12], &["k.4 completed"], &GOOD[14..]].concat();
    assert_eq!(broken(&short), [Rule::StepsInOrder]);
    let half = with("k.1 processing", &["id k.1"]);
    assert_eq!(broken(&half), [Rule::StepsInOrder]);
    assert_eq!(broken(&[&["break redis-flush"], &half[..]].concat()), []);
}

#[test]
fn whoever_stays_sees_the_end_of_what_was_accepted() {
    let unseen = |gone: &'static str| [&GOOD[..13], &[gone, "state COMPLETED"]].concat();
    assert_eq!(broken(&unseen("gone over")), [Rule::AcceptedIsSeen]);
    assert_eq!(broken(&unseen("gone finished")), [Rule::AcceptedIsSeen]);
    // A RESET that says so is enough, and so is another page where this one was sent away.
    let told =
        [&GOOD[..10], &["connected", "reset m.8 completed", "gone finished", "state COMPLETED"]].concat();
    assert_eq!(broken(&told), []);
    let elsewhere =
        ["1: connected k.0", "1: k.1 processing", "1: k.2 1", "1: k.3 2", "1: k.4 3", "1: k.5 completed"];
    let replaced =
        [&GOOD[..13], &["gone replaced"], &elsewhere, &["1: gone finished", "state COMPLETED"]].concat();
    assert_eq!(broken(&replaced), []);
    // Who moved to another stream is told there.
    let moved = [&GOOD[..13], &["moved k.5", "gone finished", "state COMPLETED"]].concat();
    assert_eq!(broken(&moved), []);
    // What was never accepted is owed to nobody.
    let refused = ["asks", "opened 200", "connected k.0", "submit", "answered 503", "gone over"];
    assert_eq!(broken(&refused), [Rule::Accepts]);
}

#[test]
fn what_was_accepted_is_final_and_has_one_end() {
    assert_eq!(broken(&with("state COMPLETED", &["state PROCESSING"])), [Rule::AcceptedIsFinished]);
    assert_eq!(broken(&with("state COMPLETED", &["state unknown"])), [Rule::AcceptedIsFinished]);
    assert_eq!(broken(&GOOD[..15]), [Rule::AcceptedIsFinished]);
    assert_eq!(broken(&with("state COMPLETED", &["state FAILED"])), [Rule::OneEnd]);
    let other = ["1: connected k.0", "1: k.1 cancelled", "1: gone replaced"];
    assert_eq!(
        broken(&with("state COMPLETED", &[&other[..], &["state COMPLETED"]].concat())),
        [Rule::OneEnd]
    );
}

#[test]
fn only_a_redis_that_forgot_and_a_pod_that_ended_excuse_a_task() {
    let lost = |faults: &[&'static str]| [&GOOD[..8], faults, &["gone over", "state unknown"]].concat();
    let missing = [Rule::AcceptedIsSeen, Rule::AcceptedIsFinished];
    assert_eq!(broken(&lost(&["break redis-flush"])), missing);
    assert_eq!(broken(&lost(&["break pod-kill"])), missing);
    // The Redis of this plan finds its data again.
    assert_eq!(broken(&lost(&["break redis-restart", "break pod-kill"])), missing);
    assert_eq!(broken(&lost(&["break redis-flush", "break pod-kill"])), []);
    assert_eq!(excused(&plan(), &history(&lost(&["break redis-flush", "break pod-kill"]))), 1);
    assert_eq!(excused(&plan(), &history(&GOOD)), 0);
}

#[test]
fn submissions_are_accepted_in_the_end_and_refused_never() {
    assert_eq!(broken(&with("accepted", &["accepted", "answered 409"])), [Rule::Accepts]);
}

#[test]
fn of_all_pages_the_last_one_stays() {
    let all = with("gone finished", &["gone replaced"]);
    assert_eq!(broken(&all), [Rule::SomebodyReads]);
}

#[test]
fn what_is_wrong_by_itself_is_found() {
    for (line, rule) in [
        ("opened 503", Rule::NeverRefused),
        ("silent", Rule::NeverSilent),
        ("held", Rule::OpenIsRegistered),
        ("died by itself", Rule::NobodyDies),
        ("line panicked", Rule::LogsAreClean),
        ("key left", Rule::NothingStays),
    ] {
        assert_eq!(broken(&[&GOOD[..8], &[line], &GOOD[8..]].concat()), [rule], "{line}");
    }
    assert_eq!(broken(&[&GOOD[..8], &["opened 204", "held pod-a"], &GOOD[8..]].concat()), []);
}

#[test]
fn a_figure_that_is_not_reached_or_not_measured_is_a_violation() {
    let limit = |median| crate::plan::Limit {
        kind: FaultKind::PodKill,
        median: Duration::from_secs(median),
        p99: Duration::from_mins(1),
    };
    let hit = history(&with("heartbeat k.2", &["break pod-kill"]));
    for (median, want) in [(1, vec![Rule::SoonWhole]), (10, vec![])] {
        let plan = Plan { limits: vec![limit(median)], ..plan() };
        let rules: Vec<_> = check(&plan, &hit).into_iter().map(|violation| violation.rule).collect();
        assert_eq!(rules, want, "median {median} s");
    }
    let plan = Plan { limits: vec![limit(10)], ..plan() };
    assert_eq!(check(&plan, &history(&GOOD))[0].rule, Rule::SoonWhole);
}

#[test]
fn an_excerpt_has_what_concerns_the_violation_and_the_faults_in_between() {
    let mut lines = with("heartbeat k.2", &["break pod-cut", "1: connected k.0"]);
    lines.insert(0, "break pod-kill");
    let facts = history(&[&lines[..], &["held pod-a"]].concat());
    let mut violation = Violation::of_page(
        Rule::NothingMissing,
        Duration::from_secs(14),
        &Page { connection: connection(), number: 0 },
        "",
    );
    let shown = |violation: &Violation| -> Vec<String> {
        excerpt(&facts, violation).iter().map(|fact| fact.what.to_string()).collect()
    };
    let of_page = shown(&violation);
    assert!(
        of_page.iter().any(|line| line.contains("pod-cut")) && !of_page[0].contains("pod-kill"),
        "{of_page:?}"
    );
    assert!(!of_page.iter().any(|line| line.contains("submitted")), "{of_page:?}");
    violation = violation.about(&task());
    let of_task = shown(&violation);
    assert!(of_task.iter().any(|line| line.contains("submitted")), "{of_task:?}");
}
