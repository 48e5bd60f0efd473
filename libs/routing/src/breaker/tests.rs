use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Opens after 3 in a row or below half of 10, pauses from 1 s to 8 s.
const SETTINGS: BreakerSettings = BreakerSettings {
    consecutive_failures: 3,
    window: Duration::from_secs(10),
    minimum_requests: 10,
    success_percent: 50,
    first_pause: SECOND,
    longest_pause: Duration::from_secs(8),
};

/// In the middle, where the jitter changes nothing.
const MIDDLE: f64 = 0.5;

fn one(breaker: &mut Breaker, verdict: Verdict, now: Duration) {
    let permit = breaker.admit(now).unwrap();
    breaker.settle(permit, verdict, now, MIDDLE);
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(SETTINGS);
    for _ in 0..3 {
        one(&mut breaker, Verdict::Failure, Duration::ZERO);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not_count_as_one() {
    let mut breaker = Breaker::new(SETTINGS);
    for verdict in [Verdict::Failure, Verdict::Failure, Verdict::Success, Verdict::Failure, Verdict::Failure]
    {
        one(&mut breaker, verdict, Duration::ZERO);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
    // Nothing known breaks no row.
    one(&mut breaker, Verdict::Unknown, Duration::ZERO);
    one(&mut breaker, Verdict::Failure, Duration::ZERO);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_bad_rate_opens_it_only_with_enough_requests_and_only_within_the_window() {
    let pattern = [Verdict::Failure, Verdict::Failure, Verdict::Success];
    let mut breaker = Breaker::new(SETTINGS);
    for verdict in pattern.into_iter().cycle().take(9) {
        one(&mut breaker, verdict, Duration::ZERO);
    }
    assert_eq!(breaker.state(), BreakerState::Closed, "nine are too few");
    let mut later = breaker.clone();
    one(&mut breaker, Verdict::Failure, 9 * SECOND);
    assert_eq!(breaker.state(), BreakerState::Open);
    one(&mut later, Verdict::Failure, 10 * SECOND);
    assert_eq!(later.state(), BreakerState::Closed, "the nine are forgotten");
}

#[test]
fn a_rate_that_is_just_good_enough_opens_nothing() {
    let mut breaker = Breaker::new(SETTINGS);
    // Half of them, which is what is asked for, and a failure last.
    for verdict in [Verdict::Success, Verdict::Failure].into_iter().cycle().take(40) {
        one(&mut breaker, verdict, Duration::ZERO);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
    one(&mut breaker, Verdict::Failure, Duration::ZERO);
    assert_eq!(breaker.state(), BreakerState::Open, "one less than half");
}

#[test]
fn exactly_one_request_goes_through_after_the_pause() {
    let mut breaker = opened();
    assert_eq!(breaker.admits_from(), Some(SECOND));
    assert_eq!(breaker.admit(Duration::from_nanos(999_999_999)), None);
    let probe = breaker.admit(SECOND).unwrap();
    assert_eq!((breaker.state(), breaker.admits_from()), (BreakerState::Probing, None));
    assert_eq!(breaker.admit(100 * SECOND), None);
    breaker.settle(probe, Verdict::Success, 100 * SECOND, MIDDLE);
    assert_eq!(breaker.state(), BreakerState::Closed);
    // It begins anew: neither old failures nor old pauses count.
    for _ in 0..2 {
        one(&mut breaker, Verdict::Failure, 100 * SECOND);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    one(&mut breaker, Verdict::Failure, 100 * SECOND);
    assert_eq!(breaker.admits_from(), Some(101 * SECOND));
}

#[test]
fn pauses_double_with_each_failed_probe_up_to_the_longest() {
    let mut breaker = opened();
    let mut now = Duration::ZERO;
    for expected in [1, 2, 4, 8, 8, 8] {
        let from = breaker.admits_from().unwrap();
        assert_eq!(from, now + expected * SECOND);
        now = from;
        one(&mut breaker, Verdict::Failure, now);
    }
}

#[test]
fn a_probe_that_finds_nothing_out_makes_room_for_the_next_at_once() {
    let mut breaker = opened();
    one(&mut breaker, Verdict::Unknown, SECOND);
    assert_eq!((breaker.state(), breaker.admits_from()), (BreakerState::Open, Some(SECOND)));
    one(&mut breaker, Verdict::Failure, SECOND);
    assert_eq!(breaker.admits_from(), Some(3 * SECOND), "it was no failed probe");
}

#[test]
fn what_was_sent_before_it_opened_neither_closes_nor_prolongs() {
    let mut breaker = Breaker::new(SETTINGS);
    let (early, other) = (breaker.admit(Duration::ZERO).unwrap(), breaker.admit(Duration::ZERO).unwrap());
    for _ in 0..3 {
        one(&mut breaker, Verdict::Failure, Duration::ZERO);
    }
    let probe = breaker.admit(SECOND).unwrap();
    breaker.settle(early, Verdict::Success, SECOND, MIDDLE);
    breaker.settle(other, Verdict::Failure, SECOND, MIDDLE);
    assert_eq!(breaker.state(), BreakerState::Probing);
    breaker.settle(probe, Verdict::Failure, SECOND, MIDDLE);
    assert_eq!(breaker.admits_from(), Some(3 * SECOND));
}

#[test]
fn another_endpoint_behind_the_address_begins_closed() {
    let mut breaker = opened();
    let probe = breaker.admit(SECOND).unwrap();
    breaker.forget();
    breaker.settle(probe, Verdict::Failure, SECOND, MIDDLE);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Success), Just(Verdict::Failure), Just(Verdict::Unknown)]
}

/// Send a request if it is let, or settle one of those under way; after so many milliseconds.
type Step = (u64, Option<(prop::sample::Index, Verdict)>, f64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let settle = prop::option::of((any::<prop::sample::Index>(), verdicts()));
    prop::collection::vec((0_u64..3_000, settle, 0.0_f64..1.0), 0..200)
}

proptest! {
    /// Whatever happens in whatever order: not two probes at a time, no pause beyond the longest, and once
    /// everything is settled it lets a request through after the longest pause at the latest.
    #[test]
    fn it_never_shuts_for_ever_and_never_probes_twice_at_a_time(steps in steps()) {
        let mut breaker = Breaker::new(SETTINGS);
        let mut now = Duration::ZERO;
        let mut under_way: Vec<(Permit, bool)> = Vec::new();
        for (millis, settle, random) in steps {
            now += Duration::from_millis(millis);
            match settle {
                None => {
                    let before = breaker.state();
                    if let Some(permit) = breaker.admit(now) {
                        prop_assert_ne!(before, BreakerState::Probing);
                        let probe = before == BreakerState::Open;
                        prop_assert!(!probe || !under_way.iter().any(|(_, probe)| *probe));
                        under_way.push((permit, probe));
                    }
                }
                Some((index, verdict)) if !under_way.is_empty() => {
                    let (permit, probe) = under_way.swap_remove(index.index(under_way.len()));
                    let before = breaker.state();
                    breaker.settle(permit, verdict, now, random);
                    // Only its probe decides while it probes.
                    prop_assert!(probe || before == BreakerState::Closed || breaker.state() == before);
                    prop_assert!(!probe || breaker.state() != BreakerState::Probing);
                }
                Some(_) => {}
            }
            let probing = under_way.iter().any(|(_, probe)| *probe);
            prop_assert_eq!(breaker.state() == BreakerState::Probing, probing);
            if let Some(from) = breaker.admits_from() {
                prop_assert!(from <= now + SETTINGS.longest_pause);
            }
        }
        for (permit, _) in under_way {
            breaker.settle(permit, Verdict::Unknown, now, 0.0);
        }
        prop_assert!(breaker.admit(now + SETTINGS.longest_pause).is_some());
    }

    #[test]
    fn pauses_are_jittered_by_a_fifth(random in 0.0_f64..1.0) {
        let mut breaker = Breaker::new(SETTINGS);
        for _ in 0..3 {
            let permit = breaker.admit(Duration::ZERO).unwrap();
            breaker.settle(permit, Verdict::Failure, Duration::ZERO, random);
        }
        let pause = breaker.admits_from().unwrap();
        prop_assert!(pause >= SECOND.mul_f64(0.799) && pause <= SECOND.mul_f64(1.201), "{:?}", pause);
    }

    #[test]
    fn successes_alone_never_open_it(millis in prop::collection::vec(0_u64..2_000, 0..300)) {
        let mut breaker = Breaker::new(SETTINGS);
        let mut now = Duration::ZERO;
        for step in millis {
            now += Duration::from_millis(step);
            one(&mut breaker, Verdict::Success, now);
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
        }
    }
}
