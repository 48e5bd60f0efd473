//! A plan from a seed.

use std::time::Duration;

use fundbond_protocol::{ConnectionId, IdError, UserId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Desk, FaultKind, Habit, Notes, Plan, Planned, Size, Target, Work, desk};

/// Nothing breaks before this: streams are open and tasks run by then.
const WARM_UP: Duration = Duration::from_secs(6);

/// The calm at the end takes at most this: a pod that was killed is noticed after 30 s.
const LONGEST_CALM: Duration = Duration::from_secs(45);

/// A pod may drain for ten seconds, and counts as dead after 30 s.
const DEAD_AFTER: Duration = Duration::from_secs(40);

/// Nobody is buried before the life of a Redis is so long known.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// What a pod ran is begun anew when it is buried: 20 s in which a leader is found, a sweep, and the longest task.
const DONE_AFTER: Duration = Duration::from_secs(40);

/// A client is there for about this long, in milliseconds, which says how many must come for so many at once.
const STAY: u64 = 18_000;

/// Who waited for the calm gets a task this long after it has begun.
const CALM_TASKS: Duration = Duration::from_secs(2);

/// Between the ends and beginnings of two faults of one target.
const BREATH: Duration = Duration::from_secs(3);

/// Draws the plan of `seed`.
///
/// # Errors
/// Where a name of ours is none, which no seed makes.
pub fn draw(seed: u64, size: &Size) -> Result<Plan, IdError> {
    let mut random = StdRng::seed_from_u64(seed);
    let calm_from = size.lasts.saturating_sub((size.lasts / 3).min(LONGEST_CALM));
    let redis_keeps = random.random();
    let faults = faults(&mut random, size, calm_from);
    let ends = ends(&faults, size.lasts);
    let mut desks = desks(&mut random, size, calm_from)?;
    desks.extend(users(&mut random, size, calm_from)?);
    desks.sort_by_key(|desk| desk.at);
    Ok(Plan {
        redis_keeps,
        calm_from,
        ends,
        desks,
        faults,
        notices: notices(&mut random, calm_from),
        ..Plan::of_nothing(seed, size.pods, size.proxies)
    })
}

fn faults(random: &mut StdRng, size: &Size, until: Duration) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    let mut at = WARM_UP;
    while at < until {
        let kind = size.kinds[random.random_range(0..size.kinds.len())];
        let target = target(random, kind, size);
        let next = Planned { at, lasts: Some(lasts(random, kind)), kind, target };
        at += between(random, 1_500, 6_000);
        if next.until().is_some_and(|over| over <= until) && fits(&planned, &next, size) {
            planned.push(next);
        }
    }
    planned
}

/// When everything can be expected to be done: what a dead pod ran may have to wait for longer than the calm lasts. A run
/// is over as soon as it is.
fn ends(faults: &[Planned], lasts: Duration) -> Duration {
    let changes = faults.iter().filter(|fault| fault.kind.ends_life()).filter_map(Planned::until);
    let done = |pod: &Planned| {
        let dead = pod.at + DEAD_AFTER;
        let buried = changes
            .clone()
            .fold(dead, |due, change| if change <= due { due.max(change + SETTLED_AFTER) } else { due });
        buried + DONE_AFTER
    };
    faults.iter().filter(|fault| fault.kind.stops_pod()).map(done).fold(lasts, Duration::max)
}

fn target(random: &mut StdRng, kind: FaultKind, size: &Size) -> Target {
    let (pod, proxy) = (random.random_range(0..size.pods), random.random_range(0..size.proxies));
    match kind {
        FaultKind::ProxyKill => Target::Proxy(proxy),
        FaultKind::GatewayKill => Target::Gateway,
        FaultKind::RedisRestart | FaultKind::RedisPause | FaultKind::RedisFlush => Target::Redis,
        _ => Target::Pod(pod),
    }
}

fn lasts(random: &mut StdRng, kind: FaultKind) -> Duration {
    let (least, most) = match kind {
        // From a restart that nobody notices to one after everybody believes it dead.
        FaultKind::PodKill => (300, 20_000),
        // The time in which it may drain, and a little more: it starts again when both are over.
        FaultKind::PodTerm => (10_000, 14_000),
        FaultKind::PodPause => (500, 9_000),
        // Longer than the 30 s after which a node counts as dead.
        FaultKind::PodFreeze => (33_000, 38_000),
        FaultKind::PodCut | FaultKind::PodSilence | FaultKind::PodHold => (1_000, 12_000),
        FaultKind::PodSlow | FaultKind::PodNarrow => (3_000, 12_000),
        FaultKind::ProxyKill | FaultKind::GatewayKill | FaultKind::RedisRestart => (300, 5_000),
        FaultKind::RedisPause => (500, 8_000),
        // At once: what lasts is only what it takes to do. The last two are never drawn.
        FaultKind::RedisFlush | FaultKind::LeaderPause | FaultKind::Ghost => (1, 2),
    };
    between(random, least, most)
}

