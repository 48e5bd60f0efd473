//! Accepted tasks on their way to a runner.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, PodId, TaskId};

use super::{MemoryStore, nodes::Health, state::State, task::Accepted};
use crate::{
    Attempt, Backlog, Claimed, Claims, HandedOver, Held, Message, Order, Ordered, Queue, Restored, Standing,
    StoreError, Submission, Submitted,
};

/// Claims handed over in one step, as on a server.
const HANDED_OVER_A_STEP: usize = 100;

#[async_trait]
impl Queue for MemoryStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn submit(&self, submission: &Submission, limit: usize) -> Result<Submitted, StoreError> {
        Ok(self.lock().submit(submission, limit))
    }

    async fn claim(&self, pod: &PodId, cluster: &ClusterId, most: usize) -> Result<Claims, StoreError> {
        Ok(self.lock().claim(pod, cluster, most))
    }

    async fn hold(
        &self,
        pod: &PodId,
        _cluster: &ClusterId,
        runs: &[(TaskId, Attempt)],
    ) -> Result<Held, StoreError> {
        Ok(self.lock().hold_runs(pod, runs))
    }

    async fn give_back(&self, pod: &PodId, runs: &[(TaskId, Attempt)]) -> Result<(), StoreError> {
        self.lock().give_back(pod, runs);
        Ok(())
    }

    async fn restore(&self, submission: &Submission, standing: &Standing) -> Result<Restored, StoreError> {
        Ok(self.lock().restore(submission, standing))
    }

    async fn hand_over(&self, order: &Order, pod: &PodId) -> Result<Ordered<HandedOver>, StoreError> {
        Ok(self.lock().obey(order, |state| state.hand_over(pod)))
    }

    async fn backlog(&self, cluster: &ClusterId) -> Result<Backlog, StoreError> {
        Ok(self.lock().backlog(cluster))
    }
}

impl State {
    fn submit(&mut self, submission: &Submission, limit: usize) -> Submitted {
        let known = self.data.known_task(&submission.task, self.world.now);
        let accepted = known.and_then(|task| task.accepted.as_ref()).map(|accepted| &accepted.submission);
        let is_new = accepted.is_none();
        let home = match accepted {
            Some(accepted) if accepted.cluster != submission.cluster => {
                return Submitted::OtherCluster(accepted.cluster.clone());
            }
            Some(accepted) if accepted.fingerprint != submission.fingerprint => {
                return Submitted::OtherRequest;
            }
            Some(accepted) => accepted.connection.clone(),
            None if self.data.waiting.get(&submission.cluster).map_or(0, BTreeMap::len) >= limit => {
                return Submitted::Full;
            }
            None => submission.connection.clone(),
        };
        let connection = self.data.home(&submission.task, self.world.now).unwrap_or_else(|| {
            self.attach(&home, &submission.task);
            home
        });
        let stream_open = self.data.connection(&connection, &mut self.world).holder.is_some();
        if is_new {
            self.accept(submission);
            self.enqueue(&submission.task);
            return Submitted::New { connection, stream_open };
        }
        self.data.task(&submission.task, self.world.now);
        Submitted::Repeated { connection, stream_open }
    }

    /// Writes down that a task was accepted.
    fn accept(&mut self, submission: &Submission) {
        let sequence = self.world.tick();
        let index = self.data.accepted.entry(submission.cluster.clone()).or_default();
        index.insert(sequence, submission.task.clone());
        self.data.task(&submission.task, self.world.now).accepted = Some(Accepted {
            sequence,
            submission: submission.clone(),
            attempt: Attempt(0),
            pod: None,
            deaths: 0,
        });
    }

    /// Lets an accepted task that has not ended wait for a runner, at its place in time, and wakes one.
    pub(super) fn enqueue(&mut self, id: &TaskId) -> bool {
        let Some(task) = self.data.tasks.get_mut(id).filter(|task| task.is_pending()) else { return false };
        let Some(accepted) = &mut task.accepted else { return false };
        accepted.pod = None;
        let (cluster, sequence) = (accepted.submission.cluster.clone(), accepted.sequence);
        let acceptor = accepted.submission.pod.clone();
        self.data.waiting.entry(cluster.clone()).or_default().insert(sequence, id.clone());
        self.data.task(id, self.world.now);
        self.wake(&cluster, acceptor);
        true
    }

