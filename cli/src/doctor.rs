//! What is wrong, and what to do: one [`Finding`] a check, from what was [`Seen`].
//!
//! Flow: the command looks at everything it may look at -> [`findings`] judges (pure, in the order in which a person would
//! look: a server first, then what is installed, then what runs) -> [`text`]. What could not be looked at is a finding as
//! well: nothing is taken for healthy because nobody saw it.

mod definitions;
mod fund_clusters;
mod gateways;
mod operator;
mod pods;
mod server;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use fundbond_crds::GatewayRoute;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, coordination::v1::Lease,
        core::v1::Pod, discovery::v1::EndpointSlice,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{ResourceExt, api::DynamicObject};
use serde::Serialize;

pub use definitions::NAMES as DEFINITIONS;
pub use fund_clusters::secret_of;
pub use operator::lease_of;
pub use text::{summary, text};

use crate::{admin::RouteTable, status::Standing};

/// A namespace and a name.
pub type Place = (String, String);

/// What was seen of something, or why nothing was.
pub type Look<T> = Result<T, Blind>;

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blind {
    /// In a sentence.
    pub why: String,
    /// What to do next.
    pub next: String,
}

/// Everything that was looked at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How `kubectl` and this program reach the server.
    pub kubectl: String,
    /// See [`Seen::kubectl`].
    pub program: String,
    /// The address of the server.
    pub server: String,
    /// Its version, as it spells it.
    pub version: Look<Version>,
    /// What time it is here, when it was asked, and there.
    pub here: Timestamp,
    /// See [`Seen::here`].
    pub there: Option<Timestamp>,
    /// The definitions of [`DEFINITIONS`], in that order; none where there is none.
    pub definitions: Vec<Look<Option<CustomResourceDefinition>>>,
    /// Deployments of the product.
    pub deployments: Look<Vec<Deployment>>,
    /// The Leases of the operators.
    pub leases: BTreeMap<Place, Look<Option<Lease>>>,
    /// The FundClusters.
    pub clusters: Look<Vec<DynamicObject>>,
    /// Whether the Secrets that FundClusters name are there.
    pub secrets: BTreeMap<Place, Look<bool>>,
    /// Their routes.
    pub routes: Look<Vec<GatewayRoute>>,
    /// What their Services lead to.
    pub slices: Look<Vec<EndpointSlice>>,
    /// What each gateway that is ready has applied.
    pub tables: BTreeMap<Place, Look<RouteTable>>,
    /// Pods of the product.
    pub pods: Look<Vec<Pod>>,
    /// Autoscalers of the product.
    pub autoscalers: Look<Vec<HorizontalPodAutoscaler>>,
}

/// The version of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `1`.
    pub major: String,
    /// `36`, or `36+`.
    pub minor: String,
    /// `v1.36.4`.
    pub whole: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// Nobody could look.
    Unknown,
    /// It will not stay well, or is not as it was meant.
    Warn,
    /// Something does not work.
    Fail,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, in a word or two.
    pub check: &'static str,
    /// The object, where it is about one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// What is so.
    pub what: String,
    /// The command to go on with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// The page of the documentation about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<&'static str>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, "", what, "")
    }

    fn new(
        level: Level,
        check: &'static str,
        object: impl Into<String>,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { level, check, object: object.into(), what: what.into(), next: next.into(), runbook: None }
    }

    fn blind(check: &'static str, blind: &Blind) -> Self {
        Self::new(Level::Unknown, check, "", blind.why.clone(), blind.next.clone())
    }

    fn see(self, runbook: &'static str) -> Self {
        Self { runbook: Some(runbook), ..self }
    }
}

impl Seen {
    /// What time it is, by the clock that leases and events are written by.
    pub fn now(&self) -> Timestamp {
        self.there.unwrap_or(self.here)
    }
}

/// All findings. A check that finds nothing says so in one line.
pub fn findings(seen: &Seen) -> Vec<Finding> {
    let mut findings = server::look(seen);
    if seen.version.is_err() {
        // Nobody was asked for anything more.
        return findings;
    }
    findings.extend(definitions::look(seen));
    findings.extend(operator::look(seen));
    findings.extend(fund_clusters::look(seen));
    findings.extend(gateways::look(seen));
    findings.extend(pods::look(seen));
    findings
}

/// The findings of a check about many, or the line that says that all of them are well.
fn all_well(check: &'static str, found: Vec<Finding>, well: impl FnOnce() -> String) -> Vec<Finding> {
    if found.is_empty() { vec![Finding::ok(check, well())] } else { found }
}

/// `3 pods`, `1 pod`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn place(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn shown((namespace, name): &Place) -> String {
    format!("{namespace}/{name}")
}

fn label<'a>(object: &'a impl ResourceExt, name: &str) -> &'a str {
    object.labels().get(name).map_or("", String::as_str)
}

/// The FundClusters as they stand.
fn standings(clusters: &[DynamicObject]) -> Vec<Standing> {
    let mut standings: Vec<_> = clusters.iter().map(Standing::of).collect();
    crate::status::sort(&mut standings);
    standings
}
