//! One stream from open to end: the IO around a [`Session`].
//!
//! Three parties share a stream under one short lock: the hub writes live events, the HTTP body takes
//! bytes, and a driver task does everything that waits (pages, the finish question, timers, the drain).

#[cfg(test)]
mod claim_tests;
pub mod foreign;
pub mod hub;
pub mod inquiries;
pub mod queue;
pub mod session;
#[cfg(test)]
mod session_tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fundbond_protocol::{ConnectionId, LastEventId, Status, TaskId, sse};
use fundbond_service_runtime::exit::chain;
use fundbond_store::{Generation, Holder, Outcome, ReadLimit, Register, Registered, StoreError};
use jiff::Timestamp;
use rand::RngExt as _;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    backoff::Backoff,
    metrics::{EndLabels, OutcomeLabels},
    pod::Pod,
};
use queue::{Queue, StreamBody};
use session::{End, Session, Want};

/// Delay after which a client that lost its stream opens it again, in milliseconds, before jitter.
const RETRY_MILLIS: u64 = 1_000;

/// The same for a client that is sent away because this pod is full, drains or has no store: long enough to spread a
/// crowd, short enough that a person hardly notices.
const SHED_RETRY_MILLIS: u64 = 3_000;

/// Opens that find the pod buried or without health before giving up: one to learn it, one to mend it, and
/// one for a grave dug in between.
const REGISTER_ATTEMPTS: usize = 3;

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Open {
    /// The stream.
    pub connection: ConnectionId,
    /// Tasks to attach.
    pub tasks: Vec<TaskId>,
    /// Statuses to pass; empty for all.
    pub only: Vec<Status>,
    /// Where the client stands.
    pub last: LastEventId,
    /// When its request came.
    pub asked: Instant,
    /// Cuts the HTTP connection that carries the stream.
    pub connection_cut: CancellationToken,
}

/// How an open ended.
#[derive(Debug)]
pub enum Opening {
    /// Here is the stream.
    Stream(StreamBody),
    /// Nothing will ever come (204).
    Nothing,
    /// No stream can be opened now; the client should come back after this many milliseconds. Never a 503,
    /// which an `EventSource` takes for a final word.
    Shed {
        /// Milliseconds.
        retry: u64,
        /// For people.
        why: &'static str,
    },
}

/// Why a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pod was declared dead again and again.
    #[error("this pod was declared dead {REGISTER_ATTEMPTS} times in a row")]
    Buried,
}

/// One open stream.
#[derive(Debug)]
pub struct Stream {
    state: Mutex<State>,
    driver: Notify,
    connection_cut: CancellationToken,
    since: Timestamp,
}

#[derive(Debug)]
struct State {
    session: Session,
    queue: Queue,
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_driver(&self) {
        self.driver.notify_one();
    }
}

impl State {
    /// Lets the session write frames into the queue.
    fn write<R>(&mut self, step: impl FnOnce(&mut Session, &mut Vec<u8>) -> R) -> R {
        let Self { session, queue } = self;
        queue.append(|out| step(session, out))
    }
}

/// Opens a stream. Runs to its end even if the caller is dropped half way: a registration that was asked
/// for must be released again.
pub async fn open(pod: &Arc<Pod>, request: Open) -> Opening {
    // A process that stood still finds requests whose clients left long ago, and may have this stream elsewhere by now.
    // The server drops this future if the connection is closed already, which it sees only once it is not being polled.
    tokio::task::yield_now().await;
    if request.last == LastEventId::Replaced {
        pod.metrics.stream_opens.get_or_create(&OutcomeLabels { outcome: "replaced" }).inc();
        return Opening::Nothing;
    }
    if pod.draining.has_begun() || pod.streams.len() >= pod.live.now().max_streams {
        return shed(pod, "shed", "this pod takes no more streams; reconnect");
    }
    let registering = tokio::spawn({
        let pod = pod.clone();
        async move { register(&pod, request).await }.in_current_span()
    });
    let opening = registering.await.unwrap_or_else(|error| {
        // The task is never aborted, so it panicked: let the panic go on where it is handled.
        std::panic::resume_unwind(error.into_panic())
    });
    opening.unwrap_or_else(|error| {
        tracing::warn!(
            error = chain(&error),
            "a stream could not be opened; its client was told to come back"
        );
        shed(pod, "failed", "this stream cannot be opened now; reconnect")
    })
}

fn shed(pod: &Pod, outcome: &'static str, why: &'static str) -> Opening {
    pod.metrics.stream_opens.get_or_create(&OutcomeLabels { outcome }).inc();
    Opening::Shed { retry: jittered(SHED_RETRY_MILLIS), why }
}

