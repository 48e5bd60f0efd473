//! What dead pods left, and how it goes.

use std::sync::Arc;

use async_trait::async_trait;
use fundbond_lease::Token;
use fundbond_protocol::{ClusterId, ConnectionId, PodId};

use super::{
    MemoryStore,
    keeping::{SweepState, put, there},
    nodes::Health,
    state::State,
};
use crate::{
    Buried, FENCE, Forgotten, Housekeeping, NodeSeen, Nodes, Order, Ordered, RETENTION, StoreError, Stray,
    StrayPage, StraySwept, Swept,
};

impl State {
    /// Whether somebody led later than who gives this order; see `fence.lua`.
    fn comes_too_late(&mut self, order: &Order) -> bool {
        let now = self.world.now;
        let fences = &mut self.data.keeping.fences;
        if there(fences, &order.cluster, now).is_some_and(|greatest| *greatest > order.token.0) {
            return true;
        }
        put(fences, order.cluster.clone(), order.token.0, now, now + FENCE);
        false
    }

    fn fence(&self, cluster: &ClusterId) -> Option<Token> {
        there(&self.data.keeping.fences, cluster, self.world.now).copied().map(Token)
    }

    fn overrule(&mut self, order: &Order, greatest: Token) -> bool {
        let now = self.world.now;
        let stands = self.fence(&order.cluster) == Some(greatest);
        if stands {
            put(&mut self.data.keeping.fences, order.cluster.clone(), order.token.0, now, now + FENCE);
        }
        stands
    }

    pub(super) fn obey<T>(&mut self, order: &Order, act: impl FnOnce(&mut Self) -> T) -> Ordered<T> {
        if self.comes_too_late(order) { Ordered::Late } else { Ordered::Done(act(self)) }
    }

    /// What is written down of a cluster, with the life of the store brought up to date.
    fn sweep_state(&mut self, cluster: &ClusterId) -> SweepState {
        let (now, run) = (self.world.now, self.world.run);
        let known = there(&self.data.keeping.sweeps, cluster, now).cloned();
        let note = known.as_ref().and_then(|known| known.note.clone());
        let state = known.filter(|known| known.run == run).unwrap_or(SweepState { run, since: now, note });
        put(&mut self.data.keeping.sweeps, cluster.clone(), state.clone(), now, now + RETENTION);
        state
    }

    fn nodes(&mut self, cluster: &ClusterId) -> Nodes {
        let now = self.world.now;
        let state = self.sweep_state(cluster);
        let index = self.data.indexes.get(cluster).into_iter().flatten();
        let nodes = index.map(|pod| {
            let spoke_at = self.data.nodes.get(pod).and_then(|node| node.spoke_at);
            let health = self.health(pod);
            NodeSeen {
                pod: pod.clone(),
                health_age: spoke_at
                    .filter(|_| health == Health::Well)
                    .map(|at| now.saturating_duration_since(at)),
                buried: health == Health::Buried,
                streams: self.data.held.get(pod).map_or(0, |held| held.len() as u64),
            }
        });
        Nodes {
            life: self.world.run.to_string(),
            stable: now.saturating_duration_since(state.since),
            note: state.note,
            nodes: nodes.collect(),
        }
    }

    fn sweep(&mut self, pod: &PodId, limit: usize) -> Swept {
        if self.health(pod) != Health::Buried && !cfg!(feature = "bug-no-tombstone") {
            return Swept::NotBuried;
        }
        let held = self.data.held.get(pod).into_iter().flatten();
        let looked_at: Vec<ConnectionId> = held.take(limit).cloned().collect();
        let mut deleted = 0;
        for id in looked_at {
            deleted += self.clear(&id, pod);
            self.data.release(pod, &id);
        }
        Swept::Some { deleted, left: self.data.held.get(pod).map_or(0, |held| held.len() as u64) }
    }

    /// Deletes a registration where it is still the owner's; see `fence.lua`.
    fn clear(&mut self, id: &ConnectionId, owner: &PodId) -> u64 {
        let Some(connection) = self.data.connections.get_mut(id) else { return 0 };
        let is_theirs = |(pod, _): &mut (PodId, ClusterId)| pod == owner || cfg!(feature = "bug-plain-del");
        match connection.holder.take_if(is_theirs) {
            // Under the same name it may be on somebody else's list.
            Some((pod, _)) => {
                self.data.release(&pod, id);
                1
            }
            None => 0,
        }
    }

