//! Does what was planned, step by step.

use super::{
    Reconciler,
    names::{Refused, There, lacking, taken},
};
use crate::{
    failure::Failure,
    kinds::Kind,
    plan::{Plan, Step},
    seen::{Key, Seen, Uid, Whole},
    status::{Applied, Standing},
    wanted::Wanted,
};

impl Reconciler {
    /// Makes the children what they are to be, but for what `cannot` be. What is refused keeps nobody else waiting, but
    /// nothing is deleted while something is missing that may have to take its place.
    pub(super) async fn carry_out(
        &self,
        key: &Key,
        plan: Plan,
        mut cannot: Refused,
    ) -> Result<Standing, Failure> {
        let mut refused = Vec::new();
        let applied = applied(&plan);
        for step in plan.steps {
            let (kind, name) = step.subject();
            if matches!(step, Step::Delete { .. }) && !refused.is_empty() {
                continue;
            }
            let done = match cannot.remove(&(kind, name.clone())) {
                Some(why) => Err(Failure::Refused(why)),
                None => self.step(key, step).await,
            };
            match done {
                Ok(()) => {}
                Err(Failure::Refused(why)) => refused.push(format!("{} {name}: {why}", kind.as_str())),
                Err(failure) => return Err(failure),
            }
        }
        if !refused.is_empty() {
            return Ok(Standing::Refused(refused.join("; ")));
        }
        if !plan.leaving.is_empty() {
            let leaving = plan.leaving.iter().map(|(kind, name)| format!("{} {name}", kind.as_str()));
            return Ok(Standing::Waits(leaving.collect::<Vec<_>>().join(", ")));
        }
        Ok(Standing::Applied(applied))
    }

    async fn step(&self, key: &Key, step: Step) -> Result<(), Failure> {
        match step {
            Step::Create(wanted) => self.create(key, &wanted).await,
            Step::Update { wanted, uid, version } => self.update(key, &wanted, &uid, version).await,
            Step::HandOver { wanted, uid, version, replicas } => {
                let held = self.server.hand_over(&key.namespace, &wanted.name, &uid, version, replicas).await;
                let held = match held {
                    Ok(object) => self.keep(key, wanted.kind, &object).ok_or_else(|| taken(wanted.kind))?,
                    Err(failure) => return self.failed(key, wanted.kind, &wanted.name, failure).await,
                };
                self.update(key, &wanted, &uid, held.version).await
            }
            Step::Delete { kind, name, uid, version } => self.remove(key, kind, &name, &uid, version).await,
        }
    }

    async fn create(&self, key: &Key, wanted: &Wanted) -> Result<(), Failure> {
        let (kind, name) = (wanted.kind, &*wanted.name);
        match self.server.apply(kind, &key.namespace, name, &wanted.value, false).await {
            Ok(object) => {
                self.metrics.wrote("create", kind.as_str());
                self.took(key, wanted, &object);
                Ok(())
            }
            // There is one by now: an own one, or somebody else's.
            Err(failure) if failure.is_quarrel() => match self.look_again(key, kind, name).await? {
                There::Own(_) => Err(failure),
                There::Nothing | There::Others => Err(taken(kind)),
            },
            Err(failure) => Err(lacking(kind, failure)),
        }
    }

    async fn update(&self, key: &Key, wanted: &Wanted, uid: &Uid, version: u64) -> Result<(), Failure> {
        let value = wanted.over(uid, version);
        let answer = self.server.apply(wanted.kind, &key.namespace, &wanted.name, &value, true).await;
        match answer {
            Ok(object) => {
                self.metrics.wrote("update", wanted.kind.as_str());
                self.took(key, wanted, &object);
                Ok(())
            }
            Err(failure) => self.failed(key, wanted.kind, &wanted.name, failure).await,
        }
    }

    /// Keeps what the server answered to a write. Where that did not become what was asked for, it never will: it is said
    /// once, and not asked for again.
    fn took(&self, key: &Key, wanted: &Wanted, object: &Whole) {
        let Some(seen) = self.keep(key, wanted.kind, object) else { return };
        if seen.fields.as_ref().is_some_and(|fields| fields.cover(&wanted.value)) {
            return;
        }
        tracing::warn!(
            cluster = %key, kind = wanted.kind.as_str(), name = &*wanted.name,
            "the API server took an object, but not every field of it"
        );
        self.cache.settle(key, &seen, wanted.digest);
    }

    /// Keeps what the server answered; none of what is not this FundCluster's child.
    pub(super) fn keep(&self, key: &Key, kind: Kind, object: &Whole) -> Option<Seen> {
        self.cache.answered_child(self.children(kind, key), key, kind, object)
    }

    /// A write to something that may have changed meanwhile failed. If it has, it is read afresh, so that the next attempt
    /// is about what is there now.
    async fn failed(&self, key: &Key, kind: Kind, name: &str, failure: Failure) -> Result<(), Failure> {
        if matches!(failure, Failure::Conflict(_) | Failure::Absent(_)) {
            self.look_again(key, kind, name).await?;
        }
        Err(failure)
    }

    /// Deletes a child that is still what was seen. That it is gone, a watch tells.
    pub(super) async fn remove(
        &self,
        key: &Key,
        kind: Kind,
        name: &str,
        uid: &Uid,
        version: u64,
    ) -> Result<(), Failure> {
        match self.server.delete(kind, &key.namespace, name, uid, version).await {
            Ok(()) => {
                self.metrics.wrote("delete", kind.as_str());
                self.cache.child_leaves(key, kind, name, uid);
                Ok(())
            }
            Err(Failure::Absent(_)) => {
                self.cache.child_not_found(key, kind, name);
                Ok(())
            }
            Err(failure) => self.failed(key, kind, name, failure).await,
        }
    }
}

/// What can be said once every step of the plan is done.
pub(super) fn applied(plan: &Plan) -> Applied {
    let deployments = plan.wanted.iter().filter(|wanted| wanted.kind == Kind::Deployment);
    Applied { deployments: deployments.map(|wanted| wanted.name.clone()).collect(), route: plan.route }
}

impl Step {
    fn subject(&self) -> (Kind, Box<str>) {
        match self {
            Self::Create(wanted) | Self::Update { wanted, .. } | Self::HandOver { wanted, .. } => {
                (wanted.kind, wanted.name.clone())
            }
            Self::Delete { kind, name, .. } => (*kind, name.clone()),
        }
    }
}
