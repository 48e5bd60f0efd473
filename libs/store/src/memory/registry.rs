//! Who holds which stream, and what its reader has missed.

use fundbond_protocol::{ClusterId, ConnectionId, Epoch, LastEventId, PodId, Position, TaskId};

use super::{
    connection::{Found, Standing},
    nodes::Health,
    state::State,
};
use crate::{
    Asserted, Assertion, Closed, Finished, Holder, Message, Opened, Outcome, ReadLimit, Reading, Reasserted,
    Register, Registered, Snapshot,
};

impl State {
    pub(super) fn register(&mut self, request: &Register) -> Registered {
        match self.health(&request.pod) {
            Health::Buried => return Registered::Buried,
            Health::Absent => return Registered::NoHealth,
            Health::Well => {}
        }
        let id = &request.connection;
        let known = self.data.known_connection(id, self.world.now);
        if known.is_some_and(|connection| connection.asked.is_some_and(|newest| request.asked < newest)) {
            return Registered::Late;
        }
        // A stream that was closed is over for whoever resumes it, and begins anew for whoever opens it.
        if request.last == LastEventId::Start {
            self.data.connection(id, &mut self.world).closed = false;
        } else if self.data.known_connection(id, self.world.now).is_some_and(|connection| connection.closed) {
            return Registered::Done;
        }
        for task in &request.tasks {
            // A client that resumes takes no task from anybody, or two pages would steal it for ever.
            if request.last == LastEventId::Start || self.data.home(task, self.world.now).is_none() {
                self.attach(id, task);
            }
        }
        let reading = self.read(id, &request.last, request.limit);
        let resumes = matches!(request.last, LastEventId::At(_));
        let nothing_left = matches!(&reading.outcome, Outcome::Entries(entries) if entries.is_empty());
        if resumes && nothing_left && reading.open == Some(0) {
            return Registered::Done;
        }
        let last = self.data.connection(id, &mut self.world).generation;
        let generation = self.world.generation_after(last);
        let connection = self.data.connection(id, &mut self.world);
        connection.generation = generation;
        connection.asked = Some(request.asked);
        if let Some((pod, _)) = self.data.hold(id, &request.pod, &request.cluster) {
            self.wires.tell(&pod, Message::Lost { connection: id.clone(), generation });
        }
        self.wires.tell(&request.pod, Message::Gained { connection: id.clone(), generation });
        Registered::Open(Opened { generation, reading, tasks: self.attached(id) })
    }

    pub(super) fn catch_up(&mut self, id: &ConnectionId, after: &Position, limit: ReadLimit) -> Reading {
        self.read(id, &LastEventId::At(after.clone()), limit)
    }

    pub(super) fn finish(&mut self, holder: &Holder, position: &Position) -> Finished {
        let id = &holder.connection;
        let Some(known) = self.data.known_connection(id, self.world.now) else { return Finished::Lost };
        // Nobody came after this holder, and its registration is gone: it ended before, and the answer was lost.
        if known.generation.0 == holder.generation.0 + 1 && known.holder.is_none() {
            return Finished::Closed;
        }
        if known.generation > holder.generation {
            return Finished::Replaced;
        }
        if known.generation < holder.generation {
            return Finished::Lost;
        }
        let connection = self.data.connection(id, &mut self.world);
        let at_end = position.epoch == connection.epoch && position.offset == connection.end;
        if !at_end || connection.open() != Some(0) {
            return Finished::More;
        }
        self.let_go(holder);
        Finished::Closed
    }

    pub(super) fn close(&mut self, holder: &Holder) -> Closed {
        let known = self.data.known_connection(&holder.connection, self.world.now);
        let held = known.is_some_and(|connection| {
            connection.generation == holder.generation
                && connection.holder.as_ref().is_some_and(|(pod, _)| *pod == holder.pod)
        });
        if !held {
            return Closed::Kept;
        }
        self.let_go(holder);
        Closed::Deleted
    }

    /// Deletes the registration with this generation, under whatever id its pod goes now, and raises the
    /// generation: a re-assertion under way must not revive it.
    pub(super) fn let_go(&mut self, holder: &Holder) {
        let id = &holder.connection;
        let generation = self.world.generation_over(holder.generation);
        let connection = self.data.connection(id, &mut self.world);
        connection.generation = generation;
        if let Some((pod, _)) = connection.holder.take() {
            self.data.release(&pod, id);
        }
    }

    pub(super) fn reassert(&mut self, pod: &PodId, cluster: &ClusterId, streams: &[Assertion]) -> Reasserted {
        match self.health(pod) {
            Health::Buried => Reasserted::Buried,
            Health::Absent => Reasserted::NoHealth,
            Health::Well => Reasserted::Streams(
                streams.iter().map(|stream| self.reassert_stream(pod, cluster, stream)).collect(),
            ),
        }
    }

