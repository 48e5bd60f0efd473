//! What is to be written so that a FundCluster's children are as they should be. Decides, and does nothing.

use fundbond_crds::FundCluster;
use fundbond_desired::{Child, Site};

use crate::{
    kinds::Kind,
    seen::{Detail, Seen, Uid},
    wanted::Wanted,
};

/// One write. Whatever changes or deletes something names the writing that it means: where somebody else was faster, or
/// this process is an operator whose time is over, the server refuses it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// There is no such object yet. One that somebody else made is not taken away from them.
    Create(Wanted),
    /// It is not as it should be.
    Update { wanted: Wanted, uid: Uid, version: u64 },
    /// The number of pods is an autoscaler's from now on. A field that nobody applies any more goes back to its default, so
    /// somebody has to say the number until the autoscaler does.
    HandOver { wanted: Wanted, uid: Uid, version: u64, replicas: i32 },
    /// It should not be there.
    Delete { kind: Kind, name: Box<str>, uid: Uid, version: u64 },
}

/// What is to be done, and what is wanted in the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) steps: Vec<Step>,
    /// All children.
    pub(crate) wanted: Vec<Wanted>,
    /// How often the route will have changed.
    pub(crate) route: i64,
    /// What has to leave before the rest can be done: while there is any of it, not all is applied.
    pub(crate) leaving: Vec<(Kind, Box<str>)>,
}

/// Plans for `cluster`, whose children were `seen`. `routed` is how often its route had changed as far as its status and gateways
/// know;
/// `without_route` where somebody else has the route.
pub(crate) fn plan(
    cluster: &FundCluster,
    site: &Site,
    seen: &[Seen],
    routed: i64,
    without_route: bool,
) -> Plan {
    let uid = &Uid::from(cluster.metadata.uid.as_deref().unwrap_or_default());
    let count = seen.iter().filter_map(|seen| match seen.detail {
        Detail::Route(count) => Some(count),
        _ => None,
    });
    let route = count.max().unwrap_or_default().max(routed);
    let mut wanted = wanted(cluster, site, route.max(1), without_route);
    let changed = wanted.iter().any(|wanted| {
        wanted.kind == Kind::GatewayRoute
            && find(seen, wanted).is_none_or(|seen| !is_right(seen, wanted, uid))
    });
    let route = if changed { route + 1 } else { route };
    if changed {
        // Counted on, for whoever has seen the last one; the digest does not count.
        let next = self::wanted(cluster, site, route, without_route);
        for (wanted, next) in wanted.iter_mut().zip(next) {
            *wanted = next;
        }
    }
    let mut plan = Plan { steps: Vec::new(), wanted: Vec::new(), route, leaving: Vec::new() };
    for wanted in &wanted {
        match find(seen, wanted) {
            None => plan.steps.push(Step::Create(wanted.clone())),
            // It comes back once it is gone.
            Some(seen) if seen.leaving => plan.leaving.push((seen.kind, seen.name.clone())),
            // Of a FundCluster of that name which is no more.
            Some(seen) if seen.owner.as_ref().is_some_and(|owner| owner != uid) => {
                plan.steps.push(delete(seen));
                plan.leaving.push((seen.kind, seen.name.clone()));
            }
            Some(seen) if is_right(seen, wanted, uid) => {}
            Some(seen) => plan.steps.push(update(seen, wanted.clone())),
        }
    }
    let is_wanted = |seen: &Seen| wanted.iter().any(|wanted| is(seen, wanted));
    // Last, so that nothing leaves before what comes in its place is asked for.
    plan.steps
        .extend(seen.iter().filter(|seen| !seen.leaving && seen.is_own() && !is_wanted(seen)).map(delete));
    plan.wanted = wanted;
    plan
}

fn wanted(cluster: &FundCluster, site: &Site, route: i64, without_route: bool) -> Vec<Wanted> {
    let children = fundbond_desired::children(cluster, site, route);
    let children =
        children.iter().filter(|child| !(without_route && matches!(child, Child::GatewayRoute(_))));
    children.map(Wanted::of).collect()
}

fn is(seen: &Seen, wanted: &Wanted) -> bool {
    seen.kind == wanted.kind && seen.name == wanted.name
}

/// The child that is to become this. What somebody else has put there is not it, labels and all.
fn find<'a>(seen: &'a [Seen], wanted: &Wanted) -> Option<&'a Seen> {
    seen.iter().find(|seen| seen.is_own() && is(seen, wanted))
}

/// Whether it is as it should be: this is what was applied last, and nobody has changed any of it since.
fn is_right(seen: &Seen, wanted: &Wanted, uid: &Uid) -> bool {
    if seen.owner.as_ref() != Some(uid) || seen.digest != Some(wanted.digest) {
        return false;
    }
    let Some(fields) = &seen.fields else { return false };
    let settled = seen.settled.as_ref();
    settled.is_some_and(|(digest, settled)| *digest == wanted.digest && settled.same(fields))
        || fields.cover(&wanted.value)
}

fn update(seen: &Seen, wanted: Wanted) -> Step {
    let (uid, version) = (seen.uid.clone(), seen.version);
    if let Detail::Rollout(rollout) = &seen.detail {
        let said = ["spec", "replicas"];
        let no_more = wanted.value.pointer("/spec/replicas").is_none();
        if no_more && seen.fields.as_ref().is_some_and(|fields| fields.have(&said)) {
            return Step::HandOver { wanted, uid, version, replicas: rollout.wanted };
        }
    }
    Step::Update { wanted, uid, version }
}

/// Deletes it, if it is still what was seen.
pub(crate) fn delete(seen: &Seen) -> Step {
    Step::Delete { kind: seen.kind, name: seen.name.clone(), uid: seen.uid.clone(), version: seen.version }
}

#[cfg(test)]
mod tests;
