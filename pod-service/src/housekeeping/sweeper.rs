//! Gives the orders of one sweep, and asks before each whether it still leads.

use fundbond_lease::Leadership;
use fundbond_protocol::PodId;
use fundbond_store::{
    Buried, Forgotten, HandedOver, Order, Ordered, Store, StoreError, Stray, StraySwept, Swept,
};
use tokio::sync::watch;

use super::plan::Plan;
use crate::metrics::SweepMetrics;

/// Registrations in one order: a script of a millisecond, in which the server does nothing else.
const BATCH: usize = 100;

/// Keys that one step of a scan looks at.
const SCANNED_A_STEP: usize = 500;

/// One sweep under way.
pub struct Sweeper<'a> {
    pub store: &'a dyn Store,
    pub order: &'a Order,
    pub leadership: &'a watch::Receiver<Option<Leadership>>,
    pub metrics: &'a SweepMetrics,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It was carried out.
    #[default]
    Done,
    /// This process leads no more, or another one does.
    Late,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Nodes declared dead.
    pub buried: u64,
    /// Nodes of which nothing is left.
    pub forgotten: u64,
    /// Tasks that wait for others.
    pub handed_over: u64,
    /// Registrations deleted.
    pub deleted: u64,
    pub end: End,
}

impl Sweeper<'_> {
    /// Whether the orders still count, by this process's own clock.
    pub fn leads(&self) -> bool {
        let word = *self.leadership.borrow();
        word.is_some_and(|word| word.token == self.order.token && word.holds())
    }

    /// Does what `plan` says.
    pub async fn carry_out(&self, plan: &Plan) -> Result<Done, StoreError> {
        let mut done = Done::default();
        let in_time = self.give_orders(plan, &mut done).await?;
        done.end = if in_time.is_some() { End::Done } else { End::Late };
        Ok(done)
    }

    /// The same, order by order, counted in `done`. None where it is too late for orders, as below.
    async fn give_orders(&self, plan: &Plan, done: &mut Done) -> Result<Option<()>, StoreError> {
        let Some(buried) = self.bury(&plan.bury).await? else { return Ok(None) };
        done.buried = buried.len() as u64;
        // Tasks first: somebody waits for them.
        for pod in plan.sweep.iter().chain(&buried) {
            let Some(tasks) = self.hand_over(pod).await? else { return Ok(None) };
            done.handed_over += tasks;
        }
        for pod in plan.sweep.iter().chain(&buried) {
            let Some(deleted) = self.clear(pod).await? else { return Ok(None) };
            done.deleted += deleted;
            let Some(forgotten) = self.forget(pod, deleted).await? else { return Ok(None) };
            done.forgotten += u64::from(forgotten);
        }
        Ok(Some(()))
    }

    /// Declares dead those of `pods` that still have no health.
    async fn bury(&self, pods: &[PodId]) -> Result<Option<Vec<PodId>>, StoreError> {
        if pods.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if !self.leads() {
            return Ok(None);
        }
        let Ordered::Done(answers) = self.store.bury_nodes(self.order, pods).await? else { return Ok(None) };
        let mut buried = Vec::new();
        for (pod, _) in pods.iter().zip(answers).filter(|(_, answer)| *answer == Buried::Dead) {
            tracing::warn!(cluster = %self.order.cluster, %pod, "declared a pod dead that says nothing");
            self.metrics.buried.inc();
            buried.push(pod.clone());
        }
        Ok(Some(buried))
    }

    /// Lets others run what a buried pod ran; says how many tasks that were.
    async fn hand_over(&self, pod: &PodId) -> Result<Option<u64>, StoreError> {
        let mut sum = 0;
        loop {
            if !self.leads() {
                return Ok(None);
            }
            let (tasks, left) = match self.store.hand_over(self.order, pod).await? {
                Ordered::Late => return Ok(None),
                // As below.
                Ordered::Done(HandedOver::NotBuried) => (0, 0),
                Ordered::Done(HandedOver::Done { tasks, left }) => (tasks as u64, left),
            };
            self.metrics.handed_over.inc_by(tasks);
            sum += tasks;
            if left == 0 {
                if sum > 0 {
                    tracing::info!(cluster = %self.order.cluster, %pod, tasks = sum, "others run the tasks of a dead pod");
                }
                return Ok(Some(sum));
            }
        }
    }

    /// Deletes what a buried pod holds; says how many registrations that were.
    async fn clear(&self, pod: &PodId) -> Result<Option<u64>, StoreError> {
        let mut sum = 0;
        loop {
            if !self.leads() {
                return Ok(None);
            }
            match self.store.sweep(self.order, pod, BATCH).await? {
                Ordered::Late => return Ok(None),
                // Its tombstone was lost, with all that was written later: the next look at the nodes tells.
                Ordered::Done(Swept::NotBuried) => return Ok(Some(sum)),
                Ordered::Done(Swept::Some { deleted, left }) => {
                    self.metrics.deleted.inc_by(deleted);
                    sum += deleted;
                    if left == 0 {
                        return Ok(Some(sum));
                    }
                }
            }
        }
    }

    /// Takes a pod out of its cluster that has nothing left; says whether that is so.
    async fn forget(&self, pod: &PodId, deleted: u64) -> Result<Option<bool>, StoreError> {
        if !self.leads() {
            return Ok(None);
        }
        match self.store.forget(self.order, pod).await? {
            Ordered::Late => Ok(None),
            Ordered::Done(Forgotten::Done) => {
                tracing::info!(cluster = %self.order.cluster, %pod, streams = deleted, "nothing is left of a dead pod");
                self.metrics.forgotten.inc();
                Ok(Some(true))
            }
            Ordered::Done(Forgotten::Remains | Forgotten::NotBuried) => Ok(Some(false)),
        }
    }

    /// All registrations of nobody.
    pub async fn scan(&self) -> Result<Option<Vec<Stray>>, StoreError> {
        let (mut found, mut cursor) = (Vec::new(), 0);
        loop {
            if !self.leads() {
                return Ok(None);
            }
            let page = self.store.strays(cursor, SCANNED_A_STEP).await?;
            found.extend(page.strays);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(Some(found)),
            }
        }
    }

    /// Sweeps strays; those of each group have one owner.
    pub async fn sweep_strays(&self, groups: Vec<Vec<Stray>>) -> Result<(), StoreError> {
        for group in groups {
            let mut sum = 0;
            for batch in group.chunks(BATCH) {
                if !self.leads() {
                    return Ok(());
                }
                match self.store.sweep_strays(self.order, batch).await? {
                    Ordered::Late => return Ok(()),
                    Ordered::Done(StraySwept::Known) => break,
                    Ordered::Done(StraySwept::Deleted(deleted)) => sum += deleted,
                }
            }
            if let Some(first) = group.first().filter(|_| sum > 0) {
                self.metrics.strays.inc_by(sum);
                tracing::warn!(
                    pod = first.owner,
                    cluster = first.cluster,
                    streams = sum,
                    "deleted streams of nobody"
                );
            }
        }
        Ok(())
    }
}
