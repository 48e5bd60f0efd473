//! Following tasks: signals of a stream (or polled states) -> [`View`] -> [`Renderer`].
//!
//! [`View::apply`] decides what happened and never waits or writes; the two functions here only carry.

mod model;
mod poll;

use std::time::Duration;

use crate::{
    client::Client,
    error::Error,
    render::Renderer,
    stream::{Ended, EventStream, Signal, Transport},
};

pub use model::{Change, Outcome, TaskState, View};
pub use poll::poll;

/// How watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every task of interest has its final event.
    Done,
    /// The stream ended for good, for this reason.
    Stream(Ended),
    /// The caller's `stop` came first; tasks go on.
    Stopped,
}

/// Follows `stream` until every task of interest is final, the stream is over or `stop` completes.
pub async fn follow<T: Transport>(
    stream: &mut EventStream<T>,
    view: &mut View,
    renderer: &mut Renderer,
    stop: impl Future<Output = ()>,
) -> Result<End, Error> {
    let mut stop = std::pin::pin!(stop);
    loop {
        let signal = tokio::select! {
            // A stream that is always ready must not outrun the wish to stop.
            biased;
            () = &mut stop => return Ok(End::Stopped),
            signal = stream.next() => signal,
        };
        let signal =
            signal.map_err(|source| Error::Stream { connection: view.connection().clone(), source })?;
        let Some(signal) = signal else { return Ok(End::Stream(Ended::Finished)) };
        for change in view.apply(&signal) {
            renderer.change(view, &change)?;
        }
        if let Signal::Ended(ended) = signal {
            return Ok(if view.is_done() { End::Done } else { End::Stream(ended) });
        }
        if view.is_done() {
            return Ok(End::Done);
        }
    }
}

/// Asks for the state of every named task that has no final event yet: after a stream ended, the rest is
/// told by the tasks themselves.
pub async fn settle(client: &Client, view: &mut View, renderer: &mut Renderer) -> Result<(), Error> {
    for task in view.unfinished() {
        let state = client.task(&task).await.map_err(|source| Error::task("look up", &task, source))?;
        for change in view.apply_state(state) {
            renderer.change(view, &change)?;
        }
    }
    Ok(())
}

/// A pause between two polls that a person takes for live and a server does not notice.
pub const POLL_EVERY: Duration = Duration::from_secs(1);
