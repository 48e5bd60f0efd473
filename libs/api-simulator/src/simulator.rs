//! The server: what tests hold, and what answers their clients.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::Client;
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tower::Service;

use crate::{
    background::{self, Settings},
    call::{Call, Verb},
    failure::Failure,
    faults::{self, Fault, Plan},
    hand::Hand,
    resources::Resources,
    state::{Answer, Answered, State},
    trace::{Entry, Outcome},
    watching::text,
};

/// The connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the API server broke")]
pub struct Broken;

/// The kinds, once for all simulators: to compile the rules of a definition takes longer than many a run.
static RESOURCES: LazyLock<Arc<Resources>> = LazyLock::new(|| Arc::new(Resources::new()));

/// What answers are made of.
pub type Body = UnsyncBoxBody<Bytes, Broken>;

/// What all that hold the server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) resources: Arc<Resources>,
    planned: Arc<Notify>,
    background: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the state, and sees to what follows from it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let planned = state.planned;
        let done = act(&mut state);
        if state.planned != planned {
            self.planned.notify_one();
        }
        done
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let background = self.background.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(background) = background.take() {
            background.abort();
        }
    }
}

/// An API server inside the process. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Simulator {
    pub(crate) shared: Arc<Shared>,
}

impl Simulator {
    /// An empty one. Everything in it that looks like chance comes from `seed`.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub fn new(seed: u64) -> Self {
        let resources = RESOURCES.clone();
        let planned = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(seed, &resources)),
            resources,
            planned: planned.clone(),
            background: Mutex::new(None),
        });
        let task = tokio::spawn(background::run(Arc::downgrade(&shared), planned));
        *shared.background.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Self { shared }
    }

    /// A client of it, known in the trace by that name. Nothing of it is ever asked twice by itself.
    pub fn client(&self, identity: &str) -> Client {
        Client::new(self.service(identity), "default")
    }

    /// What a client is made of.
    pub fn service(&self, identity: &str) -> ApiService {
        ApiService { shared: self.shared.clone(), identity: identity.into() }
    }

    /// Hands of somebody: what they do is done at once, without faults, and is not in the trace. Fields that they write
    /// are theirs by that name.
    pub fn hand(&self, name: &str) -> Hand {
        Hand::new(self.shared.clone(), name)
    }

    /// Changes how the rest of the cluster behaves.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.with(|state| change(&mut state.settings));
    }

    /// All requests since they were last taken.
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.state().trace.entries.clone()
    }

    /// All requests since they were last taken, and no more of them from then on.
    pub fn take_trace(&self) -> Vec<Entry> {
        self.shared.state().trace.take()
    }

    /// Keeps no requests any more: for runs so long that they would not fit.
    pub fn trace_nothing(&self) {
        self.shared.state().trace.off = true;
    }

    /// From now on this goes wrong.
    pub fn plan(&self, plan: impl Plan + 'static) {
        self.shared.state().faults.set(Some(Box::new(plan)));
    }

    /// From now on nothing goes wrong.
    pub fn plan_nothing(&self) {
        self.shared.state().faults.set(None);
    }

    /// The server goes away, or comes back. While it is away all requests fail at once, and all watches of before are
    /// broken; hands still reach what it keeps.
    pub fn away(&self, away: bool) {
        self.shared.with(|state| {
            state.away = away;
            state.outages += u64::from(away);
            // Whatever waited for the server goes on.
            state.planned += 1;
            state.store.wake();
        });
    }

    /// The number of the last write.
    pub fn revision(&self) -> u64 {
        self.shared.state().store.revision
    }

    /// Forgets what happened: a watch from before now on is told that it expired.
    pub fn compact(&self) {
        self.shared.state().store.compact();
    }

    /// How many events of a kind are remembered.
    pub fn remember(&self, events: usize) {
        self.shared.state().store.kept_events = events;
    }
}

/// What of an object says its name.
#[derive(serde::Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(serde::Deserialize)]
struct Name {
    #[serde(default)]
    name: String,
}

/// Answers requests of one client.
#[derive(Clone, Debug)]
pub struct ApiService {
    shared: Arc<Shared>,
    identity: Arc<str>,
}

impl<B> Service<Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
            match Call::parse(&service.shared.resources, &parts.method, &parts.uri, &parts.headers, body) {
                Ok(call) => service.answer(call).await,
                Err(failure) => Ok(refusal(&failure)),
            }
        })
    }
}

impl ApiService {
    async fn answer(self, call: Call) -> Result<Response<Body>, Broken> {
        let (number, fault) = self.shared.with(|state| state.begin(&self.identity, &call));
        match fault {
            None => self.done(number, &call).ok_or(Broken),
            Some(Trouble::Away) => Err(Broken),
            Some(Trouble::Planned(fault)) => self.troubled(number, call, fault).await,
        }
    }

