//! What a story promises beside what every run does: how long it took, and whether it was so.

use std::{collections::BTreeSet, time::Duration};

use fundbond_protocol::ConnectionId;
use serde::Serialize;

use super::{Rule, Violation};
use crate::{
    fact::{Fact, What},
    plan::{FaultKind, Plan, Promise},
    recovery,
};

/// How long something took that a story is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// What.
    pub of: String,
    /// How long; none where it never came to be.
    pub seconds: Option<f64>,
    /// The most that it may take.
    pub most: f64,
}

/// Every figure of the plan's promises.
pub fn figures(plan: &Plan, facts: &[Fact]) -> Vec<Figure> {
    let timed = plan.promises.iter().filter_map(|promise| timed(promise, facts));
    timed
        .map(|Timed { of, took, most, .. }| Figure {
            of,
            seconds: took.map(|took| took.as_secs_f64()),
            most: most.as_secs_f64(),
        })
        .collect()
}

/// Promises of the plan that were broken.
pub(super) fn check(plan: &Plan, facts: &[Fact]) -> Vec<Violation> {
    let end = facts.last().map(|fact| fact.at).unwrap_or_default();
    let mut found = Vec::new();
    for promise in &plan.promises {
        if let Some(Timed { of, took, least, most }) = timed(promise, facts) {
            let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
            let text = match took {
                Some(took) if took > most => format!("{of}: {}, more than {}", seconds(took), seconds(most)),
                Some(took) if took < least => {
                    format!("{of}: {}, less than {}", seconds(took), seconds(least))
                }
                Some(_) => String::new(),
                None => format!("{of}: never seen"),
            };
            if !text.is_empty() {
                found.push(Violation::late(end, text));
            }
        }
        match promise {
            Promise::AlwaysRegistered => found.extend(always_registered(facts, end)),
            Promise::NoneBuriedAlive => found.extend(facts.iter().filter_map(buried_alive)),
            Promise::HitOnlyBy(kinds) => found.extend(hit_only_by(kinds, facts, end)),
            Promise::LeaderFollowed { .. } => found.extend(leader_followed(facts, end)),
            _ => {}
        }
    }
    found
}

/// How long something took that has a limit.
struct Timed {
    of: String,
    took: Option<Duration>,
    least: Duration,
    most: Duration,
}

fn timed(promise: &Promise, facts: &[Fact]) -> Option<Timed> {
    let since = |fault: usize| facts.iter().skip_while(move |fact| !begins(&fact.what, fault));
    let after = |fault: usize, is: &dyn Fn(&What) -> bool| {
        let begun = since(fault).next()?.at;
        let fact = since(fault).find(|fact| is(&fact.what))?;
        Some(fact.at.saturating_sub(begun))
    };
    let (of, took, least, most) = match promise {
        Promise::RegisteredAgain { fault, within } => (
            format!("fault {fault}: all registered again"),
            registered_again(*fault, facts),
            Duration::ZERO,
            *within,
        ),
        Promise::Swept { fault, within } => {
            let target = facts.iter().find_map(|fact| match &fact.what {
                What::Breaks { fault: number, target, .. } if number == fault => Some(target.as_str()),
                _ => None,
            });
            let target = target.unwrap_or_default();
            let took =
                after(*fault, &|what| nothing_left(what).is_some_and(|(process, _)| process == target));
            (format!("fault {fault}: nothing left of {target}"), took, Duration::ZERO, *within)
        }
        Promise::Over { fault, after: least, within } => {
            let took =
                after(*fault, &|what| matches!(what, What::Mended { fault: number, .. } if number == fault));
            (format!("fault {fault}: over"), took, *least, *within)
        }
        Promise::LeaderFollowed { fault, within } => {
            let swept = midway(facts).map_or("", |(pod, _)| pod);
            let took = after(*fault, &|what| nothing_left(what).is_some_and(|(_, pod)| pod == swept));
            (format!("fault {fault}: the next leader ended the sweep"), took, Duration::ZERO, *within)
        }
        Promise::AlwaysRegistered | Promise::NoneBuriedAlive | Promise::HitOnlyBy(_) => return None,
    };
    Some(Timed { of, took, least, most })
}

fn begins(what: &What, fault: usize) -> bool {
    matches!(what, What::Breaks { fault: number, .. } if *number == fault)
}