/// Whether it can be borne beside the others: one thing at a time for each target, and somebody left who can serve.
fn fits(planned: &[Planned], next: &Planned, size: &Size) -> bool {
    let over = |fault: &Planned| fault.until().unwrap_or(Duration::MAX).saturating_add(BREATH);
    let beside: Vec<Target> = planned
        .iter()
        .filter(|fault| fault.at < over(next) && next.at < over(fault))
        .map(|fault| fault.target)
        .collect();
    if beside.contains(&next.target) {
        return false;
    }
    match next.target {
        // Two stay whole, or one where there are only two.
        Target::Pod(_) => {
            let broken = beside.iter().filter(|target| matches!(target, Target::Pod(_))).count();
            broken + 2 < usize::from(size.pods.max(3))
        }
        // The only proxy may go, for a moment.
        Target::Proxy(_) => {
            let broken = beside.iter().filter(|target| matches!(target, Target::Proxy(_))).count();
            broken + 1 < usize::from(size.proxies.max(2))
        }
        // The last two are never drawn.
        Target::Gateway | Target::Redis | Target::Leader | Target::Follower => true,
    }
}

/// When a client comes, how it behaves, and its tasks.
type DrawnDesk = (Duration, Habit, Vec<DrawnJob>);
/// When a task comes after its client, what it does, and when it is asked to stop.
pub(super) type DrawnJob = (Duration, Work, Option<Duration>);

fn desks(random: &mut StdRng, size: &Size, until: Duration) -> Result<Vec<Desk>, IdError> {
    let mut desks: Vec<DrawnDesk> = Vec::new();
    // One of ten is there from the beginning and waits for the calm.
    let watchers = size.streams.div_ceil(10);
    for number in 0..watchers {
        let at = between(random, 0, 2_000);
        let late = ((until + CALM_TASKS).saturating_sub(at), steps(random), None);
        // The others have no task ever, and are there until the end.
        desks.push((at, Habit::Watches, if number % 2 == 0 { vec![late] } else { Vec::new() }));
    }
    let crowd = u64::from(size.streams - watchers);
    let span = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    for number in 0..crowd.max(crowd * span / STAY) {
        // A crowd is there when the first fault comes.
        let at = between(random, 0, if number < crowd { 4_000 } else { span });
        let habit = habit(random);
        let jobs = (0..random.random_range(1..=3)).map(|_| job(random)).collect();
        desks.push((at, habit, jobs));
    }
    desks.sort_by_key(|(at, ..)| *at);
    let named = desks.into_iter().enumerate();
    named.map(|(number, (at, habit, jobs))| desk(number, at, habit, jobs)).collect()
}

/// People who are sent notes: half as many streams again as watch.
fn users(random: &mut StdRng, size: &Size, until: Duration) -> Result<Vec<Desk>, IdError> {
    let span = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    let at_once = u64::from(size.streams.div_ceil(20));
    let number = at_once.max(at_once * span / STAY);
    let drawn = (0..number).map(|number| {
        let at = between(random, 0, if number < at_once { 4_000 } else { span });
        let habit = habit(random);
        let count = random.random_range(10..100);
        // Twenty seconds at most, as with tasks, and never more than a log keeps.
        let gap = between(random, 10, 20_000 / u64::from(count));
        let connection = ConnectionId::of_user(&UserId::parse(format!("reader{number}"))?);
        Ok(Desk { at, connection, habit, jobs: Vec::new(), notes: Some(Notes { count, gap }) })
    });
    drawn.collect()
}

/// A notice each few seconds, to the end of what breaks and a little longer.
fn notices(random: &mut StdRng, until: Duration) -> Vec<Duration> {
    let mut at = WARM_UP;
    std::iter::from_fn(|| {
        at += between(random, 1_000, 5_000);
        Some(at)
    })
    .take_while(|at| *at < until + CALM_TASKS)
    .collect()
}

