//! The plans of stories that have figures to reach.

use std::time::Duration;

use fundbond_protocol::IdError;

use super::{
    Clock, Desk, FaultKind, Habit, Limit, Plan, Planned, Promise, Size, Target, Work, desk, draw::DrawnJob,
};
use crate::args::Scenario;

/// Users of [`Scenario::RestartRace`].
const USERS: usize = 2_000;

/// Streams of [`Scenario::Kill`], of which each second one has a task when pods are killed.
const STREAMS: usize = 400;

/// Streams of the other stories: enough for each pod to hold many.
const FEW: usize = 80;

/// Streams of [`Scenario::LeaderPause`] that nobody comes back for. A sweep takes away a hundred in one order, and what a
/// quarter of these leaves behind takes three.
const QUITTERS: usize = 1_200;

/// A pod that is killed is dead after 30 s, somebody else leads 20 s after a leader was killed, and sweeps each 5 s.
const SWEPT: u64 = 30 + 20 + 5;

/// Where most pods look dead, the leader waits for a minute more.
const BREAKER: u64 = 60;

/// Kills this early are followed by burials on time: a server must be known for a minute before anybody is buried.
const SETTLED: u64 = 35;

/// The plan of a story.
///
/// # Errors
/// Where a name of ours is none, which is a mistake here.
pub fn plan(story: Scenario, seed: u64, size: &Size) -> Result<Plan, IdError> {
    let nothing = Plan::of_nothing(seed, size.pods, size.proxies);
    match story {
        Scenario::RestartRace => restart_race(nothing),
        Scenario::Kill => kill(nothing),
        Scenario::Pause => pause(nothing),
        Scenario::Flush => flush(nothing),
        Scenario::LeaderPause => leader_pause(nothing),
        Scenario::Ghost => ghost(nothing),
        Scenario::Clock => clock(nothing, HONEST),
        Scenario::ClockAhead => clock(nothing, AHEAD),
        Scenario::ClockBehind => clock(nothing, BEHIND),
    }
}

/// All come, their pods go and come again one after the other, and each user still has one stream. How soon is not asked:
/// two thousand who come back to one machine at once wait for its processors.
fn restart_race(nothing: Plan) -> Result<Plan, IdError> {
    Ok(Plan {
        calm_from: seconds(48),
        ends: seconds(110),
        desks: desks(USERS, 8_000, |number| waits(number, 51))?,
        faults: vec![
            planned(12, Some(1), FaultKind::PodKill, Target::Pod(0)),
            planned(20, Some(1), FaultKind::PodKill, Target::Pod(1)),
            planned(28, Some(10), FaultKind::PodTerm, Target::Pod(2)),
        ],
        // While the second comes back, and ten seconds after the third.
        checks: vec![seconds(26), seconds(48)],
        ..nothing
    })
}

/// One of the pods is killed for good; when nothing is left of it, two of those left. Then three of four look dead, the
/// leader waits out its breaker, and one pod runs what was left.
fn kill(nothing: Plan) -> Result<Plan, IdError> {
    const FIRST: u64 = SETTLED;
    const SECOND: u64 = FIRST + SWEPT + 5;
    let swept = |fault, within| Promise::Swept { fault, within: seconds(within) };
    Ok(Plan {
        calm_from: seconds(SECOND + 15),
        ends: seconds(SECOND + 240),
        desks: desks(STREAMS, 5_000, |number| match number % 2 {
            0 => (Habit::Stays, vec![long(FIRST - 10), long(SECOND - 10)]),
            _ => waits(number / 2, SECOND + 20),
        })?,
        faults: vec![
            planned(FIRST, None, FaultKind::PodKill, Target::Pod(0)),
            planned(SECOND, None, FaultKind::PodKill, Target::Pod(1)),
            planned(SECOND, None, FaultKind::PodKill, Target::Pod(2)),
        ],
        limits: vec![Limit { kind: FaultKind::PodKill, median: seconds(3), p99: seconds(10) }],
        promises: vec![
            Promise::AlwaysRegistered,
            swept(0, SWEPT),
            swept(1, SWEPT + BREAKER),
            swept(2, SWEPT + BREAKER),
            Promise::NoneBuriedAlive,
            Promise::HitOnlyBy(vec![FaultKind::PodKill]),
        ],
        ..nothing
    })
}