/// Of which process and name the store has nothing any more.
fn nothing_left(what: &What) -> Option<(&str, &str)> {
    match what {
        What::Left { process, pod, registrations: 0, keys } if keys.is_empty() => Some((process, pod)),
        _ => None,
    }
}

/// The name whose streams were swept when the leader stopped, and the leader's number.
fn midway(facts: &[Fact]) -> Option<(&str, u64)> {
    facts.iter().find_map(|fact| match &fact.what {
        // Something was done, and something was left to do.
        What::Midway { pod, of, left, token } if *left > 0 && left < of => Some((pod.as_str(), *token)),
        _ => None,
    })
}

/// From a fault until all streams that are open are registered, and stay so until the next fault. What one look alone
/// misses ended a moment ago.
fn registered_again(fault: usize, facts: &[Fact]) -> Option<Duration> {
    let mut begun = None;
    let mut again = None;
    let mut before: &[ConnectionId] = &[];
    for fact in facts {
        match &fact.what {
            What::Breaks { fault: number, .. } if *number == fault => begun = Some(fact.at),
            What::Breaks { .. } if begun.is_some() => break,
            What::Registrations { open, missing } if begun.is_some() => {
                if missing.is_empty() && *open > 0 {
                    again = again.or(Some(fact.at));
                } else if missing.iter().any(|stream| before.contains(stream)) {
                    again = None;
                }
                before = missing;
            }
            _ => {}
        }
    }
    Some(again?.saturating_sub(begun?))
}

/// Streams that two looks in a row found to be open and nobody's: what ended a moment ago may be seen once.
fn always_registered(facts: &[Fact], end: Duration) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut before: BTreeSet<&ConnectionId> = BTreeSet::new();
    let mut most_open = 0;
    for fact in facts {
        let What::Registrations { open, missing } = &fact.what else { continue };
        most_open = most_open.max(*open);
        let missing: BTreeSet<&ConnectionId> = missing.iter().collect();
        for stream in missing.intersection(&before) {
            let text = format!("{stream} is open, and registered to nobody");
            let violation = Violation::new(Rule::OpenIsRegistered, fact.at, text);
            found.push(Violation { connection: Some((*stream).clone()), ..violation });
        }
        before = missing;
    }
    if most_open == 0 {
        found.push(Violation::new(Rule::OpenIsRegistered, end, "nobody asked who is registered"));
    }
    found
}

fn buried_alive(fact: &Fact) -> Option<Violation> {
    let What::BuriedAlive { .. } = fact.what else { return None };
    Some(Violation::new(Rule::OnlyTheDeadAreBuried, fact.at, fact.what.to_string()))
}

fn hit_only_by(kinds: &[FaultKind], facts: &[Fact], end: Duration) -> Vec<Violation> {
    let recoveries = recovery::recoveries(facts).into_iter();
    let others = recoveries.filter(|(kind, _)| kind.is_none_or(|kind| !kinds.contains(&kind)));
    others
        .map(|(kind, times)| {
            let kind = kind.map_or_else(|| "no fault".to_owned(), |kind| kind.to_string());
            let text = format!("{} streams were broken by {kind}", times.len());
            Violation::new(Rule::NobodyElseIsHit, end, text)
        })
        .collect()
}

fn leader_followed(facts: &[Fact], end: Duration) -> Vec<Violation> {
    let blame = |at, text: String| Violation::new(Rule::LateOrdersAreRefused, at, text);
    let Some((_, token)) = midway(facts) else {
        return vec![blame(end, "the leader was not stopped in the middle of a sweep".to_owned())];
    };
    let late = facts.iter().filter(|fact| matches!(fact.what, What::LateOrder { .. }));
    let mut found: Vec<_> = late
        .clone()
        .filter(|fact| matches!(fact.what, What::LateOrder { refused: false, .. }))
        .map(|fact| blame(fact.at, fact.what.to_string()))
        .collect();
    if late.count() == 0 {
        found.push(blame(end, format!("no order of leader {token} came late, so nothing was refused")));
    }
    if !facts.iter().any(|fact| matches!(fact.what, What::Led { token: other, .. } if other > token)) {
        found.push(blame(end, format!("nobody led after leader {token}")));
    }
    found
}
