//! Startup and readiness as named conditions, each with a sentence.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The state of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it lets traffic in.
    pub ok: bool,
    /// Why, in words.
    pub detail: String,
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
        let detail = detail.into();
        let mut state = self.state();
        let before = state.conditions.insert(name, Condition { ok, detail: detail.clone() });
        if before.is_some_and(|b| b.ok != ok) {
            tracing::info!(condition = name, ok, detail, "readiness changed");
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

    /// Whether traffic may come: started, and every condition holds.
    pub fn is_ready(&self) -> bool {
        let state = self.state();
        state.started && state.conditions.values().all(|c| c.ok)
    }

    /// One line a condition, for `/readyz?verbose`.
    pub fn describe(&self) -> String {
        let state = self.state();
        let mut text = format!("{} started\n", mark(state.started));
        for (name, condition) in &state.conditions {
            let _ = writeln!(text, "{} {name}: {}", mark(condition.ok), condition.detail);
        }
        text
    }
}

fn mark(ok: bool) -> &'static str {
    if ok { "[+]" } else { "[-]" }
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
}
