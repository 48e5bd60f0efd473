//! For tests: what is logged on their own thread, line by line, as it would stand in a log.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde_json::Value;
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt as _;

use super::json_lines;

/// A subscriber to nothing.
static OTHER: OnceLock<Dispatch> = OnceLock::new();

/// What was logged, as long as the guard that came with it lives.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Listens to this thread, where a test that is not told otherwise runs all of its tasks.
    pub fn listen() -> (Self, DefaultGuard) {
        // While there is one subscriber alone, a line or span that another test meets first, on a thread without one,
        // counts as unwanted by all.
        OTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        let log = Self::default();
        let copy = log.clone();
        let lines = json_lines(move || copy.clone());
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        (log, guard)
    }

    /// All lines so far.
    ///
    /// # Panics
    /// One of them is not JSON.
    pub fn lines(&self) -> Vec<Value> {
        read(&self.bytes())
    }

    /// The lines since the last time.
    ///
    /// # Panics
    /// One of them is not JSON.
    pub fn said(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.bytes());
        read(&bytes)
    }

    /// Lines that a person should look at.
    ///
    /// # Panics
    /// One of them is not JSON.
    pub fn warnings(&self) -> Vec<Value> {
        let grave = |line: &Value| line["level"] == "warn" || line["level"] == "error";
        self.lines().into_iter().filter(grave).collect()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(bytes);
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(line).collect()
}
