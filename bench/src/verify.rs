//! What one stream must say: every event once, in order, and one final a task. No IO, no clock.

use fundbond_protocol::{Position, TaskId, event::Progress, sse::Event};
use jiff::Timestamp;
use serde::Deserialize;

/// Something that may not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An event that cannot be read.
    #[error("an event of the name {name} is not what it should be: {why}")]
    Unreadable {
        /// Its SSE name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// An offset is missing, or came twice.
    #[error("after {at} came {id}: an event was lost or repeated")]
    Offset {
        /// What was read before.
        at: Position,
        /// What came.
        id: String,
    },
    /// An event before the stream said where it begins.
    #[error("{0} came before CONNECTED")]
    Early(String),
    /// The right offset with the wrong event.
    #[error("{task} said {found}, but {due} was due")]
    Order {
        /// Who said it.
        task: String,
        /// What it said.
        found: String,
        /// What it should have said.
        due: String,
    },
    /// The stream was reset, replaced or sent away, for which there was no reason.
    #[error("the stream said {0}, for which there is no reason here")]
    Unexpected(String),
}

/// What an event turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// About the stream; nobody waits for it.
    Aside,
    /// One of a task's events, made at this time: its first, or the step of this number.
    Event(Timestamp, Option<u64>),
    /// A task's last event, made at this time.
    Final(Timestamp),
}

/// Reads one stream, on which tasks of `steps` steps run one after the other.
#[derive(Clone, Debug)]
pub struct Verifier {
    prefix: String,
    steps: u64,
    position: Option<Position>,
    /// Which task speaks.
    number: u64,
    /// What it said last.
    said: Said,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Step(u64),
}

/// The parts of an event that are checked. Borrowed: this runs half a million times a second beside the
/// server that it measures.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'a> {
    correlation_id: &'a str,
    status: &'a str,
    final_event: bool,
    progress: Option<Progress>,
    timestamp: Timestamp,
}

impl Verifier {
    /// A verifier of the stream `prefix`, whose tasks are called `prefix.0`, `prefix.1`, ...
    pub fn new(prefix: &str, steps: u32) -> Self {
        let steps = steps.into();
        Self { prefix: prefix.to_owned(), steps, position: None, number: 0, said: Said::Nothing }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// [`Violation`], and then the stream is not worth reading on.
    pub fn take(&mut self, event: &Event) -> Result<Taken, Violation> {
        let unreadable = |why: String| Violation::Unreadable { name: event.name.clone(), why };
        match event.name.as_str() {
            "HEARTBEAT" => return Ok(Taken::Aside),
            "CONNECTED" if self.position.is_none() => {
                self.position = Some(event.id.parse().map_err(|_| unreadable(format!("id {:?}", event.id)))?);
                return Ok(Taken::Aside);
            }
            "PROCESSING" | "SUBTASK_COMPLETED" | "COMPLETED" => {}
            other => return Err(Violation::Unexpected(other.to_owned())),
        }
        self.advance(&event.id)?;
        let seen: Seen<'_> =
            serde_json::from_str(&event.data).map_err(|error| unreadable(error.to_string()))?;
        if seen.status != event.name {
            return Err(unreadable(format!("its status is {}", seen.status)));
        }
        self.check_order(&seen)
    }

    fn advance(&mut self, id: &str) -> Result<(), Violation> {
        let Some(at) = &mut self.position else { return Err(Violation::Early(id.to_owned())) };
        let next = at.offset + 1;
        let is_next = id
            .split_once('.')
            .is_some_and(|(epoch, offset)| epoch == at.epoch.as_str() && offset.parse() == Ok(next));
        if !is_next {
            return Err(Violation::Offset { at: at.clone(), id: id.to_owned() });
        }
        at.offset = next;
        Ok(())
    }

    fn check_order(&mut self, seen: &Seen<'_>) -> Result<Taken, Violation> {
        let due = match self.said {
            Said::Nothing => ("PROCESSING", None),
            Said::Step(done) if done < self.steps => ("SUBTASK_COMPLETED", Some(done + 1)),
            Said::Step(_) => ("COMPLETED", None),
        };
        let is_final = due.0 == "COMPLETED";
        // Only steps are counted; whether the first and the last event say how far a task is, is their affair.
        let done = seen.progress.filter(|_| seen.status == "SUBTASK_COMPLETED").map(|progress| progress.done);
        let found = (seen.status, done);
        if found != due || seen.final_event != is_final || !self.is_speaker(seen.correlation_id) {
            let text = |(status, done): (&str, Option<u64>), is_final: bool| {
                let step = done.map_or_else(String::new, |done| format!(" {done}"));
                format!("{status}{step}{}", if is_final { " (final)" } else { "" })
            };
            return Err(Violation::Order {
                task: seen.correlation_id.to_owned(),
                found: text(found, seen.final_event),
                due: format!("{} of {}.{}", text(due, is_final), self.prefix, self.number),
            });
        }
        if is_final {
            self.number += 1;
            self.said = Said::Nothing;
            return Ok(Taken::Final(seen.timestamp));
        }
        self.said = Said::Step(due.1.unwrap_or(0));
        Ok(Taken::Event(seen.timestamp, due.1))
    }

    fn is_speaker(&self, task: &str) -> bool {
        let number = task.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_prefix('.'));
        number.is_some_and(|number| number.parse() == Ok(self.number))
    }
}

