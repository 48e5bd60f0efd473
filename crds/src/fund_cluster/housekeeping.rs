//! When a pod counts as dead.

use std::time::Duration;

use fundbond_routing::spec::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a pod counts as dead, and how what it leaves is cleared away.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self.renewDeadline) < duration(self.leaseDuration)", "housekeeping.renewDeadline must be shorter than leaseDuration, for a leader stops before another begins: shorten the one or lengthen the other", ".renewDeadline"),
    crate::rules::rule("duration(self.retryPeriod) < duration(self.renewDeadline)", "housekeeping.retryPeriod must be shorter than renewDeadline, for a leader needs more than one attempt: shorten the one or lengthen the other", ".retryPeriod"),
    crate::rules::rule("duration(self.healthInterval) + duration(self.healthInterval) + duration(self.healthInterval) <= duration(self.nodeTimeout)", "housekeeping.healthInterval must be at most a third of nodeTimeout, for two lost words are no death: shorten the one or lengthen the other", ".healthInterval")
]))]
#[serde(rename_all = "camelCase", default)]
pub struct Housekeeping {
    /// How often a pod says that it lives.
    #[schemars(extend("example" = "10s"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1s')", "housekeeping.healthInterval must be 1s or longer", "")
]))]
    pub health_interval: Span,
    /// Without a word for so long a pod is dead.
    #[schemars(extend("example" = "30s"))]
    pub node_timeout: Span,
    /// A housekeeper that was silent for so long is followed by another.
    #[schemars(extend("example" = "15s"))]
    pub lease_duration: Span,
    /// A housekeeper that could not renew for so long stops.
    #[schemars(extend("example" = "10s"))]
    pub renew_deadline: Span,
    /// Between two attempts to renew or to follow.
    #[schemars(extend("example" = "2s"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('100ms')", "housekeeping.retryPeriod must be 100ms or longer", "")
]))]
    pub retry_period: Span,
    /// How often the housekeeper looks for dead pods.
    #[schemars(extend("example" = "5s"))]
    #[schemars(extend("x-kubernetes-validations" = [
    crate::rules::rule("duration(self) >= duration('1s')", "housekeeping.sweepInterval must be 1s or longer", "")
]))]
    pub sweep_interval: Span,
    /// Where more than this share of the pods look dead at once, in percent, the housekeeper waits: it may be the network.
    #[schemars(range(min = 1, max = 100), extend("example" = 50))]
    pub breaker_percent: i32,
}

impl Default for Housekeeping {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            health_interval: seconds(10),
            node_timeout: seconds(30),
            lease_duration: seconds(15),
            renew_deadline: seconds(10),
            retry_period: seconds(2),
            sweep_interval: seconds(5),
            breaker_percent: 50,
        }
    }
}
