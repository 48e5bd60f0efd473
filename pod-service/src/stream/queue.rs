//! The bytes between a session and its client: bounded, and never waited for.
//!
//! The session appends, the HTTP body takes what there is in large pieces: ten events written in one piece
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

/// Bytes the client's connection takes at once. A connection asks for more when it has sent most of what it
/// took, so this and what the kernels of both sides buffer is what a client must read within [`STALL`] to count
/// as reading: in practice some 20 KB/s, where taking the whole queue at once would ask for more than 50.
pub const PIECE: usize = 32 * 1024;

/// Bytes waiting for one client.
#[derive(Debug, Default)]
pub struct Queue {
    buffer: Vec<u8>,
    /// What came before the buffer and is being taken piece by piece.
    leaving: Bytes,
    waker: Option<Waker>,
    /// Since when bytes have been waiting untouched.
    waiting_since: Option<Instant>,
    ended: bool,
    reader_gone: bool,
}

impl Queue {
    /// Whether another event may be written.
    pub fn has_room(&self) -> bool {
        self.waiting() < QUEUE_BYTES
    }

    /// Whether a page may be read: a page is at most half a queue, so half must be free.
    pub fn has_room_for_a_page(&self) -> bool {
        self.waiting() <= QUEUE_BYTES / 2
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.leaving.len() + self.buffer.len()
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
        self.leaving = Bytes::new();
        self.end();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_take(&mut self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        if self.leaving.is_empty() {
            self.leaving = Bytes::from(std::mem::take(&mut self.buffer));
        }
        let piece = self.leaving.split_to(PIECE.min(self.leaving.len()));
        self.waiting_since = (self.waiting() > 0).then(Instant::now);
        if !piece.is_empty() {
            return Poll::Ready(Some(piece));
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
        state.queue.ended && state.queue.waiting() == 0
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn take(queue: &mut Queue) -> usize {
        match queue.poll_take(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(bytes)) => bytes.len(),
            Poll::Ready(None) | Poll::Pending => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_at_a_time_does_not_count_as_stalled() {
        let mut queue = Queue::default();
        queue.append(|out| out.resize(QUEUE_BYTES, b'x'));
        let mut taken = 0;
        while taken < QUEUE_BYTES {
            assert!(queue.stalls_at().unwrap() > Instant::now(), "after {taken} bytes");
            let piece = take(&mut queue);
            assert!((1..=PIECE).contains(&piece));
            taken += piece;
            advance(STALL * 4 / 5).await;
        }
        assert_eq!(queue.stalls_at(), None, "nothing waits");
        queue.append(|out| out.push(b'x'));
        advance(STALL).await;
        assert!(queue.stalls_at().unwrap() <= Instant::now());
    }

    #[test]
    fn what_is_being_taken_still_fills_the_queue() {
        let mut queue = Queue::default();
        queue.append(|out| out.resize(QUEUE_BYTES + PIECE, b'x'));
        assert_eq!(take(&mut queue), PIECE);
        assert!(!queue.has_room() && !queue.has_room_for_a_page());
        queue.discard();
        assert_eq!(take(&mut queue), 0);
        assert!(queue.has_room_for_a_page());
    }
}