fn habit(random: &mut StdRng) -> Habit {
    match random.random_range(0..10) {
        0 | 1 => Habit::Leaves { after: between(random, 500, 6_000), away: between(random, 200, 12_000) },
        2 => Habit::Slow { pause: between(random, 300, 8_000) },
        3 | 4 => Habit::Twice { after: between(random, 0, 6_000) },
        _ => Habit::Stays,
    }
}

fn job(random: &mut StdRng) -> DrawnJob {
    let after = between(random, 0, 5_000);
    let work = if random.random_bool(0.1) {
        Work::Portfolio { holdings: random.random_range(20..200) }
    } else {
        steps(random)
    };
    let cancel = random.random_bool(0.1).then(|| between(random, 0, 4_000));
    (after, work, cancel)
}

fn steps(random: &mut StdRng) -> Work {
    let count = random.random_range(3..50);
    // Ten seconds at most, so that what comes last ends well within the calm.
    let delay = between(random, 5, 10_000 / u64::from(count));
    Work::Steps { count, delay }
}

fn between(random: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.random_range(least..=most.max(least)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum as _;

    use super::*;

    fn size(minutes: u64) -> Size {
        let kinds = FaultKind::value_variants().to_vec();
        Size { pods: 4, proxies: 2, streams: 60, lasts: Duration::from_mins(minutes), kinds }
    }

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        for seed in 0..50 {
            assert_eq!(draw(seed, &size(2)).unwrap(), draw(seed, &size(2)).unwrap());
        }
        assert_ne!(draw(1, &size(2)).unwrap().faults, draw(2, &size(2)).unwrap().faults);
    }

    #[test]
    fn every_kind_of_fault_comes_and_everything_is_mended_before_the_calm() {
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let plan = draw(seed, &size(3)).unwrap();
            assert!(plan.faults.len() > 5, "seed {seed} breaks {} things", plan.faults.len());
            for fault in &plan.faults {
                assert!(fault.until().unwrap() <= plan.calm_from, "seed {seed}: {fault:?}");
                assert!(plan.ends >= size(3).lasts, "seed {seed} ends too soon");
                seen.insert(fault.kind);
            }
        }
        assert_eq!(seen.len(), FaultKind::value_variants().len(), "{seen:?}");
    }

    #[test]
    fn a_run_lasts_until_what_a_dead_pod_ran_can_be_done() {
        let seconds = Duration::from_secs;
        let fault = |at, lasts, kind| Planned {
            at: seconds(at),
            lasts: Some(seconds(lasts)),
            kind,
            target: Target::Redis,
        };
        let (kill, restart) =
            (|at| fault(at, 5, FaultKind::PodKill), |at| fault(at, 2, FaultKind::RedisRestart));
        let check =
            |faults: &[Planned], want| assert_eq!(ends(faults, seconds(120)), seconds(want), "{faults:?}");
        check(&[], 120);
        check(&[kill(70)], 150);
        check(&[restart(70)], 120);
        // A server that is new when the pod would be buried puts it off, and so does the next one.
        check(&[kill(20), restart(22)], 124);
        check(&[restart(22), kill(20), restart(78)], 180);
        check(&[kill(20), restart(75)], 120);
    }

    #[test]
    fn two_pods_of_four_are_whole_at_any_time_and_nothing_is_broken_twice_at_once() {
        for seed in 0..200 {
            let plan = draw(seed, &size(3)).unwrap();
            for fault in &plan.faults {
                let now = plan.faults.iter().filter(|f| f.at <= fault.at && fault.at < f.until().unwrap());
                let broken: Vec<_> = now.map(|f| f.target).collect();
                let pods = broken.iter().filter(|t| matches!(t, Target::Pod(_))).count();
                let proxies = broken.iter().filter(|t| matches!(t, Target::Proxy(_))).count();
                assert!(pods <= 2 && proxies <= 1, "seed {seed}: {broken:?}");
                let twice = broken.iter().enumerate().any(|(n, target)| broken[..n].contains(target));
                assert!(!twice, "seed {seed}: {broken:?}");
            }
        }
    }

    #[test]
    fn clients_come_in_order_with_names_of_their_own_and_about_as_many_as_asked_for() {
        let plan = draw(7, &size(2)).unwrap();
        assert!(plan.desks.is_sorted_by_key(|desk| desk.at));
        let jobs = || plan.desks.iter().flat_map(|desk| &desk.jobs);
        assert_eq!(jobs().map(|job| &job.task).collect::<BTreeSet<_>>().len(), jobs().count());
        let early = plan.desks.iter().filter(|desk| desk.at <= WARM_UP).count();
        assert!((54..100).contains(&early), "{early} of {}", plan.desks.len());
    }
}
