//! Whether every promise was kept: facts in, violations out. Pure, and the only place that judges.
//!
//! [`page`] goes through what one page saw and holds the order of its stream; [`note`] what was sent to people; [`task`] holds what became of tasks, over
//! all pages; [`story`] what one story promises; what is wrong by itself (a process that died, a key that stayed) is [`bare`].

mod note;
#[cfg(test)]
mod note_tests;
mod page;
mod story;
#[cfg(test)]
mod story_tests;
mod task;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, time::Duration};

use fundbond_protocol::{ConnectionId, TaskId};
use serde::{Serialize, Serializer};

pub use story::{Figure, figures};

use crate::{
    fact::{Ending, Fact, Page, What},
    plan::{FaultKind, Plan, Work},
    recovery,
};

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// An open is answered with a stream or 204: anything else makes an `EventSource` give up for good.
    NeverRefused,
    /// Offsets rise by one.
    NothingMissing,
    /// No event comes twice.
    NothingTwice,
    /// A stream goes on where its reader says, or says `RESET`.
    ResumesWhereAsked,
    /// A new history begins with `RESET`.
    NewHistoryIsTold,
    /// `RESET` says what is so: nothing older than what was seen, and what follows goes on from there.
    ResetIsTrue,
    /// A task says nothing after its final event.
    NothingAfterTheEnd,
    /// A task's steps come in order, all of them before it completes.
    StepsInOrder,
    /// Whoever stays with a stream sees the end of each of its tasks.
    AcceptedIsSeen,
    /// A task that was accepted is final at the end.
    AcceptedIsFinished,
    /// A task has one end, and everybody is told the same.
    OneEnd,
    /// What was sent to a user, or to everybody who is there, comes in order and whole.
    SentIsSeen,
    /// What is repeated until it is answered is accepted in the end.
    Accepts,
    /// Of all pages of a stream the last one is not sent away.
    SomebodyReads,
    /// An open stream is never silent for long.
    NeverSilent,
    /// A stream that is open is registered to a pod that lives.
    OpenIsRegistered,
    /// Nobody dies by itself, and who is asked to end does so in order.
    NobodyDies,
    /// No log has an error or a panic.
    LogsAreClean,
    /// What the gone left behind is swept.
    NothingStays,
    /// Clients are whole again in time, and what a story is about is done in time.
    SoonWhole,
    /// No pod is declared dead that lives.
    OnlyTheDeadAreBuried,
    /// Streams break for no other reason than the one that a story is about.
    NobodyElseIsHit,
    /// Who led before has nothing to say any more.
    LateOrdersAreRefused,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When that showed.
    #[serde(serialize_with = "as_seconds")]
    pub at: Duration,
    /// How.
    pub text: String,
    /// The stream it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The task it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
}

/// Every violation, in the order in which they showed.
pub fn check(plan: &Plan, facts: &[Fact]) -> Vec<Violation> {
    let world = World::of(plan, facts);
    let mut violations = Vec::new();
    let mut seen = BTreeMap::new();
    for (page, facts) in by_page(facts) {
        seen.insert(page.clone(), page::check(page, &facts, &world, &mut violations));
    }
    task::check(&seen, facts, &world, &mut violations);
    note::check(plan, facts, &world, &mut violations);
    violations.extend(facts.iter().filter_map(bare));
    violations.extend(recovery::late(plan, facts));
    violations.extend(story::check(plan, facts));
    violations.sort_by_key(|violation| violation.at);
    violations
}

/// How many tasks were accepted.
pub fn accepted(plan: &Plan, facts: &[Fact]) -> usize {
    World::of(plan, facts).accepted.len()
}

/// Accepted tasks of which nothing can be asked: Redis forgot them, and a pod that knew of them ended, too.
pub fn excused(plan: &Plan, facts: &[Fact]) -> usize {
    let world = World::of(plan, facts);
    world.accepted.keys().filter(|task| world.may_be_lost(task)).count()
}

/// The shortest history that shows a violation: what concerns it, and the faults in between.
pub fn excerpt<'a>(facts: &'a [Fact], violation: &Violation) -> Vec<&'a Fact> {
    /// Before the violation: enough for a reconnect and what led to it.
    const BEFORE: usize = 24;
    /// After it: how it went on.
    const AFTER: usize = 3;

    let concerns = |fact: &Fact| {
        let of_task = violation.task.as_ref().is_some_and(|task| fact.what.task() == Some(task));
        let of_page =
            fact.what.page().is_some_and(|page| Some(&page.connection) == violation.connection.as_ref());
        // Where it is about a task, the events of its neighbours say nothing.
        let of_neighbour = violation.task.is_some() && fact.what.task().is_some();
        of_task || of_page && !of_neighbour
    };
    let concerned: Vec<usize> = (0..facts.len()).filter(|index| concerns(&facts[*index])).collect();
    let shows = concerned.partition_point(|index| facts[*index].at <= violation.at);
    let shown = &concerned[shows.saturating_sub(BEFORE)..concerned.len().min(shows + AFTER)];
    let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
        return Vec::new();
    };
    (*first..=*last)
        .filter(|index| shown.contains(index) || facts[*index].what.is_fault())
        .map(|index| &facts[index])
        .collect()
}