    /// Does to a request what the plan says.
    async fn troubled(self, number: u64, call: Call, fault: Fault) -> Result<Response<Body>, Broken> {
        let shared = self.shared.clone();
        let ends = |outcome| shared.with(|state| state.trace.end(number, |entry| entry.outcome = outcome));
        match fault {
            Fault::Refuse(code) => {
                ends(Outcome::Refused(code));
                Ok(refusal(&faults::refusal(code, None)))
            }
            Fault::Later(seconds) => {
                ends(Outcome::Refused(429));
                Ok(refusal(&faults::refusal(429, Some(seconds))))
            }
            Fault::Hang => {
                ends(Outcome::Hung { done: false });
                pending().await
            }
            Fault::HangAfter => {
                let _: Option<Response<Body>> = self.done(number, &call);
                ends(Outcome::Hung { done: true });
                pending().await
            }
            Fault::Drop => {
                ends(Outcome::Dropped { done: false });
                Err(Broken)
            }
            Fault::DropAfter => {
                let _: Option<Response<Body>> = self.done(number, &call);
                ends(Outcome::Dropped { done: true });
                Err(Broken)
            }
            Fault::Slow(duration) => {
                let response = self.done(number, &call);
                sleep(duration).await;
                response.ok_or(Broken)
            }
            Fault::Late(duration) => {
                let doing = tokio::spawn(async move {
                    sleep(duration).await;
                    self.done(number, &call)
                });
                doing.await.ok().flatten().ok_or(Broken)
            }
        }
    }

    /// Does what is asked, and answers; not while the server is away.
    fn done(&self, number: u64, call: &Call) -> Option<Response<Body>> {
        self.shared.with(|state| {
            if state.away {
                state.trace.end(number, |entry| entry.outcome = Outcome::Away);
                return None;
            }
            if call.verb == Verb::Watch {
                let begun = state.watch(call, &self.identity, number);
                let code = begun.as_ref().map_or_else(|failure| failure.code, |_| 200);
                state.trace.end(number, |entry| entry.outcome = Outcome::Answered(code));
                return Some(match begun {
                    Ok(watching) => {
                        let body = StreamBody::new(watching.frames(Arc::downgrade(&self.shared)));
                        reply(200, body.boxed_unsync())
                    }
                    Err(failure) => refusal(&failure),
                });
            }
            let answer = state.execute(call);
            state.end(number, &answer);
            Some(match answer {
                Ok(Answer { code, body: Answered::Object(stored), .. }) => {
                    reply(code, full(text(call.metadata_only, &stored, stored.revision)))
                }
                Ok(Answer { code, body: Answered::Text(text), .. }) => reply(code, full(text)),
                Err(failure) => refusal(&failure),
            })
        })
    }
}

/// What a request meets.
enum Trouble {
    Away,
    Planned(Fault),
}

impl State {
    /// Writes a request down, and says what goes wrong with it.
    fn begin(&mut self, identity: &Arc<str>, call: &Call) -> (u64, Option<Trouble>) {
        let number = self.trace.number();
        if self.trace.off && self.faults.is_none() {
            return (number, self.away.then_some(Trouble::Away));
        }
        let resource = self.resource(call.kind);
        let mut entry = Entry {
            number,
            at: self.clock.elapsed(),
            identity: identity.clone(),
            verb: call.verb,
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            subresource: if call.status { "status" } else { "" },
            namespace: call.place.namespace.clone(),
            name: call.place.name.clone(),
            outcome: if self.away { Outcome::Away } else { Outcome::Open },
            changed: false,
        };
        if call.verb == Verb::Create {
            // The name is in the body.
            let named: Result<Named, _> = serde_json::from_slice(&call.body);
            entry.name = named.map_or_else(|_| entry.name.clone(), |named| named.metadata.name.into());
        }
        let trouble =
            if self.away { Some(Trouble::Away) } else { self.faults.request(&entry).map(Trouble::Planned) };
        self.trace.begin(entry);
        (number, trouble)
    }

    /// Writes down what came of it.
    fn end(&mut self, number: u64, answer: &Result<Answer, Failure>) {
        self.trace.end(number, |entry| match answer {
            Ok(answer) => {
                entry.outcome = Outcome::Answered(answer.code);
                entry.changed = answer.changed;
                if let (true, Answered::Object(stored)) = (entry.name.is_empty(), &answer.body) {
                    // The server gave it its name.
                    let named: Result<Named, _> = serde_json::from_slice(&stored.text);
                    entry.name = named.map(|named| named.metadata.name.into()).unwrap_or_default();
                }
            }
            Err(failure) => entry.outcome = Outcome::Answered(failure.code),
        });
    }
}

fn full(text: Bytes) -> Body {
    Full::new(text).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn reply(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn refusal(failure: &Failure) -> Response<Body> {
    let mut response = reply(failure.code, full(Bytes::from(failure.status().to_string())));
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
}
