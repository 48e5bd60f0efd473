//! The fence at the last place where it can stand: the socket. A request that was let through further up may wait in this
//! process for longer than its leadership lasts, above all where the process itself stands still.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower::Service;

use super::{Fence, NotLeading};

/// Connects to where only a leader writes anything at all.
#[derive(Clone, Debug)]
pub(crate) struct FencedConnector {
    fence: Fence,
    inner: HttpConnector,
}

impl FencedConnector {
    pub(crate) fn new(fence: Fence, inner: HttpConnector) -> Self {
        Self { fence, inner }
    }
}

impl Service<Uri> for FencedConnector {
    type Response = FencedStream<<HttpConnector as Service<Uri>>::Response>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (fence, connecting) = (self.fence.clone(), self.inner.call(to));
        Box::pin(async { Ok(FencedStream { fence, inner: connecting.await? }) })
    }
}

/// A connection on which only a leader writes: the first byte that comes later breaks it.
#[derive(Debug)]
pub(crate) struct FencedStream<T> {
    fence: Fence,
    inner: T,
}

impl<T: Read + Unpin> Read for FencedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> FencedStream<T> {
    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.fence.is_open() {
            write(Pin::new(&mut self.inner))
        } else {
            Poll::Ready(Err(io::Error::other(NotLeading)))
        }
    }
}

impl<T: Write + Unpin> Write for FencedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|inner| inner.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|inner| inner.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<T: Connection> Connection for FencedStream<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc, time::Duration};

    use fundbond_lease::{Elector, MemoryLeases, Timing};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waited_for_longer_than_the_leadership_lasts_is_not_sent() {
        let leases = Arc::new(MemoryLeases::default());
        let (elector, told) = Elector::new("one".to_owned(), Timing::USUAL, leases);
        let fence = Fence::default();
        fence.asks(told);
        let electing = tokio::spawn(elector.run(std::future::pending::<()>()));
        while !fence.is_open() {
            tokio::time::advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        let (ours, mut theirs) = duplex(64);
        let mut stream = FencedStream { fence: fence.clone(), inner: TokioIo::new(ours) };
        let mut send = async |text: &'static str| {
            poll_fn(|context| Pin::new(&mut stream).poll_write(context, text.as_bytes())).await
        };
        assert_eq!(send("led").await.unwrap(), 3);
        // As a process that stands still: nobody renews, and nobody says so.
        electing.abort();
        tokio::time::advance(Timing::USUAL.lead).await;
        let error = send("late").await.unwrap_err();
        assert!(
            error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotLeading>),
            "{error:?}"
        );
        drop(stream);
        let mut arrived = String::new();
        theirs.read_to_string(&mut arrived).await.unwrap();
        assert_eq!(arrived, "led");
    }
}
