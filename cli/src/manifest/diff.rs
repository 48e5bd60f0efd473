//! What a change of a FundCluster does, before it is made.
//!
//! Flow: both specs become what the operator would write -> [`children`] compares the objects -> [`pods`] says which pods
//! stay, go and come -> [`moves`] asks the hops' own code where each user goes now and would go then.

pub mod children;
pub mod endpoints;
pub mod moves;
pub mod pods;
mod text;
pub mod users;

use fundbond_crds::{
    FundCluster,
    routing::{AppliesTo, Strategy},
};
use fundbond_desired::Site;
use serde::Serialize;
use serde_json::Value;

use self::{
    children::ChildChange,
    endpoints::Endpoints,
    moves::{Moves, Side},
    pods::PodsChange,
    users::User,
};
use super::{ManifestError, lint};

pub use text::text;

/// What is asked about a change.
#[derive(Clone, Debug)]
pub struct Question {
    /// What the operator is told.
    pub site: Site,
    /// Whom to follow.
    pub users: Vec<User>,
    /// Whether they read; else they write.
    pub reads: bool,
    /// The pods of now, where somebody knows them.
    pub before: Vec<Endpoints>,
    /// The pods of then, where somebody knows them.
    pub after: Vec<Endpoints>,
}

/// What a change of one FundCluster does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The strategy of now, and the one of then.
    pub strategy: [Strategy; 2],
    /// Objects that come, go and change.
    pub children: Vec<ChildChange>,
    /// The pods of each Deployment.
    pub pods: Vec<PodsChange>,
    /// Where users go.
    pub users: Moves,
    /// What is assumed, and what else to know.
    pub notes: Vec<String>,
}

impl Difference {
    /// Whether anything changes at all.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }
}

/// What becomes of `old` when it is changed to `new`.
///
/// # Errors
/// A server would refuse the change, or the pods that are named do not fit the FundCluster.
pub fn diff(old: &FundCluster, new: &FundCluster, question: &Question) -> Result<Difference, ManifestError> {
    allowed(old, new)?;
    let objects = |cluster: &FundCluster| {
        let mut cluster = cluster.clone();
        // One was read from a server and the other was not: both are the same FundCluster.
        cluster.metadata.uid = None;
        fundbond_desired::children(&cluster, &question.site, 1)
    };
    let (before, after) = (objects(old), objects(new));
    let children = children::compare(&before, &after);
    let pods = pods::compare(&before, &after, &question.before, &question.after)?;
    let (from, to) = (side(old, pods::now(&pods))?, side(new, pods::then(&pods))?);
    let users = moves::moves(&from, &to, &question.users, question.reads);
    let notes = notes(old, new, &children, &pods, &users, question);
    let metadata = new.metadata.clone();
    Ok(Difference {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        strategy: [old.spec.routing.strategy, new.spec.routing.strategy],
        children,
        pods,
        users,
        notes,
    })
}

/// Rules about changes, which nobody can ask of one object alone.
fn allowed(old: &FundCluster, new: &FundCluster) -> Result<(), ManifestError> {
    let value = |cluster: &FundCluster| serde_json::to_value(cluster).unwrap_or(Value::Null);
    match lint::change(&value(old), &value(new)) {
        None => Ok(()),
        Some(problem) => Err(ManifestError::Change {
            name: new.metadata.name.clone().unwrap_or_default(),
            field: problem.field,
            why: problem.message,
        }),
    }
}

/// As the proxy would read the route of `cluster`, with these pods behind it.
fn side(cluster: &FundCluster, endpoints: Vec<moves::Endpoint>) -> Result<Side, ManifestError> {
    Side::new(&cluster.spec.routing, endpoints).map_err(|problems| {
        let problems = problems.0.iter().map(|problem| format!("{}: {}", problem.field, problem.message));
        ManifestError::Endpoints(problems.collect::<Vec<_>>().join("; "))
    })
}

fn notes(
    old: &FundCluster,
    new: &FundCluster,
    children: &[ChildChange],
    pods: &[PodsChange],
    users: &Moves,
    question: &Question,
) -> Vec<String> {
    let mut notes = Vec::new();
    if new.spec.paused {
        notes.push("spec.paused is true: nothing of this happens until it is taken out".to_owned());
    }
    if children.is_empty() {
        return notes;
    }
    let by_name = |cluster: &FundCluster| {
        matches!(cluster.spec.routing.strategy, Strategy::ClientIp | Strategy::ConsistentHash)
    };
    if (by_name(old) || by_name(new)) && pods.iter().any(|pods| pods.assumed) {
        notes.push(
            "names of pods are made up: about so many users move, but which ones depends on what your pods are called \
             (--endpoints, --endpoints-after)"
                .to_owned(),
        );
    }
    if pods.iter().any(|pods| pods.autoscaled) {
        notes.push("with an autoscaler as many pods are assumed as there are at least".to_owned());
    }
    if users.unknown > 0 {
        notes.push(format!(
            "{} users are not followed: where they go depends on something that --users does not say, the address of a \
             client or another header",
            users.unknown
        ));
    }
    let hashes = |cluster: &FundCluster| cluster.spec.routing.strategy == Strategy::ConsistentHash;
    if hashes(old) || hashes(new) {
        notes.push(
            "a pod that has its share passes users on to the next one; that is not in these numbers"
                .to_owned(),
        );
        if !question.reads && !hashes_reads(old, new) {
            notes.push("what users write is followed; --reads follows the rest".to_owned());
        }
    }
    notes
}

/// Whether both hash reads as they hash writes.
fn hashes_reads(old: &FundCluster, new: &FundCluster) -> bool {
    let all = |cluster: &FundCluster| {
        let hash = cluster.spec.routing.consistent_hash.as_ref();
        hash.is_some_and(|hash| hash.applies_to == AppliesTo::All)
    };
    all(old) && all(new)
}
