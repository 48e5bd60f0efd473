//! Everything a restart may lose, and when it is freed.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use fundbond_protocol::{ClusterId, ConnectionId, Epoch, PodId, TaskId};
use tokio::time::Instant;

use super::{connection::Connection, keeping::Keeping, nodes::NodeState, state::World, task::Task};
use crate::{RETENTION, users::LINES_REMEMBERED};

/// How much of what is past its retention one call frees. A call makes at most a few hundred things and
/// usually one, so with 16 the freeing keeps ahead of the making.
const FREED_A_CALL: usize = 16;

/// What the expiry queue can free.
#[derive(Clone, Debug)]
enum Key {
    Connection(ConnectionId),
    Task(TaskId),
    Node(PodId),
    Lines(Arc<str>),
}

/// When to look at something. Ordered by time alone.
#[derive(Clone, Debug)]
struct Due(Instant, Key);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// How far a request has come that sends line by line.
#[derive(Clone, Debug)]
pub(super) struct LinesDone {
    pub(super) last: u64,
    expires: Instant,
    /// When the expiry queue looks at it next.
    queued: Instant,
}

/// Everything a restart may lose.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    pub(super) connections: HashMap<ConnectionId, Connection>,
    pub(super) tasks: HashMap<TaskId, Task>,
    pub(super) nodes: HashMap<PodId, NodeState>,
    /// The nodes of each cluster, the dead until they are swept.
    pub(super) indexes: HashMap<ClusterId, BTreeSet<PodId>>,
    /// Leases, locks, and what housekeeping of each cluster keeps.
    pub(super) keeping: Keeping,
    /// Which connections a pod holds.
    pub(super) held: HashMap<PodId, HashSet<ConnectionId>>,
    /// Accepted tasks of a cluster that wait for a runner, by their place in time.
    pub(super) waiting: HashMap<ClusterId, BTreeMap<u64, TaskId>>,
    /// Which tasks a pod runs.
    pub(super) claims: HashMap<PodId, BTreeSet<TaskId>>,
    /// Which pods of a cluster would run more.
    pub(super) idle: HashMap<ClusterId, BTreeSet<PodId>>,
    /// Accepted tasks of a cluster by their place in time.
    pub(super) accepted: HashMap<ClusterId, BTreeMap<u64, TaskId>>,
    /// How far requests have come that send line by line.
    pub(super) lines: HashMap<Arc<str>, LinesDone>,
    /// One item for each connection, task, node and request of lines, at a time no later than its expiry at the item's
    /// making. Refreshing does not touch it: an item that comes up too early is put back.
    queue: BinaryHeap<Reverse<Due>>,
}

impl Data {
    /// The connection, made if need be, in a history of this run, with a whole retention before it.
    pub(super) fn connection(&mut self, id: &ConnectionId, world: &mut World) -> &mut Connection {
        self.free_connection_if_due(id, world.now);
        let expires = world.now + RETENTION;
        let connection = self.connections.entry(id.clone()).or_insert_with(|| {
            self.queue.push(Reverse(Due(expires, Key::Connection(id.clone()))));
            Connection::new(world.run, Epoch::from_micros(world.tick()), expires)
        });
        if connection.run != world.run {
            // Nobody can know what was lost with the last life, so this history ends here.
            let end = connection.end;
            connection.renew(world.run, Epoch::from_micros(world.tick()), end);
        }
        connection.expires = expires;
        connection
    }

    /// The connection as it is, if there is one.
    pub(super) fn known_connection(&self, id: &ConnectionId, now: Instant) -> Option<&Connection> {
        self.connections.get(id).filter(|connection| connection.expires > now)
    }

    /// The task, made if need be, with a whole retention before it.
    pub(super) fn task(&mut self, id: &TaskId, now: Instant) -> &mut Task {
        self.free_task_if_due(id, now);
        let expires = now + RETENTION;
        let task = self.tasks.entry(id.clone()).or_insert_with(|| {
            self.queue.push(Reverse(Due(expires, Key::Task(id.clone()))));
            Task::new(expires)
        });
        task.expires = expires;
        task
    }

    /// The task as it is, if there is one.
    pub(super) fn known_task(&self, id: &TaskId, now: Instant) -> Option<&Task> {
        self.tasks.get(id).filter(|task| task.expires > now || task.is_pending())
    }

    /// The connection a task belongs to.
    pub(super) fn home(&mut self, id: &TaskId, now: Instant) -> Option<ConnectionId> {
        let connection = self.known_task(id, now)?.connection.clone()?;
        self.free_connection_if_due(&connection, now);
        self.tasks.get(id)?.connection.clone()
    }

    /// The node, made if need be, to be kept until `expires`.
    pub(super) fn node(&mut self, id: &PodId, now: Instant, expires: Instant) -> &mut NodeState {
        if self.nodes.get(id).is_some_and(|node| node.expires <= now) {
            self.nodes.remove(id);
        }
        let node = self.nodes.entry(id.clone()).or_insert_with(|| {
            self.queue.push(Reverse(Due(expires, Key::Node(id.clone()))));
            NodeState::new(expires)
        });
        node.expires = expires;
        node
    }

