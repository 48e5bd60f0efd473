//! What a task says.

use super::{connection::Unplaced, state::State, task::Latest};
use crate::{Emit, Emitted, EntryKind, Message};

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
        if !task.seen.insert(event.event_id.clone()) {
            return Emitted::Duplicate;
        }
        let home = self.data.home(&event.task, self.world.now).unwrap_or_else(|| {
            self.attach(&event.connection, &event.task);
            event.connection.clone()
        });
        let kind = if is_final { EntryKind::Final } else { EntryKind::Event };
        let entry = Unplaced {
            task: event.task.clone(),
            event_id: event.event_id.clone(),
            status: event.status.clone(),
            kind,
            json: event.json.clone(),
        };
        self.append(&home, entry);
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
            task.seen = std::collections::HashSet::new();
        }
        Emitted::Logged
    }
}