async fn register(pod: &Arc<Pod>, request: Open) -> Result<Opening, OpenError> {
    for _ in 0..REGISTER_ATTEMPTS {
        let id = pod.identity.id();
        let session = Session::new(request.connection.clone(), id.clone(), request.only.iter().cloned());
        let stream = Arc::new(Stream {
            state: Mutex::new(State { session, queue: Queue::default() }),
            driver: Notify::new(),
            connection_cut: request.connection_cut.clone(),
            since: Timestamp::now(),
        });
        // Known to the hub before the store knows it, so that no message falls between the two.
        let listed = pod.streams.insert(&request.connection, &request.tasks, stream.clone());
        let asked = Register {
            connection: request.connection.clone(),
            pod: id.clone(),
            cluster: pod.cluster.clone(),
            last: request.last.clone(),
            tasks: request.tasks.clone(),
            limit: ReadLimit::default(),
            asked: request.asked,
        };
        let registered = match pod.store.register(&asked).await {
            Ok(registered) => registered,
            Err(error) => {
                // It may have been done, or be done later. What the bus says from here on is heard by nobody's stream.
                drop(listed);
                if let Some(generation) = stream.lock().session.gain() {
                    disown(pod, &request.connection, generation);
                }
                return Err(error.into());
            }
        };
        match registered {
            Registered::Open(opened) => {
                let outcome = match (&opened.reading.outcome, &request.last) {
                    (Outcome::Reset { .. }, _) => "reset",
                    (Outcome::Entries(_), LastEventId::Start) => "start",
                    (Outcome::Entries(_), _) => "resumed",
                };
                pod.metrics.stream_opens.get_or_create(&OutcomeLabels { outcome }).inc();
                stream.lock().write(|session, out| {
                    sse::write_retry(out, jittered(RETRY_MILLIS));
                    sse::write_comment(out, "fundbond");
                    session.registered(opened, Timestamp::now(), out);
                });
                hub::opened(pod, &stream);
                tokio::spawn(drive(pod.clone(), stream.clone(), listed).in_current_span());
                return Ok(Opening::Stream(StreamBody(stream)));
            }
            Registered::Done => {
                pod.metrics.stream_opens.get_or_create(&OutcomeLabels { outcome: "done" }).inc();
                return Ok(Opening::Nothing);
            }
            Registered::Late => {
                return Ok(shed(pod, "late", "a newer request has this stream; reconnect"));
            }
            Registered::NoHealth => pod.revive().await?,
            Registered::Buried => pod.be_somebody_else(&id).await?,
        }
    }
    Err(OpenError::Buried)
}

/// Everything of a stream that waits. Ends when the stream has ended and its client has what it can get.
async fn drive(pod: Arc<Pod>, stream: Arc<Stream>, listed: hub::Listed) {
    let opened = Instant::now();
    let settings = pod.live.now();
    let mut heartbeat = opened + settings.heartbeat_first;
    let expires = opened + shortened(settings.max_stream_age);
    let mut drains: Option<Instant> = None;
    let mut backoff = Backoff::default();
    let end = loop {
        let (want, room, stalls) = {
            let mut state = stream.lock();
            if state.queue.reader_gone() {
                state.session.abandon(End::ClientLeft);
            }
            (state.session.want(), state.queue.has_room_for_a_page(), state.queue.stalls_at())
        };
        let mut retry_at = None;
        match want {
            Want::Ended(end) => break end,
            Want::CatchUp(_) | Want::Finish(_) if !backoff.is_due() => retry_at = backoff.due(),
            Want::CatchUp(after) if room => {
                if ask_page(&pod, &stream, &after, &mut backoff).await {
                    continue;
                }
                retry_at = backoff.due();
            }
            Want::Finish(position) => {
                if ask_finish(&pod, &stream, &position, &mut backoff).await {
                    continue;
                }
                retry_at = backoff.due();
            }
            Want::CatchUp(_) | Want::Nothing => {}
        }
        let until = [Some(heartbeat), Some(expires), drains, stalls, retry_at].into_iter().flatten().min();
        tokio::select! {
            () = stream.driver.notified() => {}
            () = tokio::time::sleep_until(until.unwrap_or(heartbeat)) => {}
            () = pod.draining.begun(), if drains.is_none() => {
                drains = Some(Instant::now() + pod.live.now().drain_spread().mul_f64(rand::rng().random()));
            }
        }
        let now = Instant::now();
        let mut state = stream.lock();
        if state.queue.stalls_at().is_some_and(|at| at <= now) {
            state.session.abandon(End::Slow);
        } else if drains.is_some_and(|at| at <= now) {
            let retry = jittered(RETRY_MILLIS);
            state.write(|s, out| s.drain(retry, "this pod is going away; reconnect", Timestamp::now(), out));
        } else if expires <= now {
            let retry = jittered(RETRY_MILLIS);
            state.write(|s, out| s.drain(retry, "the stream is old; reconnect", Timestamp::now(), out));
        } else if heartbeat <= now {
            heartbeat = now + pod.live.now().heartbeat_interval;
            if state.queue.has_room() {
                state.write(|session, out| session.heartbeat(Timestamp::now(), out));
            }
        }
    };
    drop(listed);
    conclude(&pod, &stream, end).await;
}

