//! Work that takes its time: on threads of its own, so that streams never wait for it.

use tokio::task::spawn_blocking;
use tracing::Span;

/// The work broke off by a panic, which has told itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("broke off by an internal error; it is in the pod's log")]
pub struct BrokeOff;

/// Does it on another thread, in the span of whoever asks.
///
/// # Errors
/// [`BrokeOff`].
pub async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BrokeOff> {
    let span = Span::current();
    spawn_blocking(move || span.in_scope(work)).await.map_err(|_| BrokeOff)
}
