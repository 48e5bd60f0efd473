//! What became of tasks, over all that saw them.

use std::{collections::BTreeMap, time::Duration};

use fundbond_protocol::{ConnectionId, TaskId};

use super::{Rule, Violation, World, page::Seen};
use crate::fact::{Fact, Farewell, Page, State, What};

/// What is asked of tasks and of the pages that stay with them.
pub(super) fn check(seen: &BTreeMap<Page, Seen>, facts: &[Fact], world: &World, found: &mut Vec<Violation>) {
    found.extend(answers(facts, world));
    found.extend(readers(seen, world));
    let states = states(facts);
    for (task, accepted) in &world.accepted {
        let blame = |rule, text: String| {
            let violation = Violation::new(rule, world.end.max(*accepted), text).about(task);
            Violation { connection: world.home.get(task).cloned(), ..violation }
        };
        if world.may_be_lost(task) {
            continue;
        }
        for (page, seen) in pages_of(seen, world.home.get(task)) {
            let stays =
                !matches!(seen.farewell, Some(Farewell::Replaced | Farewell::Closed | Farewell::Left));
            if stays && !seen.ends.contains_key(task) && !seen.moved.contains(task) {
                let how = if seen.farewell == Some(Farewell::Finished) {
                    ", and was told that this is all"
                } else {
                    ""
                };
                found.push(blame(Rule::AcceptedIsSeen, format!("{page} never saw the end of {task}{how}")));
            }
        }
        match states.get(task) {
            Some(Some(State { last: true, .. })) => {}
            Some(Some(State { status, .. })) => {
                found.push(blame(Rule::AcceptedIsFinished, format!("{task} is still {status}")));
            }
            Some(None) => found.push(blame(Rule::AcceptedIsFinished, format!("nobody knows {task}"))),
            None => found.push(blame(Rule::AcceptedIsFinished, format!("nobody says what became of {task}"))),
        }
        if let Some(text) = ends(task, seen, states.get(task).and_then(Option::as_ref)) {
            found.push(blame(Rule::OneEnd, text));
        }
    }
}

/// Answers other than a promise or "not now", and submissions that never got one.
fn answers(facts: &[Fact], world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut waiting: BTreeMap<&TaskId, Duration> = BTreeMap::new();
    for fact in facts {
        match &fact.what {
            What::Submits { task } => {
                waiting.entry(task).or_insert(fact.at);
            }
            What::Answered { task, status } => match status {
                202 => {
                    waiting.remove(task);
                }
                // Somebody on the way could not: the client asks again.
                429 | 500.. => {}
                _ => {
                    waiting.remove(task);
                    let text = format!("the submission of {task} is answered {status}");
                    found.push(Violation::new(Rule::Accepts, fact.at, text).about(task));
                }
            },
            _ => {}
        }
    }
    let left = waiting.keys().map(|task| {
        Violation::new(Rule::Accepts, world.end, format!("{task} was never accepted")).about(task)
    });
    found.extend(left);
    found
}

/// The page that came last to a stream is nobody's to replace.
fn readers(seen: &BTreeMap<Page, Seen>, world: &World) -> Vec<Violation> {
    let mut streams: BTreeMap<&ConnectionId, bool> = BTreeMap::new();
    for (page, seen) in seen {
        let replaced = seen.farewell == Some(Farewell::Replaced);
        *streams.entry(&page.connection).or_insert(true) &= replaced;
    }
    let orphans = streams.into_iter().filter(|(_, all_replaced)| *all_replaced);
    orphans
        .map(|(connection, _)| {
            let text = format!("every page of {connection} was sent away, each for another");
            let violation = Violation::new(Rule::SomebodyReads, world.end, text);
            Violation { connection: Some(connection.clone()), ..violation }
        })
        .collect()
}

fn states(facts: &[Fact]) -> BTreeMap<&TaskId, Option<State>> {
    let told = facts.iter().filter_map(|fact| match &fact.what {
        What::State { task, state } => Some((task, state.clone())),
        _ => None,
    });
    told.collect()
}

fn pages_of<'a>(
    seen: &'a BTreeMap<Page, Seen>,
    home: Option<&'a ConnectionId>,
) -> impl Iterator<Item = (&'a Page, &'a Seen)> {
    seen.iter().filter(move |(page, _)| Some(&page.connection) == home)
}

/// How the ends of a task differ.
fn ends(task: &TaskId, seen: &BTreeMap<Page, Seen>, state: Option<&State>) -> Option<String> {
    let mut told: Vec<(String, &str)> = Vec::new();
    for (page, seen) in seen {
        for (_, status) in seen.ends.get(task).into_iter().flatten() {
            told.push((page.to_string(), status));
        }
    }
    if let Some(State { status, last: true }) = state {
        told.push(("its state".to_owned(), status));
    }
    let (first, status) = told.first()?;
    let (other, differs) = told.iter().find(|(_, other)| other != status)?;
    Some(format!("{task} is {status} for {first} and {differs} for {other}"))
}
