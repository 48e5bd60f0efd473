//! What must be true of everything a client saw.

use std::collections::{BTreeMap, BTreeSet};

use fundbond_protocol::{ConnectionId, LastEventId, Position, TaskId};
use fundbond_store::{EntryKind, Outcome, ReadLimit, Register, Registered};
use tokio::time::Instant;

use super::{
    pod::id_of,
    stage::now,
    world::{Client, Frame, Phase, World},
};
use crate::scene::cluster;

/// Where a reader of `frames` stands.
pub(super) fn reached(frames: &[Frame]) -> Option<Position> {
    frames.iter().rev().find_map(id_of).and_then(|last| match last {
        LastEventId::At(position) => Some(position),
        _ => None,
    })
}

/// Checks one client's frames in order; returns the tasks it knows to have ended.
fn read_as_a_client(client: &Client, violations: &mut Vec<String>) -> BTreeSet<TaskId> {
    let mut here: Option<Position> = None;
    let mut ended = BTreeSet::new();
    let mut bad = |what: String| violations.push(format!("{}: {what}", client.connection));
    for frame in &client.frames {
        match frame {
            Frame::Connected(position) => match &here {
                None if position.offset != 0 => bad(format!("begins at {position} without a reset")),
                Some(before) if before != position => bad(format!("connected at {position}, is at {before}")),
                _ => here = Some(position.clone()),
            },
            Frame::Reset(position, snapshot) => {
                here = Some(position.clone());
                let finals = snapshot.iter().filter(|state| state.is_final);
                ended = finals.map(|state| state.task.clone()).collect();
            }
            Frame::Event(epoch, entry) => {
                match &here {
                    None => bad(format!("{entry:?} before a position")),
                    Some(before) if before.epoch != *epoch => {
                        bad(format!("from {before} to {epoch} without a reset"));
                    }
                    Some(before) if entry.offset <= before.offset => {
                        bad(format!("{} again after {before}", entry.offset));
                    }
                    Some(before) if entry.offset > before.offset + 1 => {
                        bad(format!("gap from {before} to {}", entry.offset));
                    }
                    Some(_) => {}
                }
                if ended.contains(&entry.task) {
                    bad(format!("{} after the end of {}", entry.event_id, entry.task));
                }
                if entry.kind == EntryKind::Final {
                    ended.insert(entry.task.clone());
                }
                here = Some(Position { epoch: epoch.clone(), offset: entry.offset });
            }
            Frame::End | Frame::Replaced => {}
        }
    }
    ended
}

impl World {
    pub(super) fn check(&mut self) {
        self.check_one_final_a_task();
        let mut violations = Vec::new();
        for client in &self.clients {
            let ended = read_as_a_client(client, &mut violations);
            // After data loss a client that was done is not told again.
            if client.opened && !(client.done && self.losses > 0) {
                self.check_the_end(client, &ended, &mut violations);
            }
        }
        self.violations.extend(violations);
    }

    fn check_the_end(&self, client: &Client, ended: &BTreeSet<TaskId>, violations: &mut Vec<String>) {
        let connection = &client.connection;
        let mut bad = |what: String| violations.push(format!("{connection}: {what}"));
        let holder = now(self.store.holder(connection)).map(|(pod, _)| pod);
        if let Some(stream) = client.stream.map(|stream| &self.streams[stream])
            && stream.phase == Phase::Live
            && holder.as_ref() != Some(&self.pods[stream.pod].id)
        {
            bad(format!("is live on {}, held by {holder:?}", self.pods[stream.pod].id));
        }
        // What a dead pod held stays until somebody sweeps it.
        let living = |pod: &usize| self.pods[*pod].up && Some(&self.pods[*pod].id) == holder.as_ref();
        if let Some(pod) = (0..self.pods.len()).find(living)
            && self.streams_of(pod, connection).is_empty()
        {
            bad(format!("is held by {holder:?}, which has no such stream"));
        }
        let Some(here) = reached(&client.frames) else { return bad("never heard anything".into()) };
        let rest = now(self.store.catch_up(connection, &here, ReadLimit::default()));
        if rest.outcome != Outcome::Entries(Vec::new()) {
            bad(format!("stays at {here} while there is {rest:?}"));
        }
        match rest.open {
            None if client.done => bad("was ended though it never had a task".into()),
            Some(open) if open > 0 => bad(format!("has {open} open tasks, and all have ended")),
            Some(0) if !client.done => bad("knows all it can know, and hangs".into()),
            _ => {}
        }
        for task in self.attached(connection) {
            if !ended.contains(&task) {
                bad(format!("never heard of the end of {task}"));
            }
        }
    }

    /// The tasks of a connection, as a reader who knows nothing is told.
    fn attached(&self, connection: &ConnectionId) -> Vec<TaskId> {
        let probe = crate::scene::pod_id("probe");
        now(self.store.heartbeat(&probe, &cluster("k")));
        let request = Register {
            connection: connection.clone(),
            pod: probe,
            cluster: cluster("k"),
            last: LastEventId::Unknown,
            tasks: Vec::new(),
            limit: ReadLimit::default(),
            asked: Instant::now(),
        };
        match now(self.store.register(&request)) {
            Registered::Open(opened) => opened.tasks.into_iter().map(|(task, _)| task).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn check_one_final_a_task(&mut self) {
        let mut finals: BTreeMap<_, u32> = BTreeMap::new();
        for ((connection, epoch, _), entry) in &self.truth {
            if entry.kind == EntryKind::Final {
                *finals.entry((connection, epoch, &entry.task)).or_default() += 1;
            }
        }
        let twice = finals.iter().filter(|(_, count)| **count > 1);
        let twice: Vec<_> = twice.map(|(place, count)| format!("{count} finals in {place:?}")).collect();
        self.violations.extend(twice);
    }
}
