//! What a FundCluster is told about itself. Decides, and does nothing; no time in it ticks.

use fundbond_crds::{
    FundCluster, FundClusterStatus,
    fund_cluster::{GatewayAcknowledgement, PodCounts, condition},
};
use fundbond_protocol::FieldProblem;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    acknowledged::Programmed,
    reports::Report,
    routes::Rival,
    seen::{Detail, Rollout, Seen},
};

/// How far the operator came with a FundCluster. Only [`Applied`] can be ready, and only who has applied everything has one.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// It is as it was, by request.
    Paused,
    /// The spec cannot be.
    Invalid(Vec<FieldProblem>),
    /// The server does not take what the spec asks for.
    Refused(String),
    /// The server has everything but what takes the place of these, which have to leave first.
    Waits(String),
    /// The server has everything.
    Applied(Applied),
}

/// What is known of a FundCluster, beside its spec and what was made of it.
pub(crate) struct About<'a> {
    /// Its children.
    pub(crate) seen: &'a [Seen],
    /// Who has its route.
    pub(crate) rival: Option<&'a Rival>,
    /// How far a generation of its route came; none while gateways were not heard yet.
    pub(crate) programmed: &'a (dyn Fn(i64) -> Option<Programmed> + Sync),
    /// What its cluster says of itself, where that is news.
    pub(crate) report: Option<Report>,
}

/// The word that the server has all that was wanted.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// The Deployments that have to serve.
    pub(crate) deployments: Vec<Box<str>>,
    /// How often the route had changed.
    pub(crate) route: i64,
}

/// How far the route came, as far as that is known.
enum Progress {
    /// It is not applied.
    Nowhere,
    /// This generation of it is, and gateways were not heard yet.
    Unheard(i64),
    /// This generation came so far.
    Heard(i64, Programmed),
}

/// What [`condition::ROUTES_PROGRAMMED`] says of a route that is not applied, or is another's: no gateway has to do with it.
const NOT_APPLIED: &str = "NotApplied";
const CONFLICT: &str = "RouteConflict";

/// A condition without what it was before.
struct Word {
    about: &'static str,
    is: &'static str,
    reason: &'static str,
    message: String,
}

impl Word {
    fn new(about: &'static str, is: Option<bool>, reason: &'static str, message: impl Into<String>) -> Self {
        let is = is.map_or("Unknown", |is| if is { "True" } else { "False" });
        Self { about, is, reason, message: message.into() }
    }
}

/// The status of `cluster`, which stands so, by what is known `about` it.
pub(crate) fn status(
    cluster: &FundCluster,
    standing: &Standing,
    about: &About<'_>,
    now: Timestamp,
) -> FundClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let counts = counts(about.seen);
    let generation = cluster.metadata.generation;
    let mut words = words(&before, generation, standing, about, &counts);
    let told = before.gateways.as_ref().map(|told| told.generation);
    let route = match standing {
        Standing::Applied(applied) if about.rival.is_none() => Some(applied.route),
        Standing::Paused => told,
        _ => None,
    };
    let progress = match route.map(|route| (route, (about.programmed)(route))) {
        None => Progress::Nowhere,
        Some((route, None)) => Progress::Unheard(route),
        Some((route, Some(programmed))) => Progress::Heard(route, programmed),
    };
    let still = still(&before, &progress).map(|still| Condition { observed_generation: generation, ..still });
    if still.is_none() {
        words.push(programming(standing, about.rival, &progress));
    }
    let report = about.report.clone().unwrap_or(Report {
        streams: before.streams,
        backlog: before.backlog,
        leader: before.leader.clone(),
    });
    FundClusterStatus {
        observed_generation: generation,
        conditions: words
            .into_iter()
            .map(|word| condition_of(word, &before, generation, now))
            .chain(still)
            .collect(),
        pods: counts,
        selector: Some(fundbond_desired::pod_selector(cluster)),
        streams: report.streams,
        backlog: report.backlog,
        leader: report.leader,
        gateways: acknowledgement(before.gateways, &progress),
    }
}

/// Whether `after` says anything else than `before`. Conditions of others are theirs.
pub(crate) fn differs(before: Option<&FundClusterStatus>, after: &FundClusterStatus) -> bool {
    let Some(before) = before else { return true };
    let mut before = before.clone();
    before.conditions.retain(|said| condition::ALL.contains(&said.type_.as_str()));
    before.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    let mut after = after.clone();
    after.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    before != after
}

