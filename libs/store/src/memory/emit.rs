//! What a task says.

use std::collections::HashSet;

use fundbond_protocol::ConnectionId;

use super::{connection::Unplaced, state::State, task::Latest};
use crate::{Emit, Emitted, EntryKind, Foreign, Message, Taken};

impl State {
    pub(super) fn emit(&mut self, event: &Emit) -> Emitted {
        self.log(event, event.is_final)
    }

    /// Ends a task for its runner, who is told to stop.
    pub(super) fn end(&mut self, event: &Emit) -> Emitted {
        let emitted = self.log(event, true);
        if emitted == Emitted::Logged {
            self.wires.tell_all(&Message::Ended { task: event.task.clone() });
        }
        emitted
    }

    fn log(&mut self, event: &Emit, is_final: bool) -> Emitted {
        let task = self.data.task(&event.task, self.world.now);
        if task.ended {
            let same = task.latest.as_ref().is_some_and(|latest| latest.event_id == event.event_id);
            return if same { Emitted::Duplicate } else { Emitted::AfterFinal };
        }
        let latest = task.accepted.as_ref().map(|accepted| accepted.attempt);
        if event.attempt.is_some_and(|attempt| Some(attempt) < latest) {
            return Emitted::Superseded;
        }
        if !task.seen.insert(event.event_id.clone()) {
            return Emitted::Duplicate;
        }
        let home = self.data.home(&event.task, self.world.now).unwrap_or_else(|| {
            self.attach(&event.connection, &event.task);
            event.connection.clone()
        });
        self.log_of_task(&home, event, is_final);
        Emitted::Logged
    }

    /// Logs an event of a foreign publisher, if its stream is held with the generation given.
    pub(super) fn foreign(&mut self, foreign: &Foreign) -> Taken {
        let (event, now) = (&foreign.event, self.world.now);
        let home = self.data.home(&event.task, now);
        // What belongs to no task is about the connection itself.
        let mine = match &home {
            Some(home) => *home == event.connection,
            None => event.task.as_str() == event.connection.as_str(),
        };
        let known = self.data.known_connection(&event.connection, now);
        if !mine || known.is_none_or(|connection| connection.generation != foreign.generation) {
            return Taken::NotHeld;
        }
        if home.is_some() && self.data.known_task(&event.task, now).is_some_and(|task| task.ended) {
            return Taken::AfterFinal;
        }
        if foreign.named && !self.data.task(&event.task, now).seen_foreign.insert(event.event_id.clone()) {
            return Taken::Duplicate;
        }
        match home {
            Some(home) => self.log_of_task(&home, event, event.is_final),
            None => self.append(&event.connection, unplaced(event, EntryKind::Note)),
        }
        Taken::Logged
    }

    /// Logs an event with the connection its task belongs to, and makes it the task's latest.
    fn log_of_task(&mut self, home: &ConnectionId, event: &Emit, is_final: bool) {
        let kind = if is_final { EntryKind::Final } else { EntryKind::Event };
        self.append(home, unplaced(event, kind));
        let task = self.data.task(&event.task, self.world.now);
        task.events += 1;
        task.latest = Some(Latest {
            event_id: event.event_id.clone(),
            status: event.status.clone(),
            json: event.json.clone(),
        });
        if is_final {
            task.ended = true;
            // The final's own id is in `latest`; no other is asked for again.
            task.seen = HashSet::new();
            task.seen_foreign = HashSet::new();
            self.settle(&event.task);
        }
    }
}

fn unplaced(event: &Emit, kind: EntryKind) -> Unplaced {
    Unplaced {
        task: event.task.clone(),
        event_id: event.event_id.clone(),
        status: event.status.clone(),
        kind,
        json: event.json.clone(),
    }
}
