//! Startup and readiness as named conditions, each with a sentence.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::metrics::{Described, labelled};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// The conditions as a metric.
pub const METRIC: Described = Described {
    about: labelled(
        "fund_condition",
        "What readiness depends on: 1 for the state each condition is in",
        &[("condition", "its name, as `/readyz?verbose` shows it"), ("state", "ok, degraded or failing")],
    ),
    kind: "gauge",
};

/// How one condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In order.
    Ok,
    /// Not in order, but traffic is better served badly here than nowhere: every replica lacks the same.
    Degraded,
    /// No traffic.
    Failing,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Failing];

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Ok => "[+]",
            Self::Degraded => "[~]",
            Self::Failing => "[-]",
        }
    }
}

/// The state of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it lets traffic in.
    pub standing: Standing,
    /// Why, in words.
    pub detail: String,
    /// Whether it ever was in order.
    was_ok: bool,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    conditions: BTreeMap<&'static str, Condition>,
}

/// What `/startupz` and `/readyz` answer. Cheap to clone; all clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

impl Health {
    /// Not started, and ready once every condition in `names` was set.
    pub fn waiting_for(names: &[&'static str]) -> Self {
        let health = Self::default();
        for name in names {
            health.set(name, false, "not yet");
        }
        health
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means a panic elsewhere; the map itself is always whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the condition `name`; it exists from now on.
    pub fn set(&self, name: &'static str, ok: bool, detail: impl Into<String>) {
        self.stand(name, if ok { Standing::Ok } else { Standing::Failing }, detail.into());
    }

    /// Says that the condition `name` does not hold, and that traffic is to come all the same. Before it held for the
    /// first time, it keeps traffic away: a process that never had what it needs is of no use yet.
    pub fn degrade(&self, name: &'static str, detail: impl Into<String>) {
        self.stand(name, Standing::Degraded, detail.into());
    }

    fn stand(&self, name: &'static str, wanted: Standing, detail: String) {
        let mut state = self.state();
        let before = state.conditions.get(name).map(|c| (c.standing, c.was_ok));
        let was_ok = wanted == Standing::Ok || before.is_some_and(|(_, was_ok)| was_ok);
        let standing = if wanted == Standing::Degraded && !was_ok { Standing::Failing } else { wanted };
        state.conditions.insert(name, Condition { standing, detail, was_ok });
        if before.is_some_and(|(before, _)| before != standing) {
            // Without the detail: where it is an error, whoever handles it tells it.
            tracing::info!(condition = name, standing = standing.label(), "readiness changed");
        }
    }

    /// Says that initial work is done, once and for ever.
    pub fn started(&self) {
        self.state().started = true;
    }

    /// Whether initial work is done.
    pub fn has_started(&self) -> bool {
        self.state().started
    }

    /// Whether traffic may come: started, and no condition keeps it away.
    pub fn is_ready(&self) -> bool {
        let state = self.state();
        state.started && state.conditions.values().all(|c| c.standing != Standing::Failing)
    }

    /// Whether some condition does not hold, though traffic may come.
    pub fn is_degraded(&self) -> bool {
        self.state().conditions.values().any(|c| c.standing == Standing::Degraded)
    }

    /// One line a condition, for `/readyz?verbose`.
    pub fn describe(&self) -> String {
        let state = self.state();
        let started = if state.started { Standing::Ok } else { Standing::Failing };
        let mut text = format!("{} started\n", started.mark());
        for (name, condition) in &state.conditions {
            let word = if condition.standing == Standing::Degraded { "degraded: " } else { "" };
            let _ = writeln!(text, "{} {name}: {word}{}", condition.standing.mark(), condition.detail);
        }
        text
    }

    /// The same as metrics: `fund_condition{condition="store",state="degraded"}` is 1 for the state each one is in.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(Conditions(self.clone()))
    }
}

#[derive(Debug)]
struct Conditions(Health);

impl Collector for Conditions {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let about = METRIC.about;
        let mut family = encoder.encode_descriptor(about.name, about.help, None, MetricType::Gauge)?;
        for (name, condition) in &self.0.state().conditions {
            for standing in Standing::ALL {
                let labels = [("condition", *name), ("state", standing.label())];
                let value = ConstGauge::new(i64::from(condition.standing == standing));
                value.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_a_start_and_every_condition() {
        let health = Health::waiting_for(&["routes"]);
        assert!(!health.is_ready());
        health.started();
        assert!(!health.is_ready());
        health.set("routes", true, "3 routes");
        assert!(health.is_ready());
        health.set("drain", false, "draining");
        assert!(!health.is_ready());
        assert_eq!(health.describe(), "[+] started\n[-] drain: draining\n[+] routes: 3 routes\n");
    }

    #[test]
    fn what_was_there_once_may_be_missed_without_leaving() {
        let health = Health::waiting_for(&["store"]);
        health.started();
        health.degrade("store", "refused");
        assert!(!health.is_ready() && !health.is_degraded(), "it was never there");
        assert_eq!(health.describe(), "[+] started\n[-] store: refused\n");
        health.set("store", true, "reachable");
        health.degrade("store", "refused");
        assert!(health.is_ready() && health.is_degraded());
        assert_eq!(health.describe(), "[+] started\n[~] store: degraded: refused\n");
        health.set("store", false, "given up");
        health.degrade("store", "refused");
        assert!(health.is_ready(), "once is enough");
        health.set("store", true, "reachable");
        assert!(!health.is_degraded());
    }
}
