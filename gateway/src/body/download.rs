//! A response body on its way to a client.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::upload::wait_until;
use crate::{
    pool::Lease,
    record::{Outcome, Record},
};

/// Why a response broke off. The client's connection is then cut: without the end of the body it can tell
/// this from a whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// The endpoint went away.
    #[error("the endpoint broke off its response")]
    BrokenOff(#[source] hyper::Error),
    /// The endpoint sent nothing for too long.
    #[error("the endpoint sent nothing for {} ms", .0.as_millis())]
    Idle(Duration),
}

/// A response body: counted, limited in how long the endpoint may pause; holds its connection until the end.
#[derive(Debug)]
pub(crate) struct Download {
    inner: Incoming,
    /// Goes back to the pool at the end of the body; dropped before, it closes the connection, which is how
    /// an endpoint learns that its client left.
    lease: Option<Lease>,
    record: Record,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
}

impl Download {
    /// The response body `inner`, read over `lease`, told in `record`, with pauses no longer than `pause`.
    pub(crate) fn new(inner: Incoming, lease: Lease, record: Record, pause: Duration) -> Self {
        Self { inner, lease: Some(lease), record, pause, sleep: None, waiting_since: None }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
            self.record.end(Outcome::Complete);
        }
    }

    fn fail(&mut self, outcome: Outcome, error: DownloadError) -> Result<Frame<Bytes>, DownloadError> {
        self.lease = None;
        self.record.end(outcome);
        Err(error)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        Poll::Ready(match polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting_since = None;
                this.record.sent(frame.data_ref().map_or(0, Bytes::len));
                Some(Ok(frame))
            }
            Poll::Ready(Some(Err(error))) => {
                Some(this.fail(Outcome::UpstreamBrokeOff, DownloadError::BrokenOff(error)))
            }
            Poll::Ready(None) => {
                this.finish();
                None
            }
            Poll::Pending => {
                // Counted from the first time that somebody waited: a client that reads slowly is not an
                // endpoint that sends nothing.
                let since = *this.waiting_since.get_or_insert_with(Instant::now);
                if wait_until(&mut this.sleep, since + this.pause, cx).is_pending() {
                    return Poll::Pending;
                }
                Some(this.fail(Outcome::IdleTimeout, DownloadError::Idle(this.pause)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // With a known length nobody asks again after the last piece.
        if self.inner.is_end_stream() {
            self.finish();
        }
    }
}