    fn reassert_stream(&mut self, pod: &PodId, cluster: &ClusterId, stream: &Assertion) -> Asserted {
        let id = &stream.connection;
        let connection = self.data.connection(id, &mut self.world);
        if connection.generation > stream.generation {
            return if connection.closed { Asserted::Closed } else { Asserted::Replaced };
        }
        let position = &stream.position;
        if position.epoch == connection.epoch && position.offset > connection.end {
            self.renew(id);
        }
        for task in &stream.tasks {
            match self.data.home(task, self.world.now) {
                // The store forgot where the task belongs; its runner may be silent for long.
                None => self.attach(id, task),
                Some(_) => {
                    self.data.task(task, self.world.now);
                }
            }
        }
        let generation = stream.generation;
        self.data.connection(id, &mut self.world).generation = generation;
        if let Some((old, _)) = self.data.hold(id, pod, cluster).filter(|(old, _)| old != pod) {
            self.wires.tell(&old, Message::Lost { connection: id.clone(), generation });
        }
        if !stream.gained {
            self.wires.tell(pod, Message::Gained { connection: id.clone(), generation });
        }
        let connection = self.data.connection(id, &mut self.world);
        let (epoch, end) = (connection.epoch.clone(), connection.end);
        let open = self.attached(id).into_iter().filter(|(_, ended)| !ended).map(|(task, _)| task).collect();
        Asserted::Held { epoch, end, open }
    }

    pub(super) fn held(&self, pod: &PodId, known: usize) -> Vec<Holder> {
        let Some(held) = self.data.held.get(pod).filter(|held| held.len() > known) else { return Vec::new() };
        let held = held.iter().filter_map(|id| {
            let generation = self.data.known_connection(id, self.world.now)?.generation;
            Some(Holder { connection: id.clone(), pod: pod.clone(), generation })
        });
        held.collect()
    }

    pub(super) fn holder(&self, id: &ConnectionId) -> Option<(PodId, ClusterId)> {
        self.data.known_connection(id, self.world.now)?.holder.clone()
    }

    /// Reads a log on from `last`.
    fn read(&mut self, id: &ConnectionId, last: &LastEventId, limit: ReadLimit) -> Reading {
        let found = self.data.connection(id, &mut self.world).read(last, limit, id.user().is_some());
        let outcome = match found {
            Found::Entries(entries) => Outcome::Entries(entries),
            Found::Gone { at } => self.reset(id, at),
            Found::Ahead => {
                self.renew(id);
                let at = self.data.connection(id, &mut self.world).end;
                self.reset(id, at)
            }
        };
        let connection = self.data.connection(id, &mut self.world);
        Reading { epoch: connection.epoch.clone(), end: connection.end, open: connection.open(), outcome }
    }

    /// Ends a history that was rolled back. The offset stays: the new history needs no more room, and a
    /// client's word must not move it.
    fn renew(&mut self, id: &ConnectionId) {
        let epoch = Epoch::from_micros(self.world.tick());
        let run = self.world.run;
        let connection = self.data.connection(id, &mut self.world);
        let end = connection.end;
        connection.renew(run, epoch, end);
    }

    /// A fresh start at offset `at`, with the tasks whose latest event lies no later.
    fn reset(&self, id: &ConnectionId, at: u64) -> Outcome {
        let connection = self.data.known_connection(id, self.world.now);
        let members = connection.into_iter().flat_map(super::connection::Connection::members);
        let mut snapshot: Vec<_> = members
            .filter(|(_, member)| member.standing != Standing::Moved && member.latest <= at)
            .map(|(task, member)| Snapshot {
                task: task.clone(),
                is_final: member.standing == Standing::Ended,
                json: self
                    .data
                    .known_task(task, self.world.now)
                    .and_then(|task| Some(task.latest.as_ref()?.json.clone())),
            })
            .collect();
        snapshot.sort_by(|a, b| a.task.cmp(&b.task));
        Outcome::Reset { at, snapshot }
    }

    /// The attached tasks by id, and whether each has ended.
    fn attached(&self, id: &ConnectionId) -> Vec<(TaskId, bool)> {
        let connection = self.data.known_connection(id, self.world.now);
        let members = connection.into_iter().flat_map(super::connection::Connection::members);
        let mut tasks: Vec<_> = members
            .filter(|(_, member)| member.standing != Standing::Moved)
            .map(|(task, member)| (task.clone(), member.standing == Standing::Ended))
            .collect();
        tasks.sort_unstable();
        tasks
    }
}
