//! How FundClusters stand, as a person asks: is it ready, and if not, why, and what then?
//!
//! Flow: a FundCluster as the API server has it -> [`Standing`], with what its status says about the spec of now -> a table of
//! many ([`table`]) or a page about one ([`page`]). Pure: the time is an argument.

mod page;
mod table;
#[cfg(test)]
mod tests;

use fundbond_crds::{
    FundClusterStatus,
    fund_cluster::{GatewayAcknowledgement, PodCounts, condition},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt as _, api::DynamicObject};
use serde::Serialize;
use serde_json::Value;

pub use page::{Happened, happened, page};
pub use table::{Drawn, table};

/// A FundCluster, as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
    /// Whether it serves as it should by its spec of now.
    pub ready: Ready,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What the operator says holds.
    pub conditions: Vec<Condition>,
    /// Which requests are its own.
    pub route: Route,
    /// How one of its pods is chosen.
    pub strategy: String,
    /// Its pods.
    pub pods: PodCounts,
    /// Open streams; none where it does not say.
    pub streams: Option<i64>,
    /// Tasks that no pod runs yet; none where it does not say.
    pub backlog: Option<i64>,
    /// The pod that keeps house.
    pub leader: Option<String>,
    /// Which gateways have its route.
    pub gateways: Option<GatewayAcknowledgement>,
    /// The generation of its spec, and the one its status is about.
    pub generation: i64,
    /// See [`Standing::generation`].
    pub observed_generation: Option<i64>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Which of all that ever had that name.
    #[serde(skip)]
    pub uid: String,
}

/// Which requests go there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The header that names it.
    pub header: String,
    /// The value of that header.
    pub value: String,
    /// What paths begin with.
    pub path_prefix: String,
    /// Whether requests that name nobody go there, too.
    pub default: bool,
}

/// Whether it serves as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Ready {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody has said so, about its spec of now.
    Unknown,
}

impl Ready {
    /// As conditions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// How much it needs somebody; the greater, the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    /// All is as it should be.
    None,
    /// Its operator is at it.
    Underway,
    /// Some of it does not serve.
    Degraded,
    /// Nothing gets better without somebody's help.
    Stalled,
}

impl Standing {
    /// How `object` stands. What of it cannot be read counts as not said: an older or newer API server may know other fields.
    pub fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned().unwrap_or_default();
        let status: FundClusterStatus = serde_json::from_value(status).unwrap_or_default();
        let spec = |path: &str| object.data.pointer(path);
        let text = |path: &str| spec(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut standing = Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            ready: Ready::Unknown,
            reason: String::new(),
            message: String::new(),
            conditions: status.conditions,
            route: Route {
                header: text("/spec/route/header"),
                value: text("/spec/route/value"),
                path_prefix: text("/spec/route/pathPrefix"),
                default: spec("/spec/route/default").and_then(Value::as_bool).unwrap_or_default(),
            },
            strategy: text("/spec/routing/strategy"),
            pods: status.pods,
            streams: status.streams,
            backlog: status.backlog,
            leader: status.leader,
            gateways: status.gateways,
            generation: object.metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation,
            created_at: object.creation_timestamp().map(|time| time.0),
            uid: object.uid().unwrap_or_default(),
        };
        let (ready, reason, message) = standing.verdict(object.metadata.deletion_timestamp.is_some());
        (standing.ready, standing.reason, standing.message) = (ready, reason, message);
        standing
    }

    fn verdict(&self, leaves: bool) -> (Ready, String, String) {
        if leaves {
            let finalizers = "it is gone once nothing holds it: metadata.finalizers say who does";
            return (Ready::False, "Deleting".to_owned(), finalizers.to_owned());
        }
        if !self.is_observed() {
            let message = match self.observed_generation {
                Some(observed) => format!(
                    "the operator has not looked at generation {} yet; what it says is about {observed}",
                    self.generation
                ),
                None => "no operator has looked at it yet: does one look after this namespace?".to_owned(),
            };
            return (Ready::Unknown, "NotObserved".to_owned(), message);
        }
        let Some(ready) = self.condition(condition::READY) else {
            let message = "its status does not say whether it is ready".to_owned();
            return (Ready::Unknown, "NotSaid".to_owned(), message);
        };
        let is = match ready.status.as_str() {
            "True" => Ready::True,
            "False" => Ready::False,
            _ => Ready::Unknown,
        };
        (is, ready.reason.clone(), ready.message.clone())
    }

    /// Whether its status is about its spec of now.
    pub fn is_observed(&self) -> bool {
        self.observed_generation.is_some_and(|observed| observed >= self.generation)
    }

    /// What the operator says of `about`.
    pub fn condition(&self, about: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == about)
    }

    /// Whether the operator says that `about` holds.
    pub fn is(&self, about: &str) -> bool {
        self.condition(about).is_some_and(|condition| condition.status == "True")
    }

    /// How much it needs somebody.
    pub fn attention(&self) -> Attention {
        if self.ready == Ready::True {
            return Attention::None;
        }
        if self.is_observed() && self.is(condition::STALLED) {
            return Attention::Stalled;
        }
        if self.is_observed() && self.is(condition::DEGRADED) {
            Attention::Degraded
        } else {
            Attention::Underway
        }
    }

    /// `funds/cluster1`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Those that need somebody first, then by their names.
pub fn sort(standings: &mut [Standing]) {
    standings.sort_by(|a, b| {
        let order = b.attention().cmp(&a.attention());
        order.then_with(|| a.namespace.cmp(&b.namespace)).then_with(|| a.name.cmp(&b.name))
    });
}

/// How long it is since `then`, as `kubectl` tells it: `45s`, `7m30s`, `3h`, `5d`.
pub fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    let Some(then) = then else { return "-".to_owned() };
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, of: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{of}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}