/// Reads one page. False if the store could not answer; `backoff` says when to ask again.
async fn ask_page(
    pod: &Pod,
    stream: &Stream,
    after: &fundbond_protocol::Position,
    backoff: &mut Backoff,
) -> bool {
    let connection = stream.lock().session.connection().clone();
    match pod.store.catch_up(&connection, after, ReadLimit::default()).await {
        Ok(reading) => {
            let reset = matches!(reading.outcome, Outcome::Reset { .. });
            if reset {
                pod.metrics.stream_resets.inc();
            }
            pod.metrics.stream_catch_ups.inc();
            backoff.reset();
            stream.lock().write(|session, out| session.caught_up(reading, Timestamp::now(), out));
            if reset {
                // It may name tasks that were attached while messages were missed.
                pod.streams.find_by_tasks(stream);
            }
            true
        }
        Err(error) => {
            backoff.failed("catch-up", &error);
            false
        }
    }
}

async fn ask_finish(
    pod: &Pod,
    stream: &Stream,
    position: &fundbond_protocol::Position,
    backoff: &mut Backoff,
) -> bool {
    let holder = pod.holder_of(&stream.lock().session);
    match pod.store.finish(&holder, position).await {
        Ok(answer) => {
            backoff.reset();
            let reassert = stream.lock().write(|s, out| s.finished(answer, Timestamp::now(), out));
            if reassert {
                pod.reassert_soon();
            }
            true
        }
        Err(error) => {
            backoff.failed("finish", &error);
            false
        }
    }
}

/// Releases what an ended stream holds, and sees that its HTTP connection ends too.
async fn conclude(pod: &Pod, stream: &Arc<Stream>, end: End) {
    pod.metrics.stream_ends.get_or_create(&EndLabels { reason: end.label() }).inc();
    let holder = {
        let mut state = stream.lock();
        match end {
            End::Finished | End::Replaced | End::Closed | End::Draining => state.queue.end(),
            End::ClientLeft | End::Slow => state.queue.discard(),
        }
        pod.holder_of(&state.session)
    };
    if end == End::Slow {
        tracing::info!(connectionId = %holder.connection, "cut a stream whose client stopped reading");
        stream.connection_cut.cancel();
    }
    // Finished and closed streams were released by the store; replaced ones are somebody else's.
    let released = async {
        if matches!(end, End::Draining | End::ClientLeft | End::Slow) {
            release(pod, &holder).await;
        }
    };
    // The last bytes (a final event, DRAINING) get the time any bytes get, then the connection is cut.
    let gone = async {
        while !stream.lock().queue.reader_gone() {
            stream.driver.notified().await;
        }
    };
    let delivered = async {
        if tokio::time::timeout(queue::STALL, gone).await.is_err() {
            stream.connection_cut.cancel();
        }
    };
    tokio::join!(released, delivered);
}

/// Releases a registration that came about although nobody here has a stream for it: the step was done after the pod had
/// given it up, and its client was sent away. Nobody else would know that it is nobody's.
fn disown(pod: &Arc<Pod>, connection: &ConnectionId, generation: Generation) {
    let holder = Holder { connection: connection.clone(), pod: pod.identity.id(), generation };
    tracing::info!(connectionId = %connection, "a registration came too late for its stream, and is released");
    let pod = pod.clone();
    tokio::spawn(async move { release(&pod, &holder).await }.in_current_span());
}

/// Releases a registration, however long the store is away: one that stays says for a day that somebody
/// listens. Only a pod that stops lets go of all it holds at once.
async fn release(pod: &Pod, holder: &Holder) {
    let mut backoff = Backoff::default();
    while let Err(error) = pod.store.close(holder).await {
        backoff.failed("close", &error);
        tokio::select! {
            () = backoff.wait() => {}
            () = pod.stopped.begun() => return,
        }
    }
}

/// `millis` +-20 %, so that clients that lost their streams together do not come back together.
fn jittered(millis: u64) -> u64 {
    rand::rng().random_range(millis * 8 / 10..=millis * 12 / 10)
}

/// Up to a tenth less, so that streams opened together do not expire together.
fn shortened(age: Duration) -> Duration {
    age.mul_f64(rand::rng().random_range(0.9..1.0))
}

impl Pod {
    fn holder_of(&self, session: &Session) -> Holder {
        Holder {
            connection: session.connection().clone(),
            pod: self.identity.id(),
            generation: session.generation(),
        }
    }
}
