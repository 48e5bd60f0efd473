//! Puts a [`Guard`] between a socket and the HTTP library.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::timeout,
};

use super::{DISGUISE, Guard, Limits, Refusal};
use crate::{metrics::RuleLabel, record::Ledger};

/// An early answer reaches a client only if what it still sends is read: up to this much is, ...
const LINGER_BYTES: u64 = 16 * 1024 * 1024;
/// ... for this long.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A socket whose incoming bytes are guarded.
///
/// In the place of a refused head the HTTP library reads a good one that carries the refusal in a header no client
/// can send. So the answer comes in its turn behind the answers to earlier requests, and is logged and counted
/// like every other. A refusal in a body is a read error, which breaks the body off.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    socket: S,
    guard: Guard,
    /// Bytes read and not passed: the beginning of a head, or what found no room. Empty nearly always.
    held: Vec<u8>,
    /// So many of them, from the first on, may pass.
    passable: usize,
    refusal: Option<Refusal>,
    ledger: Arc<Ledger>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(socket: S, limits: Limits, ledger: Arc<Ledger>) -> Self {
        Self { socket, guard: Guard::new(limits), held: Vec::new(), passable: 0, refusal: None, ledger }
    }

    /// Moves what may pass from `held` to `buffer`.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) {
        let here = self.passable.min(buffer.remaining());
        buffer.put_slice(&self.held[..here]);
        self.passable -= here;
        if here == self.held.len() {
            // The memory too: a stream may follow.
            self.held = Vec::new();
        } else {
            self.held.drain(..here);
        }
    }

    /// Takes what the guard says about `held`, or about the bytes that `held` now begins with.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
        self.ledger.metrics.refusals.get_or_create(&RuleLabel { rule: refusal.name() }).inc();
        // Nothing behind the refused byte is ever read.
        self.held.truncate(self.passable);
        if !refusal.is_in_body() {
            self.held.extend_from_slice(b"GET / HTTP/1.1\r\n");
            for (name, value) in [("host", ""), ("connection", "close"), (DISGUISE, refusal.name())] {
                self.held.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            self.held.extend_from_slice(b"\r\n");
            self.passable = self.held.len();
        }
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Reads from the socket once; whether anything can be said to the reader now.
    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        if new.is_empty() {
            // The end, whatever is held: half a head is none.
            return Poll::Ready(Ok(true));
        }
        let fed = if self.held.is_empty() {
            let fed = self.guard.feed(new);
            // What passes stays where it is; nearly always that is all of it.
            self.held.extend_from_slice(&new[fed.passed..]);
            buffer.set_filled(before + fed.passed);
            fed
        } else {
            self.held.extend_from_slice(new);
            let fed = self.guard.feed(&self.held);
            buffer.set_filled(before);
            self.passable = fed.passed;
            fed
        };
        if let Some(refusal) = fed.refusal {
            self.refuse(refusal);
        }
        Poll::Ready(Ok(buffer.filled().len() > before))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.passable > 0 {
                this.pass(buffer);
                return Poll::Ready(Ok(()));
            }
            match this.refusal {
                Some(refusal) if refusal.is_in_body() => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
                }
                // The answer under way is the last thing that happens; an end here would cancel it.
                Some(_) => return Poll::Pending,
                None => {}
            }
            if ready!(this.read(cx, buffer))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Ends the connection so that its last answer arrives: closing while a client still sends resets the
    /// connection, and takes with it what the client has not read.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        self.socket.shutdown().await?;
        // A client that sent whole requests may still have sent one too many.
        let is_done = self.guard.is_between_requests() && self.held.is_empty();
        let time = if is_done { Duration::ZERO } else { LINGER_TIME };
        let mut rest = self.socket.take(LINGER_BYTES);
        match timeout(time, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await {
            Ok(read) => read.map(drop),
            // It goes on for longer than it is worth.
            Err(_) => Ok(()),
        }
    }
}
