//! When a pod counts as dead, and how the cluster's housekeeper is elected.

use std::time::Duration;

use clap::{Args, value_parser};
use fundbond_lease::Timing;

use super::some_time;
use crate::housekeeping::plan::Rules;

/// When a pod counts as dead, and how the cluster's housekeeper is elected. All pods of a cluster are to agree; while they
/// are replaced one by one, each pod's word counts for as long as that pod says.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct HousekeepingSettings {
    /// How often a pod says that it lives: at most a third of the node timeout.
    #[arg(long, env = "FUND_HEALTH_INTERVAL", default_value = "10s", value_parser = some_time)]
    pub health_interval: Duration,
    /// Without a word for so long a pod is dead.
    #[arg(long, env = "FUND_NODE_TIMEOUT", default_value = "30s", value_parser = some_time)]
    pub node_timeout: Duration,
    /// A housekeeper that was silent for so long is followed by another.
    #[arg(long, env = "FUND_LEASE_DURATION", default_value = "15s", value_parser = some_time)]
    pub lease_duration: Duration,
    /// A housekeeper that could not renew for so long stops: shorter than the lease.
    #[arg(long, env = "FUND_LEASE_RENEW_DEADLINE", default_value = "10s", value_parser = some_time)]
    pub renew_deadline: Duration,
    /// Between two attempts to renew or to follow: shorter than the renew deadline.
    #[arg(long, env = "FUND_LEASE_RETRY_PERIOD", default_value = "2s", value_parser = some_time)]
    pub retry_period: Duration,
    /// How often the housekeeper looks for dead pods.
    #[arg(long, env = "FUND_SWEEP_INTERVAL", default_value = "5s", value_parser = some_time)]
    pub sweep_interval: Duration,
    /// Where more than this share of the pods look dead at once, in percent, the housekeeper waits: it may be the network.
    #[arg(long, env = "FUND_BREAKER_PERCENT", default_value_t = 50, value_parser = value_parser!(u8).range(1..=100))]
    pub breaker_percent: u8,
}

/// Settings that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Two words that are lost would be a death.
    #[error(
        "--health-interval {health_interval:?} is more than a third of --node-timeout {node_timeout:?}: two lost words are \
         no death"
    )]
    Silence {
        /// How often a pod speaks.
        health_interval: Duration,
        /// When it is dead.
        node_timeout: Duration,
    },
    /// Two would lead at once.
    #[error(
        "--renew-deadline {renew_deadline:?} must be shorter than --lease-duration {lease_duration:?}: a leader stops \
         before another begins"
    )]
    TwoLeaders {
        /// When a leader stops.
        renew_deadline: Duration,
        /// When another begins.
        lease_duration: Duration,
    },
    /// One lost answer would end a leadership.
    #[error(
        "--retry-period {retry_period:?} must be shorter than --renew-deadline {renew_deadline:?}: a leader needs more \
         than one attempt"
    )]
    OneAttempt {
        /// Between two attempts.
        retry_period: Duration,
        /// When a leader stops.
        renew_deadline: Duration,
    },
}

impl HousekeepingSettings {
    /// What pods do where nobody says anything.
    pub const USUAL: Self = Self {
        health_interval: Duration::from_secs(10),
        node_timeout: fundbond_store::NODE_TIMEOUT,
        lease_duration: Timing::USUAL.expire,
        renew_deadline: Timing::USUAL.lead,
        retry_period: Timing::USUAL.retry,
        sweep_interval: Duration::from_secs(5),
        breaker_percent: 50,
    };

    /// Whether they go together.
    ///
    /// # Errors
    /// Which do not.
    pub fn check(&self) -> Result<(), Contradiction> {
        let Self { health_interval, node_timeout, lease_duration, renew_deadline, retry_period, .. } = *self;
        if health_interval.saturating_mul(3) > node_timeout {
            return Err(Contradiction::Silence { health_interval, node_timeout });
        }
        if renew_deadline >= lease_duration {
            return Err(Contradiction::TwoLeaders { renew_deadline, lease_duration });
        }
        if retry_period >= renew_deadline {
            return Err(Contradiction::OneAttempt { retry_period, renew_deadline });
        }
        Ok(())
    }

    /// How the housekeeper is elected. Three attempts fit into the time after which a leader stops.
    pub fn timing(&self) -> Timing {
        Timing {
            expire: self.lease_duration,
            lead: self.renew_deadline,
            retry: self.retry_period,
            attempt: Timing::USUAL.attempt.min(self.renew_deadline / 3),
        }
    }

    /// By what the housekeeper decides who is dead.
    pub fn rules(&self) -> Rules {
        Rules {
            node_timeout: self.node_timeout,
            // Nodes that lose their store at one moment lose their health over the time between two heartbeats, and the last
            // of them is seen by the sweep after that.
            together: self.health_interval.saturating_add(self.sweep_interval),
            percent: self.breaker_percent.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_usual_settings_go_together_and_are_what_they_always_were() {
        let usual = HousekeepingSettings::USUAL;
        assert_eq!(usual.check(), Ok(()));
        assert_eq!(usual.timing(), Timing::USUAL);
        let rules = usual.rules();
        assert_eq!((rules.settle(), rules.together, rules.percent), (seconds(60), seconds(15), 50));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let usual = HousekeepingSettings::USUAL;
        for (settings, named) in [
            (HousekeepingSettings { health_interval: seconds(11), ..usual }, "--health-interval 11s"),
            (HousekeepingSettings { node_timeout: seconds(29), ..usual }, "--node-timeout 29s"),
            (HousekeepingSettings { lease_duration: seconds(10), ..usual }, "--lease-duration 10s"),
            (HousekeepingSettings { renew_deadline: seconds(2), ..usual }, "--renew-deadline 2s"),
            (HousekeepingSettings { retry_period: seconds(10), ..usual }, "--retry-period 10s"),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let edge = HousekeepingSettings { node_timeout: seconds(60), health_interval: seconds(20), ..usual };
        assert_eq!(edge.check(), Ok(()));
    }

    #[test]
    fn an_attempt_is_over_before_a_third_of_the_deadline() {
        let settings = HousekeepingSettings { renew_deadline: seconds(3), ..HousekeepingSettings::USUAL };
        assert_eq!(settings.timing().attempt, seconds(1));
    }
}