/// The name of task `number` of the stream `prefix`; `None` where it would be no id.
pub fn task_name(prefix: &str, number: u64) -> Option<TaskId> {
    TaskId::parse(format!("{prefix}.{number}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fundbond_protocol::{Status, TaskEvent};

    fn event(id: &str, task: &str, status: Status, done: Option<u64>) -> Event {
        let task = TaskId::parse(task).unwrap();
        let name = status.as_str().to_owned();
        let is_final = status == Status::COMPLETED;
        let mut event = TaskEvent::of_task(&task, 1, status, "2026-01-01T00:00:00Z".parse().unwrap());
        if let Some(done) = done {
            event = event.with_progress(done, 2);
        }
        let event = if is_final { event.into_final() } else { event };
        Event { id: id.into(), name, data: event.to_json() }
    }

    /// A stream on which two tasks of two steps run.
    fn healthy() -> Vec<Event> {
        let mut events = vec![event("k3.7", "s1", Status::CONNECTED, None)];
        let mut offset = 7;
        for task in ["s1.0", "s1.1"] {
            for (status, done) in [
                (Status::PROCESSING, None),
                (Status::SUBTASK_COMPLETED, Some(1)),
                (Status::SUBTASK_COMPLETED, Some(2)),
                (Status::COMPLETED, Some(2)),
            ] {
                offset += 1;
                events.push(event(&format!("k3.{offset}"), task, status, done));
            }
        }
        events.insert(3, event("", "s1", Status::HEARTBEAT, None));
        events
    }

    fn read(events: &[Event]) -> Result<Vec<Taken>, Violation> {
        let mut verifier = Verifier::new("s1", 2);
        events.iter().map(|event| verifier.take(event)).collect()
    }

    #[test]
    fn a_healthy_stream_has_one_final_a_task() {
        let taken = read(&healthy()).unwrap();
        let finals = taken.iter().filter(|taken| matches!(taken, Taken::Final(_))).count();
        let events = taken.iter().filter(|taken| **taken != Taken::Aside).count();
        assert_eq!((finals, events), (2, 8));
    }

    #[test]
    fn a_lost_a_repeated_and_a_swapped_event_are_all_seen() {
        let healthy = healthy();
        let said: Vec<_> = (1..healthy.len()).filter(|i| healthy[*i].name != "HEARTBEAT").collect();
        for (place, index) in said.iter().enumerate() {
            let mut repeated = healthy.clone();
            repeated.insert(index + 1, healthy[*index].clone());
            assert!(matches!(read(&repeated), Err(Violation::Offset { .. })), "repeated {index}");
            let Some(next) = said.get(place + 1) else { continue };
            let mut lost = healthy.clone();
            lost.remove(*index);
            assert!(matches!(read(&lost), Err(Violation::Offset { .. })), "lost {index}");
            let mut swapped = healthy.clone();
            swapped.swap(*index, *next);
            assert!(matches!(read(&swapped), Err(Violation::Offset { .. })), "swapped {index}");
        }
    }

    #[test]
    fn the_right_offset_does_not_excuse_the_wrong_event() {
        let healthy = healthy();
        for (index, wrong) in [
            (1, event("k3.8", "s1.1", Status::PROCESSING, None)),
            (2, event("k3.9", "s1.0", Status::SUBTASK_COMPLETED, Some(2))),
            (2, event("k3.9", "s1.0", Status::COMPLETED, None)),
            (5, event("k3.11", "s1.0", Status::SUBTASK_COMPLETED, Some(3))),
        ] {
            let mut events = healthy.clone();
            events[index] = wrong;
            assert!(matches!(read(&events), Err(Violation::Order { .. })), "{:?}", events[index]);
        }
        let mut events = healthy.clone();
        events[5].data = events[5].data.replace("\"finalEvent\":true", "\"finalEvent\":false");
        assert!(matches!(read(&events), Err(Violation::Order { .. })));
    }

    #[test]
    fn another_history_a_reset_and_an_early_event_are_violations() {
        let mut other_epoch = healthy();
        other_epoch[1].id = "k4.8".into();
        assert!(matches!(read(&other_epoch), Err(Violation::Offset { .. })));
        assert_eq!(read(&healthy()[1..]), Err(Violation::Early("k3.8".into())));
        let mut reset = healthy();
        reset[2].name = "RESET".into();
        assert_eq!(read(&reset), Err(Violation::Unexpected("RESET".into())));
    }
}
