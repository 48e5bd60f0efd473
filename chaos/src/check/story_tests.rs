//! What stories promise: each promise kept, and each one broken in the ways in which it can be.

use super::{tests::plan, *};
use crate::{check::story::figures, plan::Promise};

fn facts(timed: &[(u64, What)]) -> Vec<Fact> {
    timed.iter().map(|(at, what)| Fact { at: Duration::from_secs(*at), what: what.clone() }).collect()
}

/// The rules that these facts break where only this is promised.
fn broken(promise: &Promise, timed: &[(u64, What)]) -> Vec<Rule> {
    let plan = Plan { promises: vec![promise.clone()], ..plan() };
    let of_story = [
        Rule::SoonWhole,
        Rule::OpenIsRegistered,
        Rule::OnlyTheDeadAreBuried,
        Rule::NobodyElseIsHit,
        Rule::LateOrdersAreRefused,
    ];
    let found = check(&plan, &facts(timed));
    found.into_iter().map(|violation| violation.rule).filter(|rule| of_story.contains(rule)).collect()
}

fn breaks(fault: usize, kind: FaultKind) -> What {
    What::Breaks { fault, kind, target: "pod 1".to_owned() }
}

fn mended(fault: usize) -> What {
    What::Mended { fault, kind: FaultKind::Ghost }
}

fn registrations(missing: &[&str]) -> What {
    let missing = missing.iter().map(|name| ConnectionId::parse(*name).unwrap()).collect();
    What::Registrations { open: 5, missing }
}

