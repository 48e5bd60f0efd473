//! Lets nothing be written by an operator that does not lead.
//!
//! It is asked before a request goes its way through this process, and once more for every piece of it that goes into a
//! socket ([`socket`]). A process may be stopped in that moment as well. So writes also name the version that they mean, and
//! the server refuses those of a former leader once its successor has changed the object.

mod socket;

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use fundbond_lease::Leadership;
use http::{Method, Request};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

pub(crate) use socket::FencedConnector;

/// A request that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this operator does not lead, so it writes nothing")]
pub struct NotLeading;

/// What asks. All clones ask the same.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<OnceLock<watch::Receiver<Option<Leadership>>>>);

impl Fence {
    /// Says who is to be asked, once.
    pub(crate) fn asks(&self, leadership: watch::Receiver<Option<Leadership>>) {
        // A second operator on one fence would be a mistake of whoever wires them up.
        assert!(self.0.set(leadership).is_ok(), "a fence has one operator");
    }

    fn is_open(&self) -> bool {
        self.0
            .get()
            .is_some_and(|leadership| leadership.borrow().is_some_and(|leadership| leadership.holds()))
    }
}

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { fence: self.clone(), inner }
    }
}

/// A service that writes only for a leader.
#[derive(Clone, Debug)]
pub struct Fenced<S> {
    fence: Fence,
    inner: S,
}

impl<S, B> Service<Request<B>> for Fenced<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !reads && !self.fence.is_open() {
            return Box::pin(async { Err(NotLeading.into()) });
        }
        let answer = self.inner.call(request);
        Box::pin(async { answer.await.map_err(Into::into) })
    }
}
