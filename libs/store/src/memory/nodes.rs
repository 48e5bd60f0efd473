//! Which pods live. Death is permanent.

use std::time::Duration;

use fundbond_protocol::{ClusterId, PodId};
use tokio::time::Instant;

use super::state::State;
use crate::{Node, RETENTION, TOMBSTONE};

#[derive(Clone, Debug)]
pub(super) struct NodeState {
    /// When it said last that it lives.
    pub(super) spoke_at: Option<Instant>,
    pub(super) healthy_until: Option<Instant>,
    buried: bool,
    pub(super) expires: Instant,
    /// When the expiry queue looks at it next.
    pub(super) queued: Instant,
}

impl NodeState {
    pub(super) fn new(expires: Instant) -> Self {
        Self { spoke_at: None, healthy_until: None, buried: false, expires, queued: expires }
    }
}

/// Whether a pod may hold streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Absent,
    Buried,
}

impl State {
    pub(super) fn health(&self, pod: &PodId) -> Health {
        let now = self.world.now;
        match self.data.nodes.get(pod) {
            Some(node) if node.buried && node.expires > now => Health::Buried,
            Some(node) if node.healthy_until.is_some_and(|until| until > now) => Health::Well,
            _ => Health::Absent,
        }
    }

    pub(super) fn lives(&mut self, pod: &PodId, cluster: &ClusterId, lasts: Duration) -> Node {
        if self.health(pod) == Health::Buried {
            return Node::Buried;
        }
        let now = self.world.now;
        let node = self.data.node(pod, now, now + RETENTION);
        node.spoke_at = Some(now);
        node.healthy_until = Some(now + lasts);
        self.data.indexes.entry(cluster.clone()).or_default().insert(pod.clone());
        Node::Alive
    }

    pub(super) fn leave(&mut self, pod: &PodId, cluster: &ClusterId) {
        self.data.strike_off(pod, cluster);
        if self.health(pod) != Health::Buried {
            self.data.nodes.remove(pod);
        }
        for idle in self.data.idle.values_mut() {
            idle.remove(pod);
        }
        for task in self.data.claims.remove(pod).unwrap_or_default() {
            self.enqueue(&task);
        }
        for id in self.data.held.remove(pod).unwrap_or_default() {
            if let Some(connection) = self.data.connections.get_mut(&id) {
                connection.holder = None;
                connection.generation = self.world.generation_over(connection.generation);
            }
        }
    }

    pub(super) fn bury(&mut self, pod: &PodId) -> bool {
        match self.health(pod) {
            Health::Well => false,
            Health::Buried => true,
            Health::Absent => {
                let now = self.world.now;
                self.data.node(pod, now, now + TOMBSTONE).buried = true;
                true
            }
        }
    }
}
