//! Which events of other publishers a session takes.

use std::sync::Arc;

use fundbond_protocol::{ConnectionId, Epoch, ForeignEvent, PodId, TaskId};
use fundbond_store::{Generation, Opened, Outcome, Reading};
use jiff::Timestamp;

use super::session::{Claim, End, Session};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn event(of: &str) -> Arc<ForeignEvent> {
    let message = format!(r#"{{"correlationId":"{of}","status":"TEST"}}"#);
    Arc::new(ForeignEvent::parse(message.as_bytes(), "n", NOW).unwrap())
}

fn session() -> Session {
    Session::new(ConnectionId::parse("c").unwrap(), PodId::parse("pod-a-1~aaaaaaaa").unwrap(), [])
}

/// The answer to the registration: generation 7, and one task `t`.
fn register(session: &mut Session) {
    let epoch: Epoch = "k1".parse().unwrap();
    let reading = Reading { epoch, end: 0, open: Some(1), outcome: Outcome::Entries(Vec::new()) };
    let tasks = vec![(TaskId::parse("t").unwrap(), false)];
    session.registered(Opened { generation: Generation(7), reading, tasks }, NOW, &mut Vec::new());
}

fn early(session: &mut Session) -> Vec<String> {
    session.early().iter().map(|event| event.task.to_string()).collect()
}

// Tells `foreign_local`.
#[test]
fn a_session_takes_what_is_about_it_once_the_bus_said_that_it_has_the_stream() {
    let mut session = session();
    register(&mut session);
    assert_eq!(
        session.foreign(&event("t")),
        Claim::Leave,
        "somebody else may have had it when this was said"
    );
    session.gained(Generation(6));
    assert_eq!(session.foreign(&event("t")), Claim::Leave, "that was an earlier registration");
    session.gained(Generation(7));
    for (of, claim) in [("t", Claim::Take), ("c", Claim::Take), ("u", Claim::Leave)] {
        assert_eq!(session.foreign(&event(of)), claim, "{of}");
    }
}

#[test]
fn after_a_gap_a_session_takes_nothing_until_the_bus_says_again_that_it_has_the_stream() {
    let mut session = session();
    register(&mut session);
    session.gained(Generation(7));
    session.gap();
    assert!(!session.has_gained());
    assert_eq!(session.foreign(&event("t")), Claim::Leave);
    session.gained(Generation(7));
    assert_eq!(session.foreign(&event("t")), Claim::Take);
}

#[test]
fn a_session_that_lost_its_stream_takes_nothing_more() {
    let mut session = session();
    register(&mut session);
    session.gained(Generation(7));
    session.lost(Generation(8), End::Replaced, NOW, &mut Vec::new());
    assert_eq!(session.foreign(&event("t")), Claim::Leave);
}

#[test]
fn what_comes_before_the_answer_is_judged_by_what_was_known_when_it_came() {
    let mut session = session();
    assert_eq!(session.foreign(&event("t")), Claim::Later);
    session.gained(Generation(7));
    for of in ["t", "c", "u"] {
        assert_eq!(session.foreign(&event(of)), Claim::Later, "whose tasks they are shows with the answer");
    }
    register(&mut session);
    assert_eq!(early(&mut session), ["t", "c"], "the first was another's");
    assert!(session.early().is_empty());
}

#[test]
fn what_comes_before_the_answer_is_bounded() {
    let mut session = session();
    session.gained(Generation(7));
    let claims: Vec<_> = (0..100).map(|_| session.foreign(&event("c"))).collect();
    let kept = claims.iter().filter(|claim| **claim == Claim::Later).count();
    assert!(kept < 100 && claims[kept..].iter().all(|claim| *claim == Claim::Drop), "{claims:?}");
    register(&mut session);
    assert_eq!(session.early().len(), kept);
}

#[test]
fn only_so_many_events_wait_for_the_registration() {
    let mut session = session();
    for number in 0..64 {
        assert_eq!(session.foreign(&event("c")), Claim::Later, "{number}");
    }
    assert_eq!(session.foreign(&event("c")), Claim::Drop);
}

#[test]
fn the_greatest_gain_counts_until_something_was_missed() {
    let mut session = session();
    assert_eq!(session.gain(), None);
    for gained in [5, 6, 4] {
        session.gained(Generation(gained));
    }
    assert_eq!(session.gain(), Some(Generation(6)));
    session.gap();
    assert_eq!(session.gain(), None);
}
