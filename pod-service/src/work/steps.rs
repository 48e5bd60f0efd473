//! Work that only counts: for demonstrations, and for tests of the plumbing.

use std::time::Duration;

use fundbond_protocol::problem::FieldProblem;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Said;

/// The name of this kind.
pub const KIND: &str = "steps";

/// Steps of one task at most; each is an event.
const MAX_COUNT: u32 = 100_000;

/// Longest time a step may take: a minute, so that a demonstration cannot hold a runner for days.
const MAX_DELAY_MS: u64 = 60_000;

/// Counts to `count`, one event a step: for trying out the plumbing.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepsRequest {
    /// How many steps.
    #[schema(minimum = 1, maximum = 100_000)]
    count: u32,
    #[serde(default)]
    /// Milliseconds before each.
    #[schema(maximum = 60_000)]
    delay_ms: u64,
}

/// What a counted task says at its end.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Counted {
    count: u32,
}

/// Checked work.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// How many.
    pub count: u32,
    /// How long each takes.
    pub delay: Duration,
}

impl Steps {
    /// Checks a request.
    ///
    /// # Errors
    /// Every bad field, by name.
    pub fn check(request: StepsRequest) -> Result<Self, Vec<FieldProblem>> {
        let mut errors = Vec::new();
        if !(1..=MAX_COUNT).contains(&request.count) {
            let message = format!("must be 1 to {MAX_COUNT}, not {}", request.count);
            errors.push(FieldProblem { field: "count".into(), message });
        }
        if request.delay_ms > MAX_DELAY_MS {
            let message = format!("must be at most {MAX_DELAY_MS}, not {}", request.delay_ms);
            errors.push(FieldProblem { field: "delayMs".into(), message });
        }
        if errors.is_empty() {
            Ok(Self { count: request.count, delay: Duration::from_millis(request.delay_ms) })
        } else {
            Err(errors)
        }
    }

    /// What the end says.
    pub fn said(&self) -> Said {
        Said { message: format!("counted to {}", self.count), result: json!(Counted { count: self.count }) }
    }
}