/// A pod stands still for longer than others believe that it lives.
fn pause(nothing: Plan) -> Result<Plan, IdError> {
    Ok(Plan {
        calm_from: seconds(58),
        ends: seconds(120),
        desks: desks(FEW, 3_000, |number| match number % 2 {
            0 => (Habit::Stays, vec![long(2)]),
            _ => waits(number / 2, 60),
        })?,
        faults: vec![planned(12, Some(35), FaultKind::PodFreeze, Target::Pod(0))],
        // Ten seconds after it goes on, whoever it held has a pod that says so.
        checks: vec![seconds(57)],
        promises: vec![Promise::RegisteredAgain { fault: 0, within: seconds(35 + 10) }],
        ..nothing
    })
}

/// Redis forgets everything, twice.
fn flush(nothing: Plan) -> Result<Plan, IdError> {
    let flush = |at| Planned {
        at: seconds(at),
        lasts: Some(Duration::from_millis(1)),
        kind: FaultKind::RedisFlush,
        target: Target::Redis,
    };
    let again = |fault| Promise::RegisteredAgain { fault, within: seconds(10) };
    Ok(Plan {
        redis_keeps: false,
        calm_from: seconds(34),
        ends: seconds(80),
        desks: desks(FEW, 3_000, |number| match number % 2 {
            0 => (Habit::Stays, vec![long(2)]),
            _ => waits(number / 2, 38),
        })?,
        faults: vec![flush(10), flush(22)],
        limits: vec![Limit { kind: FaultKind::RedisFlush, median: seconds(3), p99: seconds(12) }],
        promises: vec![again(0), again(1), Promise::NoneBuriedAlive],
        ..nothing
    })
}

/// A pod is killed, its streams are not opened again, and whoever is to take them away stands still when a part of them
/// is gone, for 20 s: the next leader does the rest, and the old one's word counts no more.
fn leader_pause(nothing: Plan) -> Result<Plan, IdError> {
    /// Until another leads, which then sweeps at once.
    const TAKEN_OVER: u64 = 20 + 5;
    Ok(Plan {
        calm_from: seconds(SETTLED + SWEPT + 40),
        ends: seconds(SETTLED + SWEPT + 90),
        desks: desks(QUITTERS + FEW, 12_000, |number| match (number.is_multiple_of(16), number / 16) {
            (false, _) => (Habit::Quits, Vec::new()),
            (true, number) if number.is_multiple_of(2) => (Habit::Stays, vec![long(SETTLED + 30)]),
            (true, number) => waits(number / 2, SETTLED + SWEPT + 42),
        })?,
        faults: vec![
            planned(SETTLED, None, FaultKind::PodKill, Target::Follower),
            planned(SETTLED + 1, Some(20), FaultKind::LeaderPause, Target::Leader),
        ],
        promises: vec![
            Promise::AlwaysRegistered,
            Promise::Swept { fault: 0, within: seconds(SWEPT + TAKEN_OVER) },
            Promise::LeaderFollowed { fault: 1, within: seconds(TAKEN_OVER) },
            Promise::NoneBuriedAlive,
            Promise::HitOnlyBy(vec![FaultKind::PodKill]),
        ],
        ..nothing
    })
}

/// Somebody writes a registration by hand for a pod that never was.
fn ghost(nothing: Plan) -> Result<Plan, IdError> {
    /// All registrations are looked through once a minute, and it takes two looks; then a sweep.
    const LATEST: u64 = 60 + 60 + 5;
    Ok(Plan {
        calm_from: seconds(20 + LATEST),
        ends: seconds(20 + LATEST + 40),
        desks: desks(FEW, 3_000, |number| match number % 2 {
            0 => (Habit::Stays, vec![long(10), long(80), long(20 + LATEST)]),
            _ => waits(number / 2, 20 + LATEST + 2),
        })?,
        faults: vec![planned(20, Some(LATEST), FaultKind::Ghost, Target::Redis)],
        promises: vec![
            Promise::AlwaysRegistered,
            Promise::Over { fault: 0, after: seconds(30), within: seconds(LATEST) },
            Promise::NoneBuriedAlive,
            Promise::HitOnlyBy(Vec::new()),
        ],
        ..nothing
    })
}