fn counts(seen: &[Seen]) -> PodCounts {
    let mut counts = PodCounts::default();
    for rollout in rollouts(seen).filter(|rollout| rollout.pods) {
        counts.desired += rollout.wanted;
        counts.ready += rollout.ready;
        counts.updated += rollout.updated;
    }
    counts.summary = Some(format!("{}/{}", counts.ready, counts.desired));
    counts
}

/// The Deployments among these.
pub(crate) fn rollouts(seen: &[Seen]) -> impl Iterator<Item = &Rollout> {
    seen.iter().filter_map(|seen| match &seen.detail {
        Detail::Rollout(rollout) => Some(&**rollout),
        _ => None,
    })
}

fn words(
    before: &FundClusterStatus,
    generation: Option<i64>,
    standing: &Standing,
    about: &About<'_>,
    counts: &PodCounts,
) -> Vec<Word> {
    let About { seen, rival, .. } = *about;
    let paused = match standing {
        Standing::Paused => {
            Word::new(condition::PAUSED, Some(true), "Asked", "spec.paused is true: nothing is changed")
        }
        _ => Word::new(condition::PAUSED, Some(false), "NotAsked", ""),
    };
    let stuck = |reason, message: &str| {
        vec![
            Word::new(condition::READY, Some(false), reason, message),
            Word::new(condition::PROGRESSING, Some(false), reason, message),
            Word::new(condition::STALLED, Some(true), reason, message),
        ]
    };
    let mut words = match standing {
        Standing::Paused => {
            let was = before.conditions.iter().find(|condition| condition.type_ == condition::READY);
            let ready = match was.map(|was| was.status.as_str()) {
                Some("True") => Some(true),
                Some("False") => Some(false),
                _ => None,
            };
            vec![
                Word::new(condition::READY, ready, "Paused", "as it was when it was paused"),
                Word::new(condition::PROGRESSING, Some(false), "Paused", ""),
            ]
        }
        Standing::Invalid(problems) => {
            let problems: Vec<_> = problems
                .iter()
                .map(|problem| match problem.field.as_str() {
                    "" => problem.message.clone(),
                    field => format!("{field}: {}", problem.message),
                })
                .collect();
            stuck("InvalidSpec", &problems.join("; "))
        }
        Standing::Refused(why) => stuck("Refused", why),
        Standing::Waits(leaving) => {
            let message = format!("to be made anew once it is gone: {leaving}");
            vec![
                Word::new(condition::READY, Some(false), "WaitsForDeletion", message.clone()),
                Word::new(condition::PROGRESSING, Some(true), "WaitsForDeletion", message.clone()),
                Word::new(condition::RECONCILING, Some(true), "WaitsForDeletion", message),
            ]
        }
        Standing::Applied(_) if rival.is_some() => {
            let message = rival.map(conflict).unwrap_or_default();
            stuck(CONFLICT, &message)
        }
        Standing::Applied(applied) => {
            let served = before.observed_generation == generation
                && before.conditions.iter().any(|before| {
                    let told = [condition::READY, condition::DEGRADED];
                    told.contains(&before.type_.as_str()) && before.status == "True"
                });
            serving(applied, seen, counts, served)
        }
    };
    if !words.iter().any(|word| word.about == condition::DEGRADED) {
        let failing = rollouts(seen).find_map(|rollout| rollout.failure.as_deref());
        words.push(match failing {
            Some(failure) => Word::new(condition::DEGRADED, Some(true), "PodsFailing", failure),
            None => Word::new(condition::DEGRADED, Some(false), "AsExpected", ""),
        });
    }
    words.push(paused);
    words
}

/// Which gateways have the route. As long as they were not heard, those that were said to have this generation of it do.
fn acknowledgement(
    before: Option<GatewayAcknowledgement>,
    progress: &Progress,
) -> Option<GatewayAcknowledgement> {
    match *progress {
        Progress::Nowhere => before,
        Progress::Unheard(generation) => {
            let before = before.unwrap_or_default();
            let acknowledged = if before.generation == generation { before.acknowledged } else { 0 };
            Some(GatewayAcknowledgement { generation, acknowledged, ..before })
        }
        Progress::Heard(generation, Programmed { acknowledged, gateways, .. }) => {
            Some(GatewayAcknowledgement { generation, acknowledged, gateways })
        }
    }
}

/// What was said of this generation of the route before, as long as gateways were not heard: who has only begun to lead knows
/// nothing better.
fn still(before: &FundClusterStatus, progress: &Progress) -> Option<Condition> {
    let Progress::Unheard(generation) = progress else { return None };
    before.gateways.as_ref().filter(|told| told.generation == *generation)?;
    let mut said = before.conditions.iter();
    said.find(|said| {
        said.type_ == condition::ROUTES_PROGRAMMED && ![NOT_APPLIED, CONFLICT].contains(&said.reason.as_str())
    })
    .cloned()
}

