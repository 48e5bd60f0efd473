//! Which pods stay, go and come.
//!
//! Kubernetes gives the pods of a Deployment their names, so those that come have none yet: they get some here that cannot be
//! mistaken for real ones.

use std::collections::BTreeMap;

use fundbond_crds::labels;
use fundbond_desired::Child;
use k8s_openapi::api::apps::v1::Deployment;
use serde::Serialize;

use super::{
    endpoints::{Endpoints, Known},
    moves::Endpoint,
};
use crate::manifest::ManifestError;

/// What becomes of the pods of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// They stay as they are.
    Stay,
    /// Each is followed by a new one.
    Roll,
    /// There are more, or fewer.
    Scale,
    /// The Deployment is new.
    Come,
    /// The Deployment goes.
    Leave,
}

/// The pods of one Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodsChange {
    /// The Deployment.
    pub deployment: String,
    /// The shard group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether these are the proxies in front of the pods.
    pub proxy: bool,
    /// What becomes of them.
    pub fate: Fate,
    /// Those of now.
    pub before: Vec<String>,
    /// Those of then.
    pub after: Vec<String>,
    /// Whether some of the names are made up.
    pub assumed: bool,
    /// Whether an autoscaler says how many there are.
    pub autoscaled: bool,
}

/// The pods of every Deployment of `before` and `after`. Where somebody knows the pods, `now` and `then` say it.
///
/// # Errors
/// They speak of groups that are not there.
pub fn compare(
    before: &[Child],
    after: &[Child],
    now: &[Endpoints],
    then: &[Endpoints],
) -> Result<Vec<PodsChange>, ManifestError> {
    let (old, new) = (deployments(before), deployments(after));
    fits(now, &old)?;
    fits(then, &new)?;
    let mut names: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().filter_map(|name| one(name, old.get(name), new.get(name), now, then)).collect())
}

/// A Deployment, and how many pods it has.
struct Set<'a> {
    deployment: &'a Deployment,
    group: Option<String>,
    proxy: bool,
    count: usize,
    autoscaled: bool,
}

fn deployments(children: &[Child]) -> BTreeMap<&str, Set<'_>> {
    let least = |name: &str| {
        children.iter().find_map(|child| match child {
            Child::HorizontalPodAutoscaler(scaler) if child.name() == name => {
                scaler.spec.as_ref()?.min_replicas
            }
            _ => None,
        })
    };
    children
        .iter()
        .filter_map(|child| {
            let Child::Deployment(deployment) = child else { return None };
            let name = deployment.metadata.name.as_deref()?;
            let label = |label: &str| deployment.metadata.labels.as_ref()?.get(label).cloned();
            let scaled = least(name);
            let count = scaled.or(deployment.spec.as_ref()?.replicas).unwrap_or(1);
            let set = Set {
                deployment,
                group: label(labels::SHARD_GROUP),
                proxy: label(labels::COMPONENT).as_deref() == Some(labels::PROXY),
                count: usize::try_from(count).unwrap_or_default(),
                autoscaled: scaled.is_some(),
            };
            Some((name, set))
        })
        .collect()
}

/// Whether every group that is spoken of is one of the Deployments.
fn fits(known: &[Endpoints], sets: &BTreeMap<&str, Set<'_>>) -> Result<(), ManifestError> {
    let groups: Vec<_> = sets.values().filter(|set| !set.proxy).map(|set| set.group.as_deref()).collect();
    for endpoints in known {
        if groups.contains(&endpoints.group.as_deref()) {
            continue;
        }
        let names: Vec<_> = groups.iter().flatten().copied().collect();
        return Err(ManifestError::Endpoints(match (&endpoints.group, names.is_empty()) {
            (Some(group), true) => format!("there are no shard groups, so there is no {group}"),
            (Some(group), false) => format!("{group:?} is no shard group: one of {}", names.join(", ")),
            (None, _) => format!("the pods of which shard group? One of {}", names.join(", ")),
        }));
    }
    Ok(())
}

fn one(
    name: &str,
    old: Option<&Set<'_>>,
    new: Option<&Set<'_>>,
    now: &[Endpoints],
    then: &[Endpoints],
) -> Option<PodsChange> {
    let one = old.or(new)?;
    let known = |known: &[Endpoints], set: Option<&Set<'_>>| {
        let group = set.filter(|set| !set.proxy)?.group.clone();
        known.iter().find(|endpoints| endpoints.group == group).map(|endpoints| endpoints.pods.clone())
    };
    let (known_now, known_then) = (known(now, old), known(then, new));
    let rolls = match (old, new) {
        (Some(old), Some(new)) => template(old.deployment) != template(new.deployment),
        _ => false,
    };
    let before = match (&known_now, old) {
        (_, None) => Vec::new(),
        (Some(Known::Names(names)), _) => names.clone(),
        (Some(Known::Count(count)), _) => made_up(name, 0, *count),
        (None, Some(old)) => made_up(name, 0, old.count),
    };
    let after = match (&known_then, new) {
        (_, None) => Vec::new(),
        (Some(Known::Names(names)), _) => names.clone(),
        (counted, Some(new)) => {
            let count = match (counted, old) {
                (Some(Known::Count(count)), _) => *count,
                // What somebody counted stays so many, unless the spec says otherwise.
                (_, Some(old)) if old.count == new.count && known_now.is_some() => before.len(),
                _ => new.count,
            };
            let stay = if rolls || old.is_none() { &[][..] } else { &before[..count.min(before.len())] };
            let fresh =
                if old.is_none() { made_up(name, 0, count) } else { fresh(name, stay.len(), count, rolls) };
            stay.iter().cloned().chain(fresh).collect()
        }
    };
    let fate = match (old, new) {
        (None, _) => Fate::Come,
        (_, None) => Fate::Leave,
        _ if rolls => Fate::Roll,
        _ if before == after => Fate::Stay,
        _ => Fate::Scale,
    };
    let named = |known: &Option<Known>| matches!(known, Some(Known::Names(_)));
    let assumed = (!named(&known_now) && !before.is_empty()) || (!named(&known_then) && after != before);
    Some(PodsChange {
        deployment: name.to_owned(),
        group: one.group.clone(),
        proxy: one.proxy,
        fate,
        before,
        after,
        assumed,
        autoscaled: old.is_some_and(|set| set.autoscaled) || new.is_some_and(|set| set.autoscaled),
    })
}

fn template(deployment: &Deployment) -> Option<&k8s_openapi::api::core::v1::PodTemplateSpec> {
    deployment.spec.as_ref().map(|spec| &spec.template)
}

fn made_up(deployment: &str, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("{deployment}-{number}")).collect()
}

/// Those that come to `stay` others, `count` in all.
fn fresh(deployment: &str, stay: usize, count: usize, rolls: bool) -> Vec<String> {
    made_up(&format!("{deployment}-new"), if rolls { 0 } else { stay }, count)
}

/// The pods of now, as the route has them.
pub(super) fn now(pods: &[PodsChange]) -> Vec<Endpoint> {
    endpoints(pods, |pods| &pods.before)
}

/// The pods of then.
pub(super) fn then(pods: &[PodsChange]) -> Vec<Endpoint> {
    endpoints(pods, |pods| &pods.after)
}

fn endpoints(pods: &[PodsChange], which: impl Fn(&PodsChange) -> &Vec<String>) -> Vec<Endpoint> {
    let pods = pods.iter().filter(|pods| !pods.proxy);
    pods.flat_map(|pods| {
        which(pods).iter().map(|name| Endpoint { name: name.clone(), group: pods.group.clone() })
    })
    .collect()
}