    /// How far a request has come.
    pub(super) fn lines(&mut self, request: &Arc<str>, now: Instant) -> &mut LinesDone {
        let expires = now + LINES_REMEMBERED;
        if self.lines.get(request).is_some_and(|lines| lines.expires <= now) {
            self.lines.remove(request);
        }
        let lines = self.lines.entry(request.clone()).or_insert_with(|| {
            self.queue.push(Reverse(Due(expires, Key::Lines(request.clone()))));
            LinesDone { last: 0, expires, queued: expires }
        });
        lines.expires = expires;
        lines
    }

    /// Items in the expiry queue.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Frees some of what is past its retention.
    pub(super) fn purge(&mut self, now: Instant) {
        for _ in 0..FREED_A_CALL {
            if self.queue.peek().is_none_or(|Reverse(due)| due.0 > now) {
                return;
            }
            let Some(Reverse(Due(at, key))) = self.queue.pop() else { return };
            if let Some(later) = self.visit(at, &key, now) {
                self.queue.push(Reverse(Due(later, key)));
            }
        }
    }

    /// Frees what `key` names or says when to come back.
    fn visit(&mut self, at: Instant, key: &Key, now: Instant) -> Option<Instant> {
        let (queued, expires) = match key {
            Key::Connection(id) => self.connections.get_mut(id).map(|c| (&mut c.queued, c.expires)),
            // One that waits or runs is looked at again later.
            Key::Task(id) => self.tasks.get_mut(id).map(|t| {
                let expires = if t.is_pending() { now + RETENTION } else { t.expires };
                (&mut t.queued, expires)
            }),
            Key::Node(id) => self.nodes.get_mut(id).map(|n| (&mut n.queued, n.expires)),
            Key::Lines(request) => self.lines.get_mut(request).map(|l| (&mut l.queued, l.expires)),
        }?;
        if *queued != at {
            // It was freed and made again, and has another item in the queue.
            return None;
        }
        if expires > now {
            *queued = expires;
            return Some(expires);
        }
        match key {
            Key::Connection(id) => self.free_connection(id),
            Key::Task(id) => self.free_task(id),
            Key::Node(id) => {
                self.nodes.remove(id);
            }
            Key::Lines(request) => {
                self.lines.remove(request);
            }
        }
        None
    }

    fn free_connection_if_due(&mut self, id: &ConnectionId, now: Instant) {
        if self.connections.get(id).is_some_and(|connection| connection.expires <= now) {
            self.free_connection(id);
        }
    }

    fn free_connection(&mut self, id: &ConnectionId) {
        let Some(connection) = self.connections.remove(id) else { return };
        if let Some((pod, _)) = &connection.holder {
            self.release(pod, id);
        }
        for (task, _) in connection.members() {
            if let Some(task) = self.tasks.get_mut(task) {
                task.listed_by.retain(|by| by != id);
                task.connection.take_if(|home| home == id);
            }
        }
    }

    fn free_task_if_due(&mut self, id: &TaskId, now: Instant) {
        if self.tasks.get(id).is_some_and(|task| task.expires <= now && !task.is_pending()) {
            self.free_task(id);
        }
    }

    fn free_task(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.remove(id) else { return };
        for connection in &task.listed_by {
            if let Some(connection) = self.connections.get_mut(connection) {
                connection.forget(id);
            }
        }
        if let Some(accepted) = &task.accepted
            && let Some(index) = self.accepted.get_mut(&accepted.submission.cluster)
        {
            index.remove(&accepted.sequence);
            if index.is_empty() {
                self.accepted.remove(&accepted.submission.cluster);
            }
        }
    }

    /// Makes `pod` the holder; says who was it before.
    pub(super) fn hold(
        &mut self,
        id: &ConnectionId,
        pod: &PodId,
        cluster: &ClusterId,
    ) -> Option<(PodId, ClusterId)> {
        let connection = self.connections.get_mut(id)?;
        let before = connection.holder.replace((pod.clone(), cluster.clone()));
        match &before {
            Some((old, _)) if old == pod => {}
            _ => {
                if let Some((old, _)) = &before {
                    self.release(old, id);
                }
                self.held.entry(pod.clone()).or_default().insert(id.clone());
            }
        }
        before
    }

    /// Takes `pod` off the list of a cluster's nodes.
    pub(super) fn strike_off(&mut self, pod: &PodId, cluster: &ClusterId) {
        if let Some(index) = self.indexes.get_mut(cluster) {
            index.remove(pod);
            if index.is_empty() {
                self.indexes.remove(cluster);
            }
        }
    }

    /// Takes `id` off the list of what `pod` holds.
    pub(super) fn release(&mut self, pod: &PodId, id: &ConnectionId) {
        if let Some(held) = self.held.get_mut(pod) {
            held.remove(id);
            if held.is_empty() {
                self.held.remove(pod);
            }
        }
    }
}