    /// Tells a pod that would run more, the one that accepted the task where that has room. Who was told is told again
    /// only after it asked: one task wakes one pod.
    fn wake(&mut self, cluster: &ClusterId, acceptor: PodId) {
        let Some(idle) = self.data.idle.get_mut(cluster) else { return };
        let mut next = idle.remove(&acceptor).then_some(acceptor).or_else(|| idle.pop_first());
        while let Some(pod) = next {
            if self.health(&pod) == Health::Well {
                return self.wires.tell(&pod, Message::Work);
            }
            next = self.data.idle.get_mut(cluster).and_then(BTreeSet::pop_first);
        }
    }

    fn claim(&mut self, pod: &PodId, cluster: &ClusterId, most: usize) -> Claims {
        match self.health(pod) {
            Health::Buried => return Claims::Buried,
            Health::Absent => return Claims::NoHealth,
            Health::Well => {}
        }
        let mut claims = Vec::new();
        while claims.len() < most {
            let next = self.data.waiting.get_mut(cluster).and_then(BTreeMap::pop_first);
            let Some((_, id)) = next else { break };
            claims.extend(self.claim_task(pod, &id));
        }
        let idle = self.data.idle.entry(cluster.clone()).or_default();
        if claims.len() < most {
            idle.insert(pod.clone());
        } else {
            idle.remove(pod);
        }
        Claims::Tasks(claims)
    }

    fn claim_task(&mut self, pod: &PodId, id: &TaskId) -> Option<Claimed> {
        let home = self.data.home(id, self.world.now);
        let task = self.data.task(id, self.world.now);
        if task.ended {
            return None;
        }
        let accepted = task.accepted.as_mut()?;
        accepted.attempt = Attempt(self.world.rising(accepted.attempt.0));
        accepted.pod = Some(pod.clone());
        let mut claimed = Claimed {
            submission: accepted.submission.clone(),
            attempt: accepted.attempt,
            deaths: accepted.deaths,
        };
        if let Some(home) = home {
            claimed.submission.connection = home;
        }
        if !cfg!(feature = "bug-early-ack") {
            self.data.claims.entry(pod.clone()).or_default().insert(id.clone());
        }
        self.wires.tell(&claimed.submission.pod, Message::Claimed { task: id.clone() });
        Some(claimed)
    }

    /// Takes a task off the list of what a pod runs.
    fn unclaim(&mut self, pod: &PodId, id: &TaskId) {
        if let Some(claims) = self.data.claims.get_mut(pod) {
            claims.remove(id);
            if claims.is_empty() {
                self.data.claims.remove(pod);
            }
        }
    }

    /// Forgets who waits for or runs a task that has ended, and the request with it.
    pub(super) fn settle(&mut self, id: &TaskId) {
        let Some(accepted) = self.data.tasks.get_mut(id).and_then(|task| task.accepted.as_mut()) else {
            return;
        };
        accepted.submission.body = Arc::from("");
        let (cluster, sequence) = (&accepted.submission.cluster, accepted.sequence);
        if let Some(waiting) = self.data.waiting.get_mut(cluster) {
            waiting.remove(&sequence);
        }
        if let Some(pod) = accepted.pod.take() {
            self.unclaim(&pod, id);
        }
    }

    fn hold_runs(&mut self, pod: &PodId, runs: &[(TaskId, Attempt)]) -> Held {
        match self.health(pod) {
            Health::Buried => return Held::Buried,
            Health::Absent => return Held::NoHealth,
            Health::Well => {}
        }
        let (mut lost, mut forgotten) = (Vec::new(), Vec::new());
        for (id, attempt) in runs {
            let known = self.data.known_task(id, self.world.now);
            if known.is_none_or(|task| task.accepted.is_none()) {
                forgotten.push(id.clone());
            } else if !self.go_on(id, pod, *attempt) {
                lost.push(id.clone());
            }
        }
        let named: HashSet<_> = runs.iter().map(|(id, _)| id).collect();
        // The pod does not know that it claimed the others: the answer was lost.
        let claims = self.data.claims.get(pod).into_iter().flatten();
        let unknown: Vec<_> = claims.filter(|id| !named.contains(id)).cloned().collect();
        for id in unknown {
            self.unclaim(pod, &id);
            self.enqueue(&id);
        }
        Held::Claims { lost, forgotten }
    }

