//! One look at one FundCluster: observe, validate, plan, apply, tell.
//!
//! Whether there is something to do is decided by what the watches told. But nothing is written on their word: before the
//! first write the FundCluster is read afresh and all is decided once more, so that an operator whose watches lag, or which
//! has only begun to lead, never brings back an older spec.

mod carry_out;
mod names;
mod orphans;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use fundbond_crds::{FundCluster, FundClusterStatus, check::Checker, definitions};
use fundbond_desired::Site;
use fundbond_protocol::FieldProblem;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Deserialize as _;
use tokio::time::Instant;

use self::names::{Found, Refused};
use crate::{
    acknowledged::Acknowledgements,
    announce::Announcer,
    api::Server,
    cache::{Cache, Known, WatchId},
    failure::Failure,
    kinds::Kind,
    metrics::Metrics,
    plan::{Plan, plan},
    reports::Reports,
    seen::{Detail, Key},
    status::{self, About, Standing},
    watches::Watches,
};

/// The rules, made ready once for all operators of this process: that takes longer than to look at many FundClusters.
static CHECKER: LazyLock<Checker> = LazyLock::new(|| Checker::of(&definitions::fund_cluster()));

/// Before it is looked again where something goes and no watch tells of it.
const UNTOLD: Duration = Duration::from_millis(250);

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Everything is as it should be, or somebody else is to do something and a watch will tell.
    Done,
    /// The server is deleting something; when it is gone, a watch tells.
    Waits,
    /// To be looked at again by then.
    After(Duration),
}

/// What looks.
pub(crate) struct Reconciler {
    pub(crate) cache: Arc<Cache>,
    pub(crate) server: Server,
    pub(crate) announcer: Announcer,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) acknowledged: Arc<Acknowledgements>,
    pub(crate) site: Site,
    /// Since when there are children of FundClusters that are gone.
    pub(crate) orphaned: Mutex<HashMap<Key, Instant>>,
}

/// What there is to do.
enum Todo {
    /// It is being deleted, and takes its children along.
    Nothing,
    /// The children stay as they are.
    Tell(Box<FundCluster>, Standing),
    /// The children become this.
    Apply(Box<FundCluster>, Plan),
}

impl Reconciler {
    /// Looks at a FundCluster. `touched` hears which others are to be looked at because of it.
    pub(crate) async fn look(&self, key: &Key, touched: impl Fn(Key) + Sync) -> Result<Next, Failure> {
        let known = self.cache.known(key);
        let Some(object) = self.cache.cluster_of(key) else {
            return self.orphans(key, known, &touched).await;
        };
        let todo = self.todo(&object, &known);
        let (todo, cannot) = match todo {
            Todo::Apply(_, plan) if !plan.steps.is_empty() => {
                let Some(fresh) = self.fresh(key, &touched).await? else {
                    // The watch has not told yet that it is gone.
                    return Ok(Next::Done);
                };
                self.todo_now(key, &fresh).await?
            }
            todo => (todo, Refused::new()),
        };
        match todo {
            Todo::Nothing => Ok(Next::Done),
            Todo::Tell(cluster, standing) => {
                self.tell(key, &cluster, &standing, &touched).await?;
                Ok(Next::Done)
            }
            Todo::Apply(cluster, plan) => {
                if cfg!(feature = "bug-early-status") {
                    let standing = Standing::Applied(carry_out::applied(&plan));
                    self.tell(key, &cluster, &standing, &touched).await?;
                }
                let leaving = plan.leaving.clone();
                let standing = self.carry_out(key, plan, cannot).await?;
                // Gone already, and no watch will say so.
                let known = self.cache.known(key).children;
                let stays = |(kind, name): &(Kind, Box<str>)| {
                    known.iter().any(|seen| seen.kind == *kind && seen.name == *name)
                };
                if !leaving.is_empty() && !leaving.iter().all(stays) {
                    return Ok(Next::After(UNTOLD));
                }
                self.tell(key, &cluster, &standing, &touched).await?;
                match standing {
                    Standing::Refused(why) => Err(Failure::Refused(why)),
                    Standing::Waits(_) => Ok(Next::Waits),
                    _ => Ok(Next::Done),
                }
            }
        }
    }

    /// The FundCluster as it is now.
    async fn fresh(
        &self,
        key: &Key,
        touched: &(impl Fn(Key) + Sync),
    ) -> Result<Option<DynamicObject>, Failure> {
        let fresh = self.server.cluster(key).await?;
        if let Some(fresh) = &fresh {
            self.cache.answered_cluster(self.clusters(key), fresh).into_iter().for_each(touched);
        }
        Ok(fresh)
    }

    fn clusters(&self, key: &Key) -> WatchId {
        self.watches.clusters(&key.namespace)
    }

