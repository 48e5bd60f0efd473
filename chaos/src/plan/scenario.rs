//! The plans of stories that have figures to reach.

use std::time::Duration;

use fundbond_protocol::IdError;

use super::{Desk, FaultKind, Habit, Limit, Plan, Planned, Size, Target, Work, desk, draw::DrawnJob};
use crate::args::Scenario;

/// Users of [`Scenario::RestartRace`].
const USERS: usize = 2_000;

/// Streams of [`Scenario::Kill`], of which each second one has a task.
const STREAMS: usize = 400;

/// Streams of the other stories: enough for each pod to hold many.
const FEW: usize = 80;

/// The plan of a story.
///
/// # Errors
/// Where a name of ours is none, which is a mistake here.
pub fn plan(story: Scenario, seed: u64, size: &Size) -> Result<Plan, IdError> {
    let plan = |redis_keeps, (calm_from, ends), desks, faults, limits, checks: &[u64]| Plan {
        seed,
        pods: size.pods,
        proxies: size.proxies,
        redis_keeps,
        calm_from: seconds(calm_from),
        ends: seconds(ends),
        desks,
        faults,
        limits,
        checks: checks.iter().map(|at| seconds(*at)).collect(),
    };
    let resumed = Limit { kind: FaultKind::PodKill, median: seconds(3), p99: seconds(10) };
    Ok(match story {
        // All come, their pods go and come again one after the other, and each user still has one stream. How soon is
        // not asked: two thousand who come back to one machine at once wait for its processors.
        Scenario::RestartRace => {
            let faults = vec![
                planned(12, Some(1), FaultKind::PodKill, 0),
                planned(20, Some(1), FaultKind::PodKill, 1),
                planned(28, Some(10), FaultKind::PodTerm, 2),
            ];
            let users = desks(USERS, 8_000, |number| waits(number, 51))?;
            // While the second comes back, and ten seconds after the third.
            plan(true, (48, 110), users, faults, Vec::new(), &[26, 48])
        }
        // One of the pods is killed for good; then two of those left.
        Scenario::Kill => {
            let faults = vec![
                planned(15, None, FaultKind::PodKill, 0),
                planned(30, None, FaultKind::PodKill, 1),
                planned(30, None, FaultKind::PodKill, 2),
            ];
            let streams = desks(STREAMS, 5_000, |number| match number % 2 {
                0 => (Habit::Stays, vec![(seconds(2), long(), None)]),
                _ => waits(number / 2, 50),
            })?;
            // Three of four look dead at once, so the leader waits out its breaker; then one pod runs what was left.
            plan(true, (45, 270), streams, faults, vec![resumed], &[])
        }
        // A pod stands still for longer than others believe that it lives.
        Scenario::Pause => {
            let faults = vec![planned(12, Some(35), FaultKind::PodFreeze, 0)];
            let streams = desks(FEW, 3_000, |number| match number % 2 {
                0 => (Habit::Stays, vec![(seconds(2), long(), None)]),
                _ => waits(number / 2, 60),
            })?;
            // Ten seconds after it goes on, whoever it held has a pod that says so.
            plan(true, (58, 120), streams, faults, Vec::new(), &[57])
        }
        // Redis forgets everything, twice.
        Scenario::Flush => {
            let flush = |at| Planned {
                at: seconds(at),
                lasts: Some(Duration::from_millis(1)),
                kind: FaultKind::RedisFlush,
                target: Target::Redis,
            };
            let streams = desks(FEW, 3_000, |number| match number % 2 {
                0 => (Habit::Stays, vec![(seconds(2), long(), None)]),
                _ => waits(number / 2, 38),
            })?;
            let limit = Limit { kind: FaultKind::RedisFlush, median: seconds(3), p99: seconds(12) };
            plan(false, (34, 80), streams, vec![flush(10), flush(22)], vec![limit], &[])
        }
    })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn planned(at: u64, lasts: Option<u64>, kind: FaultKind, pod: u8) -> Planned {
    Planned { at: seconds(at), lasts: lasts.map(seconds), kind, target: Target::Pod(pod) }
}

/// Runs through both faults of a story.
fn long() -> Work {
    Work::Steps { count: 50, delay: Duration::from_millis(500) }
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
            let unborn = |fault: &Planned| matches!(fault.target, Target::Pod(pod) if pod >= size.pods);
            assert!(!plan.faults.iter().any(unborn), "{story:?}");
        }
    }
}
