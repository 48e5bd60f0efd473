//! Which connection a task belongs to.

use fundbond_protocol::{ConnectionId, Epoch, EventId, Status, TaskEvent, TaskId};

use super::{
    connection::{Member, Standing, Unplaced},
    state::State,
};
use crate::{EntryKind, Message};

impl State {
    /// Makes `task` belong to connection `id`, with everything it has logged so far.
    ///
    /// Its kept events are appended here like new ones. Where they are not all there, or the task has been
    /// here before, no order of offsets can tell the truth: the connection gets a new history, and its
    /// readers a `RESET` with the task's state.
    pub(super) fn attach(&mut self, id: &ConnectionId, task_id: &TaskId) {
        let old = self.data.home(task_id, self.world.now);
        if old.as_ref() == Some(id) {
            return;
        }
        let returning = self.data.connection(id, &mut self.world).knows(task_id);
        let task = self.data.task(task_id, self.world.now);
        task.connection = Some(id.clone());
        if !task.listed_by.contains(id) {
            task.listed_by.push(id.clone());
        }
        let (events, ended) = (task.events, task.ended);

        let mut history = match &old {
            Some(old) if !returning => self.history(old, task_id),
            _ => Vec::new(),
        };
        let connection = self.data.connection(id, &mut self.world);
        let mut member = Member { standing: Standing::Open, latest: 0 };
        if returning || events > history.len() {
            let hole = connection.end + 1;
            connection.renew(self.world.run, Epoch::from_micros(self.world.tick()), hole);
            history.clear();
            member.latest = hole;
            if ended {
                member.standing = Standing::Ended;
            }
        }
        connection.join(task_id, member);
        if let Some((pod, _)) = &connection.holder {
            let (connection, task) = (id.clone(), task_id.clone());
            self.wires.tell(pod, Message::Attached { connection, task });
        }
        for entry in history {
            self.append(id, entry);
        }
        if let Some(old) = old.filter(|_| !ended) {
            self.tell_moved(&old, task_id, id);
        }
    }

    /// What connection `id` still has of a task, if this life of the store wrote it.
    fn history(&self, id: &ConnectionId, task: &TaskId) -> Vec<Unplaced> {
        match self.data.known_connection(id, self.world.now) {
            Some(connection) if connection.run == self.world.run => connection.history(task),
            _ => Vec::new(),
        }
    }

    /// Tells the readers of `old` that `new` has the task now. They hear nothing more of it.
    fn tell_moved(&mut self, old: &ConnectionId, task: &TaskId, new: &ConnectionId) {
        let step = format!("moved:{}", self.world.tick());
        let now = self.world.clock.timestamp(self.world.now);
        let event = TaskEvent::of_task(task, &step, Status::REPLACED, now)
            .with_message(format!("connection {new} has this task now"));
        let entry = Unplaced {
            task: task.clone(),
            event_id: EventId::of_step(task, &step),
            status: Status::REPLACED,
            kind: EntryKind::Moved,
            json: event.to_json().into(),
        };
        self.append(old, entry);
    }
}
