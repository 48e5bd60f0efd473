//! A request body on its way to an endpoint.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

/// Why a request body stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadFailure {
    /// It is longer than allowed.
    #[error("the request body has more than {most} bytes")]
    TooLarge {
        /// Bytes that are.
        most: u64,
    },
    /// The client sent nothing for too long.
    #[error("the client stopped sending its request body")]
    TooSlow,
    /// The client went away, or sent something that is no body.
    #[error("the client broke off its request body")]
    BrokenOff,
}

/// What the forwarder can see of a body while hyper owns it.
#[derive(Debug)]
pub(crate) struct UploadState {
    begun: Instant,
    /// Bytes that may go on.
    most: u64,
    /// Milliseconds after `begun` at which the last piece went on.
    progress: AtomicU64,
    waiting_for_client: AtomicBool,
    bytes: AtomicU64,
    end: AtomicU8,
}

// Values of `UploadState::end`.
const SENDING: u8 = 0;
const WHOLE: u8 = 1;
const TOO_LARGE: u8 = 2;
const TOO_SLOW: u8 = 3;
const BROKEN_OFF: u8 = 4;

impl UploadState {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            begun: Instant::now(),
            most,
            progress: AtomicU64::new(0),
            waiting_for_client: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            end: AtomicU8::new(SENDING),
        }
    }

    /// Bytes that went on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Whether all of it went on.
    pub(crate) fn is_whole(&self) -> bool {
        self.end.load(Relaxed) == WHOLE
    }

    /// Whether the endpoint would take more, and the client has not sent it.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waiting_for_client.load(Relaxed) && self.end.load(Relaxed) == SENDING
    }

    /// When the last piece went on.
    pub(crate) fn last_progress(&self) -> Instant {
        self.begun + Duration::from_millis(self.progress.load(Relaxed))
    }

    /// Why it stopped, if it did.
    pub(crate) fn failure(&self) -> Option<UploadFailure> {
        match self.end.load(Relaxed) {
            TOO_LARGE => Some(UploadFailure::TooLarge { most: self.most }),
            TOO_SLOW => Some(UploadFailure::TooSlow),
            BROKEN_OFF => Some(UploadFailure::BrokenOff),
            _ => None,
        }
    }

    /// The endpoint would take more, and the client has not sent it.
    pub(crate) fn wait_for_client(&self) {
        self.waiting_for_client.store(true, Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress.store(millis, Relaxed);
        self.waiting_for_client.store(false, Relaxed);
    }
}

/// A request body: limited in length, and in how long the client may pause.
#[derive(Debug)]
pub(crate) struct Upload {
    /// None once it ended, either way.
    inner: Option<Incoming>,
    state: Option<Arc<UploadState>>,
    /// Bytes still allowed.
    allowed: u64,
    pause: Duration,
    /// Made at the first pause: most bodies arrive with their head.
    sleep: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
}

impl Upload {
    /// No body.
    pub(crate) fn none() -> Self {
        Self { inner: None, state: None, allowed: 0, pause: Duration::ZERO, sleep: None, waiting_since: None }
    }

    /// `inner` with at most `allowed` bytes and pauses no longer than `pause`.
    pub(crate) fn new(inner: Incoming, allowed: u64, pause: Duration) -> (Self, Arc<UploadState>) {
        let state = Arc::new(UploadState::new(allowed));
        let upload = Self {
            inner: Some(inner),
            state: Some(state.clone()),
            allowed,
            pause,
            sleep: None,
            waiting_since: None,
        };
        (upload, state)
    }

    fn end(&mut self, end: u8) {
        if let Some(state) = &self.state {
            state.end.store(end, Relaxed);
        }
    }

    fn fail(&mut self, end: u8, failure: UploadFailure) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        self.end(end);
        // Nothing more is read into it. The connection closes behind the answer, lingering.
        self.inner = None;
        Poll::Ready(Some(Err(failure)))
    }

    fn take(&mut self, mut frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        if let Some(trailers) = frame.trailers_mut() {
            crate::head::clean_trailers(trailers);
        }
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if length > self.allowed {
            let most = self.state.as_ref().map_or(0, |state| state.most);
            return self.fail(TOO_LARGE, UploadFailure::TooLarge { most });
        }
        self.allowed -= length;
        self.waiting_since = None;
        if let Some(state) = &self.state {
            state.advance(length);
        }
        // With a known length nobody asks again after the last piece.
        if self.inner.as_ref().is_some_and(Body::is_end_stream) {
            self.inner = None;
            self.end(WHOLE);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        let now = Instant::now();
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now);
            if let Some(state) = &self.state {
                state.wait_for_client();
            }
        }
        let deadline = self.waiting_since.unwrap_or(now) + self.pause;
        if wait_until(&mut self.sleep, deadline, cx).is_ready() {
            return self.fail(TOO_SLOW, UploadFailure::TooSlow);
        }
        Poll::Pending
    }
}

/// Polls the one timer of a body for `deadline`. The timer is set anew only when it fires too early:
/// setting it for every piece would cost more than the piece.
pub(super) fn wait_until(
    sleep: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    while sleep.as_mut().poll(cx).is_ready() {
        if sleep.deadline() >= deadline {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(deadline);
    }
    Poll::Pending
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => this.take(frame),
            Poll::Ready(Some(Err(_))) => this.fail(BROKEN_OFF, UploadFailure::BrokenOff),
            Poll::Ready(None) => {
                this.inner = None;
                this.end(WHOLE);
                Poll::Ready(None)
            }
            Poll::Pending => this.wait(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
