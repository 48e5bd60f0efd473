//! How long after a fault clients were whole again. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fundbond_protocol::Status;

use crate::{
    check::Violation,
    fact::{Ending, Fact, Page, What},
    plan::{FaultKind, Plan},
};

/// A stream that breaks this long after a fault was mended broke because of it: a gateway gives up a silent stream after
/// 30 s, and a client tries again a few seconds later.
const AFTERMATH: Duration = Duration::from_secs(40);

/// Who hit a client, and how long it took.
pub type Recoveries = BTreeMap<Option<FaultKind>, Vec<Duration>>;

#[derive(Clone, Copy)]
struct Fault {
    kind: FaultKind,
    begins: Duration,
    /// None while it lasts.
    ends: Option<Duration>,
}

/// The recoveries of each kind of fault, shortest first; under none those for which no fault can be blamed.
///
/// A client is hit when its open stream breaks off, or ends though more is to come, or says `RESET`; it is whole again
/// when the next connection says `CONNECTED`, or with the `RESET`. Counted from the beginning of the last fault before,
/// or from its end where nobody can get round it.
pub fn recoveries(facts: &[Fact]) -> Recoveries {
    let mut faults: BTreeMap<usize, Fault> = BTreeMap::new();
    let mut broken: BTreeMap<&Page, Duration> = BTreeMap::new();
    let mut coming_back = BTreeSet::new();
    let mut found = Recoveries::new();
    let mut whole = |faults: &BTreeMap<usize, Fault>, hit: Duration, at: Duration| {
        let blamed = blame(faults, hit);
        let from = blamed.map_or(hit, |fault| match fault.ends {
            Some(ends) if fault.kind.is_of_all() => ends.min(at),
            _ => fault.begins,
        });
        found.entry(blamed.map(|fault| fault.kind)).or_default().push(at.saturating_sub(from));
    };
    for fact in facts {
        match &fact.what {
            What::Breaks { fault, kind, .. } => {
                faults.insert(*fault, Fault { kind: *kind, begins: fact.at, ends: None });
            }
            What::Mended { fault, .. } => {
                faults.entry(*fault).and_modify(|fault| fault.ends = Some(fact.at));
            }
            What::Ended { page, how: Ending::Closed | Ending::Broken(_) | Ending::Silent } => {
                broken.entry(page).or_insert(fact.at);
            }
            What::Gone { page, .. } => {
                broken.remove(page);
            }
            What::Saw { page, frame } if frame.name.as_deref() == Some(Status::CONNECTED.as_str()) => {
                // Without an id it announces a RESET.
                if frame.id.is_empty() {
                    coming_back.insert(page);
                }
                if let Some(hit) = broken.remove(page) {
                    whole(&faults, hit, fact.at);
                }
            }
            // After CONNECTED it is a part of coming back, which has been counted.
            What::Saw { page, frame }
                if frame.name.as_deref() == Some(Status::RESET.as_str()) && !coming_back.remove(page) =>
            {
                whole(&faults, fact.at, fact.at);
            }
            _ => {}
        }
    }
    for times in found.values_mut() {
        times.sort_unstable();
    }
    found
}

/// The last fault that began before.
fn blame(faults: &BTreeMap<usize, Fault>, hit: Duration) -> Option<Fault> {
    let possible = faults.values().filter(|fault| {
        let over = fault.ends.map_or(Duration::MAX, |ends| ends + AFTERMATH);
        fault.begins <= hit && hit <= over
    });
    possible.copied().max_by_key(|fault| fault.begins)
}

/// The time within which so many of a hundred were whole again; none of none.
pub fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

/// Figures of the plan that were not reached.
pub fn late(plan: &Plan, facts: &[Fact]) -> Vec<Violation> {
    let found = recoveries(facts);
    let end = facts.last().map(|fact| fact.at).unwrap_or_default();
    let mut violations = Vec::new();
    for limit in &plan.limits {
        let times = found.get(&Some(limit.kind)).map_or(&[][..], Vec::as_slice);
        let Some((median, p99)) = quantile(times, 50).zip(quantile(times, 99)) else {
            let text = format!("no client was hit by {}, so its figures say nothing", limit.kind);
            violations.push(Violation::late(end, text));
            continue;
        };
        for (name, took, most) in [("median", median, limit.median), ("p99", p99, limit.p99)] {
            if took > most {
                let text = format!(
                    "{}: {name} {:.2} s, more than {:.0} s",
                    limit.kind,
                    took.as_secs_f64(),
                    most.as_secs_f64()
                );
                violations.push(Violation::late(end, text));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Frame;

    fn at(seconds: u64, what: What) -> Fact {
        Fact { at: Duration::from_secs(seconds), what }
    }

    fn page() -> Page {
        Page { connection: fundbond_protocol::ConnectionId::parse("desk1").unwrap(), number: 0 }
    }

    fn saw(name: &str) -> What {
        What::Saw { page: page(), frame: Frame { name: Some(name.into()), ..Frame::default() } }
    }

    fn breaks(fault: usize, kind: FaultKind) -> What {
        What::Breaks { fault, kind, target: String::new() }
    }

    #[test]
    fn a_broken_stream_is_whole_when_it_is_connected_again() {
        let facts = [
            at(10, breaks(0, FaultKind::PodKill)),
            at(11, What::Ended { page: page(), how: Ending::Broken("reset".into()) }),
            at(12, What::Mended { fault: 0, kind: FaultKind::PodKill }),
            at(13, saw("CONNECTED")),
        ];
        assert_eq!(
            recoveries(&facts),
            Recoveries::from([(Some(FaultKind::PodKill), vec![Duration::from_secs(3)])])
        );
    }

    #[test]
    fn nobody_gets_round_a_redis_so_its_return_counts() {
        let facts = [
            at(10, breaks(0, FaultKind::RedisRestart)),
            at(20, What::Mended { fault: 0, kind: FaultKind::RedisRestart }),
            at(22, saw("RESET")),
        ];
        let found = recoveries(&facts);
        assert_eq!(found[&Some(FaultKind::RedisRestart)], [Duration::from_secs(2)]);
    }

    #[test]
    fn what_no_fault_explains_is_counted_apart_and_an_end_is_no_loss() {
        let facts = [
            at(10, What::Ended { page: page(), how: Ending::Closed }),
            at(11, saw("CONNECTED")),
            at(12, What::Ended { page: page(), how: Ending::Closed }),
            at(13, What::Gone { page: page(), why: crate::fact::Farewell::Finished }),
        ];
        assert_eq!(recoveries(&facts), Recoveries::from([(None, vec![Duration::from_secs(1)])]));
    }

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!(quantile(&times, 50), Some(Duration::from_secs(50)));
        assert_eq!(quantile(&times, 99), Some(Duration::from_secs(99)));
        assert_eq!(quantile(&times[..1], 99), Some(Duration::from_secs(1)));
        assert_eq!(quantile(&[], 50), None);
    }
}
