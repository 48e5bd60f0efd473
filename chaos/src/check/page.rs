//! What one page saw, from its first question to its farewell.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fundbond_protocol::{EventId, LastEventId, Position, Status, TaskId};

use super::{Rule, Violation, World};
use crate::fact::{Fact, Farewell, Frame, Page, Said, What};

/// What a page knows in the end.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The end of each task, as an event or in a `RESET`, and when it was seen first.
    pub(super) ends: BTreeMap<TaskId, Vec<(Duration, String)>>,
    /// Tasks that another stream took over.
    pub(super) moved: BTreeSet<TaskId>,
    /// How it left; none where the run ended first.
    pub(super) farewell: Option<Farewell>,
}

/// Goes through what a page saw.
pub(super) fn check(page: &Page, facts: &[&Fact], world: &World, found: &mut Vec<Violation>) -> Seen {
    let mut walk = Walk {
        page,
        world,
        found,
        seen: Seen::default(),
        asked: LastEventId::Start,
        position: None,
        reset_due: false,
        from_start: false,
        chapter: BTreeMap::new(),
        furthest: BTreeMap::new(),
    };
    for fact in facts {
        match &fact.what {
            What::Asks { last, .. } => walk.asked = LastEventId::parse(last),
            What::Opened { .. } => walk.reset_due = false,
            What::Saw { frame, .. } => walk.frame(fact.at, frame),
            What::Gone { why, .. } => walk.seen.farewell = Some(*why),
            _ => {}
        }
    }
    walk.seen
}

struct Walk<'a> {
    page: &'a Page,
    world: &'a World,
    found: &'a mut Vec<Violation>,
    seen: Seen,
    /// After what the page asked for the connection it has now.
    asked: LastEventId,
    /// What it has read.
    position: Option<Position>,
    /// `CONNECTED` had no id, which announces a `RESET`.
    reset_due: bool,
    /// Whether this chapter has every event from the first.
    from_start: bool,
    /// What was said of each task since the last `RESET`.
    chapter: BTreeMap<TaskId, Known>,
    /// The furthest step of each task that was ever seen.
    furthest: BTreeMap<TaskId, u64>,
}

/// What a page was told of a task.
#[derive(Debug, Default)]
struct Known {
    step: Option<u64>,
    last: bool,
    events: BTreeSet<EventId>,
}

