//! Tells people what became of a FundCluster, as events beside it. Only what changed: a state that lasts is in the status.

use fundbond_crds::{FundCluster, FundClusterStatus, fund_cluster::condition, labels};
use fundbond_service_runtime::exit::chain;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Client, Resource as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a note that the API server takes.
const NOTE: usize = 1024;

/// An event that is not taken by then is left: what it says is in the status as well.
const LIMIT: Duration = Duration::from_secs(5);

/// What tells.
#[derive(Clone)]
pub(crate) struct Announcer(Recorder);

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcer").finish_non_exhaustive()
    }
}

impl Announcer {
    /// In the name of this operator.
    pub(crate) fn new(client: Client, instance: &str) -> Self {
        let reporter =
            Reporter { controller: labels::OPERATOR.to_owned(), instance: Some(instance.to_owned()) };
        Self(Recorder::new(client, reporter))
    }

    /// Tells what changed between two states, if that is worth a word.
    pub(crate) async fn changed(
        &self,
        cluster: &FundCluster,
        before: Option<&FundClusterStatus>,
        after: &FundClusterStatus,
    ) {
        let Some(event) = news(before, after) else { return };
        let reference = cluster.object_ref(&());
        let told = timeout(LIMIT, self.0.publish(&event, &reference)).await;
        let error = match told {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("no answer within {LIMIT:?}"),
        };
        tracing::warn!(cluster = cluster.metadata.name, error, "an event could not be told");
    }
}

fn news(before: Option<&FundClusterStatus>, after: &FundClusterStatus) -> Option<Event> {
    let ready = ready(after)?;
    let was = before.and_then(|before| self::ready(before));
    let same = was.is_some_and(|was| was.status == ready.status && was.reason == ready.reason);
    if same {
        return None;
    }
    let worries = ["InvalidSpec", "Refused", "RouteConflict", "PodsFailing", "PodsMissing"];
    let worries = worries.contains(&ready.reason.as_str());
    let type_ = if worries { EventType::Warning } else { EventType::Normal };
    let mut note = ready.message.clone();
    let end = (0..=NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
    note.truncate(end);
    Some(Event {
        type_,
        reason: ready.reason.clone(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}

fn ready(status: &FundClusterStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == condition::READY)
}