fn left(process: &str, registrations: usize, keys: &[&str]) -> What {
    let keys = keys.iter().map(ToString::to_string).collect();
    What::Left { process: process.to_owned(), pod: format!("{process}~x"), registrations, keys }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_stream_that_two_looks_find_open_and_unregistered_has_lost_its_registration() {
    let check = |timed: &[(u64, What)]| broken(&Promise::AlwaysRegistered, timed);
    let (a, b) = (["a"], ["b"]);
    let whole = || registrations(&[]);
    assert_eq!(check(&[(1, whole()), (2, registrations(&a)), (3, whole())]), []);
    assert_eq!(check(&[(1, registrations(&a)), (2, registrations(&b))]), []);
    assert_eq!(check(&[(1, registrations(&a)), (2, registrations(&a))]), [Rule::OpenIsRegistered]);
    // Who never looked has seen nothing.
    assert_eq!(check(&[(1, mended(0))]), [Rule::OpenIsRegistered]);
}

#[test]
fn registrations_are_back_when_every_look_until_the_next_fault_finds_them() {
    let promise = Promise::RegisteredAgain { fault: 0, within: seconds(10) };
    let begun = (10, breaks(0, FaultKind::RedisFlush));
    let lost = || registrations(&["a"]);
    let good = [
        begun.clone(),
        (12, lost()),
        (15, registrations(&[])),
        (22, breaks(1, FaultKind::RedisFlush)),
        (23, lost()),
    ];
    assert_eq!(broken(&promise, &good), []);
    let plan = Plan { promises: vec![promise.clone()], ..plan() };
    assert_eq!(figures(&plan, &facts(&good))[0].seconds, Some(5.0));
    let again = |twice: &[(u64, What)]| {
        broken(&promise, &[&good[..3], &[(16, lost())], twice, &[(21, registrations(&[]))]].concat())
    };
    assert_eq!(again(&[]), []);
    assert_eq!(again(&[(17, lost())]), [Rule::SoonWhole]);
    assert_eq!(broken(&promise, &good[..2]), [Rule::SoonWhole]);
    assert_eq!(broken(&promise, &[]), [Rule::SoonWhole]);
}

#[test]
fn a_pod_is_swept_when_neither_streams_nor_keys_of_it_are_left() {
    let promise = Promise::Swept { fault: 0, within: seconds(55) };
    let kill = (10, breaks(0, FaultKind::PodKill));
    let swept = |last| [kill.clone(), (11, left("pod 1", 3, &["k"])), (50, left("pod 1", 0, &["k"])), last];
    assert_eq!(broken(&promise, &swept((65, left("pod 1", 0, &[])))), []);
    assert_eq!(broken(&promise, &swept((66, left("pod 1", 0, &[])))), [Rule::SoonWhole]);
    assert_eq!(broken(&promise, &swept((60, left("pod 2", 0, &[])))), [Rule::SoonWhole]);
}

#[test]
fn what_waits_on_purpose_may_be_over_too_soon_as_well_as_too_late() {
    let promise = Promise::Over { fault: 0, after: seconds(30), within: seconds(125) };
    let over = |at| broken(&promise, &[(10, breaks(0, FaultKind::Ghost)), (at, mended(0))]);
    assert_eq!(over(40), []);
    assert_eq!(over(39), [Rule::SoonWhole]);
    assert_eq!(over(136), [Rule::SoonWhole]);
    assert_eq!(broken(&promise, &[(10, breaks(0, FaultKind::Ghost)), (40, mended(1))]), [Rule::SoonWhole]);
}

#[test]
fn whoever_runs_is_not_declared_dead() {
    let told = (9, What::BuriedAlive { process: "pod-1".to_owned(), pod: "pod-a~x".to_owned() });
    assert_eq!(broken(&Promise::NoneBuriedAlive, &[]), []);
    assert_eq!(broken(&Promise::NoneBuriedAlive, &[told]), [Rule::OnlyTheDeadAreBuried]);
}

#[test]
fn streams_break_for_the_reason_that_the_story_is_about_alone() {
    let page = Page { connection: ConnectionId::parse("desk0").unwrap(), number: 0 };
    let ended = || What::Ended { page: page.clone(), how: Ending::Closed };
    let frame =
        crate::fact::Frame { name: Some("CONNECTED".to_owned()), id: "k.0".to_owned(), ..Default::default() };
    let connected = || What::Saw { page: page.clone(), frame: frame.clone() };
    let promise = Promise::HitOnlyBy(vec![FaultKind::PodKill]);
    let hit = [(1, breaks(0, FaultKind::PodKill)), (2, ended()), (3, connected())];
    assert_eq!(broken(&promise, &hit), []);
    assert_eq!(broken(&promise, &hit[1..]), [Rule::NobodyElseIsHit]);
    let other = [(1, breaks(0, FaultKind::Ghost)), (2, ended()), (3, connected())];
    assert_eq!(broken(&promise, &other), [Rule::NobodyElseIsHit]);
}

#[test]
fn the_next_leader_ends_the_sweep_and_the_old_one_is_refused() {
    let promise = Promise::LeaderFollowed { fault: 1, within: seconds(25) };
    let midway = |left| What::Midway { pod: "pod 1~x".to_owned(), of: 300, left, token: 7 };
    let order = |refused| What::LateOrder { token: 7, refused };
    let led = |token| What::Led { process: "pod-3".to_owned(), token };
    let story = |midway, swept, order: Option<What>, token| {
        let begun = [(70, midway), (71, breaks(1, FaultKind::LeaderPause)), (swept, left("pod 1", 0, &[]))];
        let rest = order.map(|order| (97, order)).into_iter().chain([(110, led(token))]);
        broken(&promise, &begun.into_iter().chain(rest).collect::<Vec<_>>())
    };
    assert_eq!(story(midway(200), 88, Some(order(true)), 9), []);
    assert_eq!(story(midway(200), 97, Some(order(true)), 9), [Rule::SoonWhole]);
    assert_eq!(story(midway(200), 88, Some(order(false)), 9), [Rule::LateOrdersAreRefused]);
    // Nothing was refused where nothing came.
    assert_eq!(story(midway(200), 88, None, 9), [Rule::LateOrdersAreRefused]);
    assert_eq!(story(midway(200), 88, Some(order(true)), 7), [Rule::LateOrdersAreRefused]);
    // Before a sweep, or after it, is not in the middle.
    assert!(story(midway(300), 88, Some(order(true)), 9).contains(&Rule::LateOrdersAreRefused));
    assert!(story(midway(0), 88, Some(order(true)), 9).contains(&Rule::LateOrdersAreRefused));
}
