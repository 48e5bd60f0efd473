//! Shutdown as a parameter: whoever runs for long takes one and watches it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Tells everybody who holds a clone that the process should drain and end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A shutdown that only [`begin`](Self::begin) begins: for tests and for services inside a larger process.
    pub fn new() -> Self {
        Self::default()
    }

    /// A shutdown that the first SIGTERM or SIGINT begins; the second ends the process at once with
    /// 128 + the signal's number, whatever is still draining.
    ///
    /// # Errors
    /// Where the signal handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let begun = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let (name, code) = tokio::select! {
                    _ = terminate.recv() => ("SIGTERM", 143),
                    _ = interrupt.recv() => ("SIGINT", 130),
                };
                if begun.has_begun() {
                    tracing::warn!(signal = name, "second signal: exiting at once");
                    std::process::exit(code);
                }
                tracing::info!(signal = name, "draining; a second signal exits at once");
                begun.begin();
            }
        });
        Ok(shutdown)
    }

    /// A shutdown that begins with this one, and can begin alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Begins it. Idempotent.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it begins.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.0.cancelled()
    }

    /// The token behind it, for libraries that take one.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }
}