/// How far the route came. Nothing is known of one that is not applied.
fn programming(standing: &Standing, rival: Option<&Rival>, progress: &Progress) -> Word {
    let say = |is, reason, message: String| Word::new(condition::ROUTES_PROGRAMMED, is, reason, message);
    if let Some(rival) = rival {
        return say(Some(false), CONFLICT, conflict(rival));
    }
    let Programmed { gateways, acknowledged, silent, refused } = match progress {
        Progress::Nowhere => {
            let message = match standing {
                Standing::Paused => "there is no route",
                _ => "the route is as it was",
            };
            return say(None, NOT_APPLIED, message.to_owned());
        }
        Progress::Unheard(_) => return say(None, "NotHeard", "gateways were not heard yet".to_owned()),
        Progress::Heard(_, programmed) => programmed,
    };
    if let Some((gateway, why)) = refused {
        return say(Some(false), "Refused", format!("gateway {gateway} refuses the route: {why}"));
    }
    let many = if *gateways == 1 { "gateway has" } else { "gateways have" };
    let message = format!("{acknowledged} of {gateways} {many} the route");
    match (*gateways, gateways - acknowledged) {
        (0, _) => say(None, "NoGateways", "no gateway says which routes it has".to_owned()),
        (_, 0) => say(Some(true), "Acknowledged", message),
        (_, missing) if missing == *silent => {
            say(None, "GatewaysSilent", format!("{message}, and {silent} cannot be asked"))
        }
        _ => say(Some(false), "Waiting", message),
    }
}

fn conflict(rival: &Rival) -> String {
    format!(
        "{} already leads to FundCluster {}, which is older: delete one of the two, or give this one another route",
        rival.claim, rival.key
    )
}

/// What the pods say, once the server has everything.
fn serving(applied: &Applied, seen: &[Seen], counts: &PodCounts, served: bool) -> Vec<Word> {
    let of = |name: &str| {
        let found =
            seen.iter().find(|seen| seen.kind == crate::kinds::Kind::Deployment && *seen.name == *name);
        found.and_then(|seen| match &seen.detail {
            Detail::Rollout(rollout) => Some(&**rollout),
            _ => None,
        })
    };
    let deployments: Vec<_> = applied.deployments.iter().map(|name| of(name)).collect();
    let PodCounts { desired, ready, updated, .. } = counts;
    if let Some(failure) = deployments.iter().flatten().find_map(|rollout| rollout.failure.as_deref()) {
        return vec![
            Word::new(condition::READY, Some(false), "PodsFailing", failure),
            Word::new(condition::PROGRESSING, Some(false), "PodsFailing", failure),
            Word::new(condition::DEGRADED, Some(true), "PodsFailing", failure),
            Word::new(condition::STALLED, Some(true), "PodsFailing", failure),
        ];
    }
    if deployments.iter().all(|rollout| rollout.is_some_and(Rollout::is_done)) {
        let message = format!("{ready} of {desired} pods are ready");
        return vec![
            Word::new(condition::READY, Some(true), "AllReady", message),
            Word::new(condition::PROGRESSING, Some(false), "Done", ""),
        ];
    }
    let newest = deployments.iter().all(|rollout| {
        rollout.is_some_and(|rollout| {
            rollout.observed >= rollout.generation && rollout.updated >= rollout.wanted
        })
    });
    if served && newest {
        // It was all there, and some of it has gone.
        let message = format!("{ready} of {desired} pods are ready, or the proxy is short of some");
        return vec![
            Word::new(condition::READY, Some(false), "PodsMissing", message.clone()),
            Word::new(condition::PROGRESSING, Some(false), "PodsMissing", ""),
            Word::new(condition::DEGRADED, Some(true), "PodsMissing", message),
        ];
    }
    let message =
        format!("{ready} of {desired} pods are ready, {updated} of them of the newest spec or starting");
    vec![
        Word::new(condition::READY, Some(false), "PodsStarting", message.clone()),
        Word::new(condition::PROGRESSING, Some(true), "PodsStarting", message.clone()),
        Word::new(condition::RECONCILING, Some(true), "PodsStarting", message),
    ]
}

fn condition_of(
    word: Word,
    before: &FundClusterStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let was = before.conditions.iter().find(|before| before.type_ == word.about && before.status == word.is);
    // To the second, as the server keeps it: otherwise it would never be what was written.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: word.about.to_owned(),
        status: word.is.to_owned(),
        reason: word.reason.to_owned(),
        message: word.message,
        observed_generation: generation,
        last_transition_time: was.map_or(Time(now), |was| was.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests;