impl Walk<'_> {
    fn blame(&mut self, rule: Rule, at: Duration, text: String) {
        self.found.push(Violation::of_page(rule, at, self.page, text));
    }

    fn blame_task(&mut self, rule: Rule, at: Duration, task: &TaskId, text: String) {
        self.found.push(Violation::of_page(rule, at, self.page, text).about(task));
    }

    fn frame(&mut self, at: Duration, frame: &Frame) {
        let id = LastEventId::parse(&frame.id);
        match (frame.name.as_deref(), id) {
            (Some(name), id) if name == Status::CONNECTED.as_str() => self.connected(at, id),
            (Some(name), id) if name == Status::RESET.as_str() => self.reset(at, id, frame),
            (Some(name), LastEventId::Replaced) if name == Status::REPLACED.as_str() => {}
            (Some(name), _) if is_about_the_stream(name) => {}
            (name, LastEventId::At(position)) => {
                self.logged(at, position);
                if let Some(said) = &frame.said {
                    self.event(at, name, said);
                }
            }
            (name, id) => {
                let text = format!("{} has no position: {id:?}", name.unwrap_or("a frame"));
                self.blame(Rule::NothingMissing, at, text);
            }
        }
    }

    fn connected(&mut self, at: Duration, id: LastEventId) {
        let LastEventId::At(starts) = id else {
            self.reset_due = true;
            return;
        };
        match &self.asked {
            LastEventId::At(asked) if *asked != starts => {
                let text = format!("asked to go on after {asked}, and it starts after {starts}");
                self.blame(Rule::ResumesWhereAsked, at, text);
            }
            LastEventId::Start if starts.offset != 0 => {
                self.blame(
                    Rule::ResumesWhereAsked,
                    at,
                    format!("asked from the start, and it starts after {starts}"),
                );
            }
            LastEventId::Start => {
                self.from_start = true;
                self.chapter.clear();
            }
            _ => {}
        }
        self.position = Some(starts);
    }

    fn logged(&mut self, at: Duration, position: Position) {
        if std::mem::take(&mut self.reset_due) {
            self.blame(Rule::NewHistoryIsTold, at, format!("{position} comes where RESET was due"));
        }
        match &self.position {
            Some(before) if before.epoch != position.epoch => {
                let text = format!("{position} follows {before} without RESET");
                self.blame(Rule::NewHistoryIsTold, at, text);
            }
            Some(before) if position.offset <= before.offset => {
                self.blame(Rule::NothingTwice, at, format!("{position} follows {before}"));
            }
            Some(before) if position.offset > before.offset + 1 => {
                self.blame(Rule::NothingMissing, at, format!("{position} follows {before}"));
            }
            Some(_) => {}
            None => self.blame(Rule::NothingMissing, at, format!("{position} comes before CONNECTED")),
        }
        self.position = Some(position);
    }

    fn reset(&mut self, at: Duration, id: LastEventId, frame: &Frame) {
        self.reset_due = false;
        let LastEventId::At(position) = id else {
            return self.blame(Rule::ResetIsTrue, at, format!("RESET has no position: {:?}", frame.id));
        };
        if let Some(before) = self.position.as_ref().filter(|before| before.epoch == position.epoch)
            && position.offset < before.offset
        {
            let text = format!("RESET goes back from {before} to {position}");
            self.blame(Rule::ResetIsTrue, at, text);
        }
        self.position = Some(position);
        let before = std::mem::take(&mut self.chapter);
        self.from_start = false;
        for said in &frame.snapshot {
            self.snapshot(at, said);
        }
        if !self.world.lost_by(at) {
            for task in before.keys().filter(|task| !self.seen.moved.contains(*task)) {
                if !self.chapter.contains_key(task) {
                    let text = format!("RESET forgets {task}, though Redis forgot nothing");
                    self.found.push(Violation::of_page(Rule::ResetIsTrue, at, self.page, text).about(task));
                }
            }
        }
    }

    fn snapshot(&mut self, at: Duration, said: &Said) {
        let task = &said.task;
        let step = step_of(said);
        if !self.world.lost_by(at) {
            if self.seen.ends.contains_key(task) && !said.last {
                self.blame_task(Rule::ResetIsTrue, at, task, format!("RESET opens {task} again: {said}"));
            }
            if let (Some(step), Some(furthest)) = (step, self.furthest.get(task))
                && step < *furthest
            {
                let text = format!("RESET takes {task} back from step {furthest}: {said}");
                self.blame_task(Rule::ResetIsTrue, at, task, text);
            }
        }
        let events = BTreeSet::from([said.event.clone()]);
        self.chapter.insert(task.clone(), Known { step, last: said.last, events });
        self.remember(at, said);
    }

    fn event(&mut self, at: Duration, name: Option<&str>, said: &Said) {
        let task = &said.task;
        if name == Some(Status::REPLACED.as_str()) {
            self.seen.moved.insert(task.clone());
            self.chapter.remove(task);
            return;
        }
        let ended_before = self.seen.ends.contains_key(task);
        let known = self.chapter.entry(task.clone()).or_default();
        let (was_last, before) = (known.last, known.step);
        let is_new = known.events.insert(said.event.clone());
        let step = step_of(said);
        known.last |= said.last;
        known.step = step.or(before);
        let redone = self.world.may_be_lost(task);
        if was_last {
            self.blame_task(
                Rule::NothingAfterTheEnd,
                at,
                task,
                format!("{said} comes after the end of {task}"),
            );
        } else if ended_before && !said.last && !self.world.lost_by(at) {
            let text = format!("{said} comes after the end of {task}, in an earlier history");
            self.blame_task(Rule::NothingAfterTheEnd, at, task, text);
        }
        if !is_new {
            self.blame_task(Rule::NothingTwice, at, task, format!("{said} comes twice"));
        }
        if let Some(step) = step
            && !redone
        {
            let due = before.map_or(0, |before| before + 1);
            // A history that begins with a loss has the rest of a task alone.
            if step != due && (before.is_some() || self.from_start && !self.world.lost_by(at)) {
                self.blame_task(
                    Rule::StepsInOrder,
                    at,
                    task,
                    format!("{said} comes where step {due} was due"),
                );
            }
        }
        if said.status == Status::COMPLETED.as_str()
            && let (Some(count), Some(before)) = (self.world.steps.get(task), before)
            && *count != before
            && !redone
        {
            let text = format!("{task} completes after step {before} of {count}");
            self.blame_task(Rule::StepsInOrder, at, task, text);
        }
        self.remember(at, said);
    }

    fn remember(&mut self, at: Duration, said: &Said) {
        if said.last {
            self.seen.ends.entry(said.task.clone()).or_default().push((at, said.status.clone()));
        }
        if let Some(step) = step_of(said) {
            let furthest = self.furthest.entry(said.task.clone()).or_default();
            *furthest = step.max(*furthest);
        }
    }
}

/// Which step of its task an event is: its beginning is 0; an end is none.
fn step_of(said: &Said) -> Option<u64> {
    let (_, step) = said.event.as_str().rsplit_once(':')?;
    if step == "processing" { Some(0) } else { step.parse().ok() }
}

/// Events without a place in the log.
fn is_about_the_stream(name: &str) -> bool {
    [Status::HEARTBEAT, Status::DRAINING, Status::CLOSED].iter().any(|status| status.as_str() == name)
}