    /// Goes on with a run of a task, under whatever id its process has now; false where it has ended or a later one
    /// began.
    fn go_on(&mut self, id: &TaskId, pod: &PodId, attempt: Attempt) -> bool {
        let task = self.data.task(id, self.world.now);
        let ended = task.ended;
        let Some(accepted) = task.accepted.as_mut().filter(|accepted| !ended && accepted.attempt <= attempt)
        else {
            return false;
        };
        accepted.attempt = attempt;
        let (cluster, sequence) = (accepted.submission.cluster.clone(), accepted.sequence);
        let before = accepted.pod.replace(pod.clone());
        if let Some(waiting) = self.data.waiting.get_mut(&cluster) {
            waiting.remove(&sequence);
        }
        if let Some(before) = before.filter(|before| before != pod) {
            self.unclaim(&before, id);
        }
        self.data.claims.entry(pod.clone()).or_default().insert(id.clone());
        true
    }

    fn give_back(&mut self, pod: &PodId, runs: &[(TaskId, Attempt)]) {
        for (id, attempt) in runs {
            let known = self.data.tasks.get(id).and_then(|task| task.accepted.as_ref());
            if known.is_some_and(|known| known.attempt == *attempt && known.pod.as_ref() == Some(pod)) {
                self.unclaim(pod, id);
                self.enqueue(id);
            }
        }
    }

    fn restore(&mut self, submission: &Submission, standing: &Standing) -> Restored {
        let id = &submission.task;
        let known = self.data.known_task(id, self.world.now);
        let (ended, accepted) = known.map_or((false, false), |task| (task.ended, task.accepted.is_some()));
        if !accepted {
            if self.data.home(id, self.world.now).is_none() {
                self.attach(&submission.connection, id);
            }
            self.accept(submission);
        }
        if ended {
            // Its end may have been told first.
            if !accepted {
                self.settle(id);
            }
            return Restored::Ended;
        }
        let well = match standing {
            Standing::Waiting => false,
            Standing::Running(pod, _) => self.health(pod) == Health::Well,
        };
        if !accepted {
            if let (Standing::Running(_, attempt), Some(accepted)) =
                (standing, &mut self.data.task(id, self.world.now).accepted)
            {
                accepted.attempt = *attempt;
            }
            // A run whose pod may not claim anything goes on all the same, and claims the task once its pod is well.
            if !well {
                self.enqueue(id);
            }
        }
        match standing {
            Standing::Running(pod, attempt) if well => {
                if self.go_on(id, pod, *attempt) {
                    Restored::Claimed
                } else {
                    Restored::Lost
                }
            }
            _ => {
                let known = self.data.tasks.get(id).and_then(|task| task.accepted.as_ref());
                let runs = known.is_some_and(|accepted| accepted.pod.is_some());
                if runs { Restored::Claimed } else { Restored::Waiting }
            }
        }
    }

    fn hand_over(&mut self, pod: &PodId) -> HandedOver {
        if self.health(pod) != Health::Buried {
            return HandedOver::NotBuried;
        }
        let claims = self.data.claims.get(pod).into_iter().flatten();
        let some: Vec<_> = claims.take(HANDED_OVER_A_STEP).cloned().collect();
        let mut tasks = 0;
        for id in some {
            self.unclaim(pod, &id);
            if let Some(accepted) = self.data.tasks.get_mut(&id).and_then(|task| task.accepted.as_mut()) {
                accepted.deaths += 1;
            }
            tasks += usize::from(self.enqueue(&id));
        }
        HandedOver::Done { tasks, left: self.data.claims.get(pod).map_or(0, BTreeSet::len) }
    }

    fn backlog(&mut self, cluster: &ClusterId) -> Backlog {
        let waiting = self.data.waiting.get(cluster);
        let oldest = waiting.and_then(|waiting| waiting.keys().next().copied());
        let now = self.world.tick();
        let of_cluster = |id: &&TaskId| {
            let accepted = self.data.tasks.get(*id).and_then(|task| task.accepted.as_ref());
            accepted.is_some_and(|accepted| accepted.submission.cluster == *cluster)
        };
        Backlog {
            waiting: waiting.map_or(0, BTreeMap::len),
            oldest: oldest.map(|sequence| Duration::from_micros(now.saturating_sub(sequence))),
            claimed: self.data.claims.values().flatten().filter(of_cluster).count(),
        }
    }
}
