//! What tests hear of what is logged.

use std::sync::{Arc, Mutex, OnceLock};

use fundbond_service_runtime::telemetry;
use serde_json::Value;
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt as _;

/// A subscriber to nothing.
static OTHER: OnceLock<Dispatch> = OnceLock::new();

/// What is logged on this thread, as long as the guard lives.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub fn listen() -> (Self, DefaultGuard) {
        // While there is one subscriber alone, a line that another test meets first, on a thread without one, counts as
        // unwanted by all.
        OTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        let log = Self::default();
        let copy = log.clone();
        let lines = telemetry::json_lines(move || copy.clone());
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        (log, guard)
    }

    /// The lines since the last time.
    pub fn said(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
