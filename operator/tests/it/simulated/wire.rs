//! What lies between an operator and the server, and what happens to requests there.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use fundbond_api_simulator::{ApiService, Body};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::{sync::Notify, time::sleep};
use tower::{BoxError, Service};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The operator dies before it is sent.
    DiesBefore,
    /// The operator dies when it is done, without hearing of it.
    DiesAfter,
    /// It is refused with this code, and not done.
    Refused(u16),
    /// The connection breaks before the server has it.
    Lost,
    /// The connection breaks when it is done.
    Unanswered,
    /// It is on its way for so long.
    Late(Duration),
    /// Nobody ever answers.
    Hangs,
}

/// One wire, which all operators of a world share. Leases have another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By the number of the request, from 0.
    fates: Mutex<BTreeMap<usize, Fate>>,
    /// The next request of that method to a path that ends so.
    awaited: Mutex<Option<(Method, &'static str, Fate)>>,
    requests: AtomicUsize,
    died: Notify,
}

impl Wire {
    /// One on which these requests meet these fates.
    pub(crate) fn with(fates: impl IntoIterator<Item = (usize, Fate)>) -> Self {
        let wire = Self::default();
        wire.0.fates.lock().unwrap().extend(fates);
        wire
    }

    /// Lets the next request of that method, to a path that ends so, meet this fate.
    pub(crate) fn next(&self, method: Method, path: &'static str, fate: Fate) {
        *self.0.awaited.lock().unwrap() = Some((method, path, fate));
    }

    fn fate(&self, number: usize, request: &Request<kube::client::Body>) -> Option<Fate> {
        let mut awaited = self.0.awaited.lock().unwrap();
        let is_it = |(method, path, _): &mut (Method, &str, Fate)| {
            *method == *request.method() && request.uri().path().ends_with(*path)
        };
        if let Some((_, _, fate)) = awaited.take_if(is_it) {
            return Some(fate);
        }
        self.0.fates.lock().unwrap().remove(&number)
    }

    /// How many requests there were, but for watches.
    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Comes back once an operator is to die.
    pub(crate) async fn dies(&self) {
        self.0.died.notified().await;
    }

    /// An operator dies.
    pub(crate) fn die(&self) {
        self.0.died.notify_one();
    }

    /// Fates that no request has met.
    pub(crate) fn unmet(&self) -> usize {
        self.0.fates.lock().unwrap().len() + usize::from(self.0.awaited.lock().unwrap().is_some())
    }
}

impl Wire {
    /// The service at the end of it.
    pub(crate) fn to(&self, inner: ApiService) -> Wired {
        Wired { wire: self.clone(), inner }
    }
}

/// A server at the end of a wire.
#[derive(Clone, Debug)]
pub(crate) struct Wired {
    wire: Wire,
    inner: ApiService,
}

impl Service<Request<kube::client::Body>> for Wired {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        // Lists and watches go on for ever, and at times that nobody plans.
        let is_read_of_one = request.method() == Method::GET && !request.uri().query().is_some_and(is_list);
        let counts = request.method() != Method::GET || is_read_of_one;
        let fate = counts.then(|| self.wire.0.requests.fetch_add(1, Ordering::Relaxed));
        let fate = fate.and_then(|number| self.wire.fate(number, &request));
        let wire = self.wire.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            match fate {
                None => inner.call(request).await.map_err(Into::into),
                Some(Fate::DiesBefore) => {
                    wire.die();
                    std::future::pending().await
                }
                Some(Fate::DiesAfter) => {
                    // What it came to, nobody hears.
                    let _ = inner.call(request).await;
                    wire.die();
                    std::future::pending().await
                }
                Some(Fate::Refused(code)) => Ok(refusal(code)),
                Some(Fate::Lost) => Err("the connection broke".into()),
                Some(Fate::Unanswered) => {
                    let _ = inner.call(request).await;
                    Err("the connection broke".into())
                }
                // It is on its way, whether or not somebody still waits for an answer.
                Some(Fate::Late(delay)) => {
                    tokio::spawn(async move {
                        // sleep-ok: the clock is paused; the delay is the fault.
                        sleep(delay).await;
                        inner.call(request).await.map_err(Into::into)
                    })
                    .await?
                }
                Some(Fate::Hangs) => std::future::pending().await,
            }
        })
    }
}

fn is_list(query: &str) -> bool {
    query.contains("watch=") || query.contains("limit=") || query.contains("labelSelector=")
}

fn refusal(code: u16) -> Response<Body> {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "a fault",
        "details": {"retryAfterSeconds": if code == 429 { 2 } else { 0 }},
    });
    let body = Full::from(status.to_string()).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}