    fn children(&self, kind: Kind, key: &Key) -> WatchId {
        self.watches.children(kind, &key.namespace)
    }

    /// What there is to do for a FundCluster that was read afresh, and what of it cannot be.
    async fn todo_now(&self, key: &Key, fresh: &DynamicObject) -> Result<(Todo, Refused), Failure> {
        let mut known = self.cache.known(key);
        let todo = self.todo(fresh, &known);
        let Todo::Apply(_, plan) = &todo else { return Ok((todo, Refused::new())) };
        let Found { own, refused } = self.find(key, plan).await?;
        if own.is_empty() {
            return Ok((todo, refused));
        }
        known.children.extend(own);
        Ok((self.todo(fresh, &known), refused))
    }

    /// What there is to do for a FundCluster, by what is known of it.
    fn todo(&self, object: &DynamicObject, known: &Known) -> Todo {
        if object.metadata.deletion_timestamp.is_some() {
            return Todo::Nothing;
        }
        let (cluster, problems) = validate(object);
        if cluster.spec.paused {
            return Todo::Tell(cluster, Standing::Paused);
        }
        if !problems.is_empty() {
            return Todo::Tell(cluster, Standing::Invalid(problems));
        }
        let told = cluster.status.as_ref().and_then(|status| status.gateways.as_ref());
        let routed = told.map_or(0, |told| told.generation);
        // Until they hear that it is gone, gateways have the route of an earlier FundCluster of that name: this one counts on
        // from there, so that nothing they say of that one is taken for theirs.
        let is_routed = known.children.iter().any(|seen| matches!(seen.detail, Detail::Route(_)));
        let routed =
            if is_routed { routed } else { routed.max(self.acknowledged.newest(&Key::of(&object.metadata))) };
        let plan = plan(&cluster, &self.site, &known.children, routed, known.rival.is_some());
        Todo::Apply(cluster, plan)
    }

    /// Tells a FundCluster what became of it, where that is news.
    async fn tell(
        &self,
        key: &Key,
        cluster: &FundCluster,
        standing: &Standing,
        touched: &(impl Fn(Key) + Sync),
    ) -> Result<(), Failure> {
        let known = self.cache.known(key);
        let before = cluster.status.as_ref();
        let about = About {
            seen: &known.children,
            rival: known.rival.as_ref(),
            programmed: &|route| self.acknowledged.of(key, route),
            report: self.reports.news(key),
        };
        let after = status::status(cluster, standing, &about, Timestamp::now());
        if !status::differs(before, &after) {
            return Ok(());
        }
        self.write_status(key, cluster, &after, touched).await?;
        self.announcer.changed(cluster, before, &after).await;
        Ok(())
    }

    async fn write_status(
        &self,
        key: &Key,
        cluster: &FundCluster,
        status: &FundClusterStatus,
        touched: &(impl Fn(Key) + Sync),
    ) -> Result<(), Failure> {
        let version = cluster.metadata.resource_version.as_deref().unwrap_or_default();
        match self.server.status(key, version, status).await {
            Ok(written) => {
                self.metrics.wrote("status", "FundCluster");
                self.cache.answered_cluster(self.clusters(key), &written).into_iter().for_each(touched);
                Ok(())
            }
            Err(Failure::Conflict(error)) => {
                self.fresh(key, touched).await?;
                Err(Failure::Conflict(error))
            }
            // It was deleted in between.
            Err(Failure::Absent(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// The FundCluster as its types have it, and what is wrong with it. The server has judged by the same rules; but the
/// rules may be newer than the object.
fn validate(object: &DynamicObject) -> (Box<FundCluster>, Vec<FieldProblem>) {
    let value = serde_json::to_value(object).expect("an object is JSON");
    match FundCluster::deserialize(&value) {
        Ok(cluster) => (Box::new(cluster), CHECKER.check(&value, None)),
        Err(error) => {
            let problem = FieldProblem { field: String::new(), message: error.to_string() };
            (Box::new(unreadable(object)), vec![problem])
        }
    }
}

/// What can be said of a FundCluster that cannot be read: its head, and a status to put the reason in.
fn unreadable(object: &DynamicObject) -> FundCluster {
    let mut cluster = FundCluster::new(
        object.metadata.name.as_deref().unwrap_or_default(),
        serde_json::from_value(
            serde_json::json!({"route": {"value": "none"}, "redis": {"url": "redis://none"}}),
        )
        .expect("the smallest spec"),
    );
    cluster.metadata = object.metadata.clone();
    cluster.spec.paused = object.data["spec"]["paused"] == true;
    cluster.status = FundClusterStatus::deserialize(&object.data["status"]).ok();
    cluster
}