/// What is wrong by itself.
fn bare(fact: &Fact) -> Option<Violation> {
    let (rule, connection) = match &fact.what {
        What::Opened { page, status, .. } if ![200, 204].contains(status) => (Rule::NeverRefused, Some(page)),
        What::Ended { page, how: Ending::Silent } => (Rule::NeverSilent, Some(page)),
        What::Died { .. } => (Rule::NobodyDies, None),
        What::Line { .. } => (Rule::LogsAreClean, None),
        What::Key { .. } => (Rule::NothingStays, None),
        What::Holder { connection, pod: None } => {
            let mut violation = Violation::new(Rule::OpenIsRegistered, fact.at, fact.what.to_string());
            violation.connection = Some(connection.clone());
            return Some(violation);
        }
        _ => return None,
    };
    let mut violation = Violation::new(rule, fact.at, fact.what.to_string());
    violation.connection = connection.map(|page| page.connection.clone());
    Some(violation)
}

fn by_page(facts: &[Fact]) -> BTreeMap<&Page, Vec<&Fact>> {
    let mut pages: BTreeMap<&Page, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        if let Some(page) = fact.what.page() {
            pages.entry(page).or_default().push(fact);
        }
    }
    pages
}

/// What the rules have to know beside what a page saw.
struct World {
    /// When each accepted task was.
    accepted: BTreeMap<TaskId, Duration>,
    /// The stream of each task.
    home: BTreeMap<TaskId, ConnectionId>,
    /// Steps of each task that counts.
    steps: BTreeMap<TaskId, u64>,
    /// When Redis forgot everything.
    losses: Vec<Duration>,
    /// When Redis forgot something, or may have.
    restarts: Vec<Duration>,
    /// When pods ended.
    deaths: Vec<Duration>,
    /// The last fact.
    end: Duration,
}

impl World {
    fn of(plan: &Plan, facts: &[Fact]) -> Self {
        let jobs = || plan.desks.iter().flat_map(|desk| desk.jobs.iter().map(move |job| (desk, job)));
        let broke = |concerned: &dyn Fn(FaultKind) -> bool| {
            let breaks = facts
                .iter()
                .filter(|fact| matches!(&fact.what, What::Breaks { kind, .. } if concerned(*kind)));
            breaks.map(|fact| fact.at).collect::<Vec<_>>()
        };
        let mut accepted = BTreeMap::new();
        for fact in facts {
            if let What::Answered { task, status: 202 } = &fact.what {
                accepted.entry(task.clone()).or_insert(fact.at);
            }
        }
        Self {
            accepted,
            home: jobs().map(|(desk, job)| (job.task.clone(), desk.connection.clone())).collect(),
            steps: jobs()
                .filter_map(|(_, job)| match job.work {
                    Work::Steps { count, .. } => Some((job.task.clone(), u64::from(count))),
                    Work::Portfolio { .. } => None,
                })
                .collect(),
            losses: broke(&|kind| kind.loses_data(plan.redis_keeps)),
            restarts: broke(&FaultKind::ends_life),
            deaths: broke(&FaultKind::ends_pod),
            end: facts.last().map(|fact| fact.at).unwrap_or_default(),
        }
    }

    /// Whether Redis forgot everything by then.
    fn lost_by(&self, at: Duration) -> bool {
        self.losses.iter().any(|loss| *loss <= at)
    }

    /// Whether Redis forgot the task after it was accepted. Then the pods that knew of it say so again; where one of
    /// them ended, too, nobody may know of it any more.
    fn may_be_lost(&self, task: &TaskId) -> bool {
        let Some(accepted) = self.accepted.get(task) else { return false };
        // What is under way when Redis forgets was perhaps accepted by what it forgot.
        let after = |times: &[Duration]| times.iter().any(|at| *at >= accepted.saturating_sub(UNDER_WAY));
        after(&self.losses) && after(&self.deaths)
    }
}

/// An answer may be on its way for this long.
const UNDER_WAY: Duration = Duration::from_secs(5);

impl Violation {
    fn new(rule: Rule, at: Duration, text: impl Into<String>) -> Self {
        Self { rule, at, text: text.into(), connection: None, task: None }
    }

    /// The same, shown by a page.
    fn of_page(rule: Rule, at: Duration, page: &Page, text: impl fmt::Display) -> Self {
        let text = format!("{page}: {text}");
        Self { connection: Some(page.connection.clone()), ..Self::new(rule, at, text) }
    }

    /// The same, about a task.
    fn about(mut self, task: &TaskId) -> Self {
        self.task = Some(task.clone());
        self
    }

    /// A figure that was not reached.
    pub(crate) fn late(at: Duration, text: String) -> Self {
        Self::new(Rule::SoonWhole, at, text)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {:?}: {}", self.at.as_secs_f64(), self.rule, self.text)
    }
}

fn as_seconds<S: Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(at.as_secs_f64())
}