/// Pods of [`clock`].
const HONEST: u8 = 0;
const AHEAD: u8 = 1;
const BEHIND: u8 = 2;

/// Wall clocks are wrong, of the leader's or of others: nobody is taken for dead but the one that is killed.
fn clock(nothing: Plan, leader: u8) -> Result<Plan, IdError> {
    Ok(Plan {
        calm_from: seconds(SETTLED + SWEPT + 5),
        ends: seconds(SETTLED + SWEPT + 60),
        desks: desks(FEW, 3_000, |number| match number % 2 {
            0 => (Habit::Stays, vec![long(2), long(SETTLED - 10), long(SETTLED + SWEPT)]),
            _ => waits(number / 2, SETTLED + SWEPT + 7),
        })?,
        faults: vec![planned(SETTLED, None, FaultKind::PodKill, Target::Pod(3))],
        limits: vec![Limit { kind: FaultKind::PodKill, median: seconds(3), p99: seconds(10) }],
        promises: vec![
            Promise::AlwaysRegistered,
            Promise::Swept { fault: 0, within: seconds(SWEPT) },
            Promise::NoneBuriedAlive,
            Promise::HitOnlyBy(vec![FaultKind::PodKill]),
        ],
        clocks: vec![Clock { pod: AHEAD, hours: 1 }, Clock { pod: BEHIND, hours: -1 }],
        leads_first: Some(leader),
        ..nothing
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn planned(at: u64, lasts: Option<u64>, kind: FaultKind, target: Target) -> Planned {
    Planned { at: seconds(at), lasts: lasts.map(seconds), kind, target }
}

/// A task of 25 s that begins so long after its client came.
fn long(after: u64) -> DrawnJob {
    (seconds(after), Work::Steps { count: 50, delay: Duration::from_millis(500) }, None)
}

/// Shows that a stream that waited for long is still the one its events go to.
fn quick() -> Work {
    Work::Steps { count: 1, delay: Duration::ZERO }
}

/// Reads from the beginning; each second one has a task once all is calm, the others never.
fn waits(number: usize, calm: u64) -> (Habit, Vec<DrawnJob>) {
    let late = (seconds(calm), quick(), None);
    (Habit::Watches, if number.is_multiple_of(2) { vec![late] } else { Vec::new() })
}

/// `count` clients that come over `over` milliseconds.
fn desks(
    count: usize,
    over: u64,
    mut draw: impl FnMut(usize) -> (Habit, Vec<DrawnJob>),
) -> Result<Vec<Desk>, IdError> {
    (0..count)
        .map(|number| {
            let (habit, jobs) = draw(number);
            let at = Duration::from_millis(over * number as u64 / count as u64);
            desk(number, at, habit, jobs)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_story_has_clients_and_faults_and_leaves_a_pod() {
        let kinds = FaultKind::value_variants().to_vec();
        let size = Size { pods: 4, proxies: 2, streams: 1, lasts: Duration::ZERO, kinds };
        for story in Scenario::value_variants() {
            let plan = plan(*story, 1, &size).unwrap();
            assert!(plan.desks.len() >= FEW && !plan.faults.is_empty(), "{story:?}");
            let over = plan.faults.iter().filter_map(Planned::until).max().unwrap_or_default();
            assert!(over <= plan.calm_from && plan.calm_from < plan.ends, "{story:?}");
            assert!(plan.checks.iter().all(|at| *at <= plan.calm_from), "{story:?}");
            let gone = plan.faults.iter().filter(|fault| fault.lasts.is_none()).count();
            assert!(gone < usize::from(plan.pods), "{story:?}");
            let faults = plan.promises.iter().filter_map(|promise| match promise {
                Promise::RegisteredAgain { fault, .. }
                | Promise::Swept { fault, .. }
                | Promise::LeaderFollowed { fault, .. }
                | Promise::Over { fault, .. } => Some(*fault),
                _ => None,
            });
            assert!(faults.max() < Some(plan.faults.len()), "{story:?}");
            let unborn = |fault: &Planned| matches!(fault.target, Target::Pod(pod) if pod >= size.pods);
            assert!(!plan.faults.iter().any(unborn), "{story:?}");
        }
    }
}
