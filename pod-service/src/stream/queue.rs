//! The bytes between a session and its client: bounded, and never waited for.
//!
//! The session appends, the HTTP body takes everything there is at once: ten events written in one piece
//! cost the kernel little more than one.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Stream;

/// Bytes that may wait for a client. Past it the session falls behind and reads from the log later, so a
/// single event may exceed it and nothing is lost.
pub const QUEUE_BYTES: usize = 256 * 1024;

/// How long bytes may wait without the client taking any. Then the stream is cut: it holds a registration
/// and memory for somebody who does not read, and resume repairs it.
pub const STALL: Duration = Duration::from_secs(5);

/// Bytes waiting for one client.
#[derive(Debug, Default)]
pub struct Queue {
    buffer: Vec<u8>,
    waker: Option<Waker>,
    /// Since when bytes have been waiting untouched.
    waiting_since: Option<Instant>,
    ended: bool,
    reader_gone: bool,
}

impl Queue {
    /// Whether another event may be written.
    pub fn has_room(&self) -> bool {
        self.buffer.len() < QUEUE_BYTES
    }

    /// Whether a page may be read: a page is at most half a queue, so half must be free.
    pub fn has_room_for_a_page(&self) -> bool {
        self.buffer.len() <= QUEUE_BYTES / 2
    }

    /// When the client counts as stalled, if it takes nothing until then.
    pub fn stalls_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + STALL)
    }

    /// Whether the client went away.
    pub fn reader_gone(&self) -> bool {
        self.reader_gone
    }

    /// Lets `write` append, then wakes the client's body if there is something to take.
    pub fn append<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.buffer.len();
        let result = write(&mut self.buffer);
        if self.buffer.len() > before {
            self.waiting_since.get_or_insert_with(Instant::now);
            self.wake();
        }
        result
    }

    /// No more bytes will come; what waits is still delivered.
    pub fn end(&mut self) {
        self.ended = true;
        self.wake();
    }

    /// No more bytes will come, and what waits is for nobody.
    pub fn discard(&mut self) {
        self.buffer = Vec::new();
        self.end();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_take(&mut self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        self.waiting_since = None;
        if !self.buffer.is_empty() {
            return Poll::Ready(Some(Bytes::from(std::mem::take(&mut self.buffer))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The response body of one stream. Dropping it tells the stream that its client left.
#[derive(Debug)]
pub struct StreamBody(pub(super) Arc<Stream>);

impl Body for StreamBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut state = self.0.lock();
        let polled = state.queue.poll_take(context);
        if matches!(&polled, Poll::Ready(Some(_))) && state.session.is_behind() {
            // It waits for room.
            self.0.wake_driver();
        }
        drop(state);
        polled.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.0.lock();
        state.queue.ended && state.queue.buffer.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.0.lock().queue.reader_gone = true;
        self.0.wake_driver();
    }
}