    fn forget(&mut self, pod: &PodId, cluster: &ClusterId) -> Forgotten {
        if self.health(pod) != Health::Buried {
            return Forgotten::NotBuried;
        }
        // Whatever a pod can leave behind is asked for here.
        if self.data.held.contains_key(pod) || self.data.claims.contains_key(pod) {
            return Forgotten::Remains;
        }
        self.data.strike_off(pod, cluster);
        Forgotten::Done
    }

    fn is_known(&self, owner: &PodId, cluster: &ClusterId) -> bool {
        self.health(owner) == Health::Well
            || self.data.indexes.get(cluster).is_some_and(|index| index.contains(owner))
    }

    fn strays(&self) -> Vec<Stray> {
        let now = self.world.now;
        let live = self.data.connections.iter().filter(|(_, connection)| connection.expires > now);
        let strays = live.filter_map(|(id, connection)| {
            let (owner, cluster) = connection.holder.as_ref()?;
            (!self.is_known(owner, cluster)).then(|| Stray {
                owner: owner.to_string(),
                cluster: cluster.to_string(),
                connection: id.to_string(),
            })
        });
        strays.collect()
    }

    fn sweep_strays(&mut self, strays: &[Stray]) -> StraySwept {
        let Some(first) = strays.first() else { return StraySwept::Deleted(0) };
        // What is here came in as ids; what is no id cannot be here.
        let (Ok(owner), Ok(cluster)) = (PodId::parse(&first.owner), ClusterId::parse(&first.cluster)) else {
            return StraySwept::Deleted(0);
        };
        if self.is_known(&owner, &cluster) || !self.bury(&owner) {
            return StraySwept::Known;
        }
        let mut deleted = 0;
        for id in strays.iter().filter_map(|stray| ConnectionId::parse_kept(&stray.connection).ok()) {
            deleted += self.clear(&id, &owner);
            self.data.release(&owner, &id);
        }
        StraySwept::Deleted(deleted)
    }

    fn note_sweep(&mut self, cluster: &ClusterId, note: &str) {
        let now = self.world.now;
        let state = SweepState { note: Some(Arc::from(note)), ..self.sweep_state(cluster) };
        put(&mut self.data.keeping.sweeps, cluster.clone(), state, now, now + RETENTION);
    }

    pub(super) fn plant(&mut self, id: &ConnectionId, owner: &PodId, cluster: &ClusterId) {
        let connection = self.data.connection(id, &mut self.world);
        connection.holder = Some((owner.clone(), cluster.clone()));
    }
}

#[async_trait]
impl Housekeeping for MemoryStore {
    async fn nodes(&self, cluster: &ClusterId) -> Result<Nodes, StoreError> {
        Ok(self.lock().nodes(cluster))
    }

    async fn bury_nodes(&self, order: &Order, pods: &[PodId]) -> Result<Ordered<Vec<Buried>>, StoreError> {
        let bury = |state: &mut State, pod| if state.bury(pod) { Buried::Dead } else { Buried::Alive };
        Ok(self.lock().obey(order, |state| pods.iter().map(|pod| bury(state, pod)).collect()))
    }

    async fn sweep(&self, order: &Order, pod: &PodId, limit: usize) -> Result<Ordered<Swept>, StoreError> {
        Ok(self.lock().obey(order, |state| state.sweep(pod, limit)))
    }

    async fn forget(&self, order: &Order, pod: &PodId) -> Result<Ordered<Forgotten>, StoreError> {
        Ok(self.lock().obey(order, |state| state.forget(pod, &order.cluster)))
    }

    async fn strays(&self, _cursor: u64, _limit: usize) -> Result<StrayPage, StoreError> {
        // A step here takes as long as it takes to look at all of them: microseconds where Redis takes as many round trips.
        Ok(StrayPage { strays: self.lock().strays(), next: None })
    }

    async fn sweep_strays(&self, order: &Order, strays: &[Stray]) -> Result<Ordered<StraySwept>, StoreError> {
        Ok(self.lock().obey(order, |state| state.sweep_strays(strays)))
    }

    async fn note_sweep(&self, order: &Order, note: &str) -> Result<Ordered<()>, StoreError> {
        Ok(self.lock().obey(order, |state| state.note_sweep(&order.cluster, note)))
    }

    async fn fence(&self, cluster: &ClusterId) -> Result<Option<Token>, StoreError> {
        Ok(self.lock().fence(cluster))
    }

    async fn overrule(&self, order: &Order, greatest: Token) -> Result<bool, StoreError> {
        Ok(self.lock().overrule(order, greatest))
    }
}
