//! Open streams, each read and verified by a task of its own.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fundbond_protocol::{
    ConnectionId, IdError, TaskId,
    api::OpenStream,
    sse::{Item, ParseError, Parser},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    client::{Client, ClientError, StartSteps},
    error::RunError,
    schedule::{Schedule, Slot},
    verify::{Taken, Verifier, Violation, task_name},
};

/// Opens under way at once: a crowd, but not one that overruns a listener's backlog of 1,024.
const OPENS_AT_ONCE: usize = 64;

/// The most a single expectation waits. Only a server that lost something takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the largest event this client reads: those of its tasks have a few hundred.
const MAX_EVENT: usize = 64 * 1024;

/// Latencies that can be told apart: from a microsecond to a minute, three digits.
const SLOWEST_MICROS: u64 = 60_000_000;

/// Why a stream is no longer worth reading.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It says what it may not say.
    #[error("stream {stream}")]
    Violation {
        /// Which.
        stream: ConnectionId,
        /// What it said.
        source: Violation,
    },
    /// It is not a stream of events.
    #[error("stream {stream}")]
    Parse {
        /// Which.
        stream: ConnectionId,
        /// What is wrong with it.
        source: ParseError,
    },
    /// It broke.
    #[error("stream {stream} broke")]
    Broken {
        /// Which.
        stream: ConnectionId,
        /// How.
        source: hyper::Error,
    },
    /// It ended.
    #[error("stream {0} ended, though a task was still due")]
    Ended(ConnectionId),
    /// A name of ours is not one.
    #[error("{0:?} cannot be the name of a stream or task")]
    Name(String),
}

/// What all streams have seen so far.
#[derive(Debug)]
pub struct Seen {
    events: AtomicU64,
    bytes: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

impl Seen {
    /// Verified events of tasks.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Bytes of SSE, whatever they said.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes the latencies since the last call, in microseconds.
    pub fn take_latencies(&self) -> Histogram<u64> {
        let mut latencies = self.latencies();
        let taken = latencies.clone();
        latencies.reset();
        taken
    }

    fn latencies(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream, for whoever starts tasks on it.
#[derive(Debug)]
pub struct Handle {
    connection: ConnectionId,
    index: usize,
    steps: u32,
    started: AtomicU64,
    finished: Notify,
}

impl Handle {
    /// Starts its next task.
    ///
    /// # Errors
    /// Where the task is not accepted.
    pub async fn start(&self, client: &Client, delay: Duration) -> Result<(), RunError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let prefix = self.connection.as_str();
        let name = task_name(prefix, number).ok_or_else(|| StreamError::Name(prefix.to_owned()))?;
        let task = StartSteps {
            correlation_id: name,
            connection_id: self.connection.clone(),
            kind: "steps".to_owned(),
            count: self.steps,
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        };
        Ok(client.start(&task).await?)
    }

    /// Waits until the task that was started last has its final event.
    pub async fn finish(&self) {
        self.finished.notified().await;
    }
}

/// From when a latency is counted.
#[derive(Clone, Debug)]
enum Clock {
    /// From the time in the event, which has whole milliseconds.
    Stamps,
    /// From when its sender should have sent it.
    Schedule(Arc<Schedule>),
}

/// The task that a stream is opened with.
#[derive(Clone, Copy, Debug)]
enum FirstTask {
    /// None.
    None,
    /// One that is never started: a stream ends once all its tasks have, and this keeps it open in between.
    Keeper,
    /// The stream's first, which runs elsewhere.
    Own,
}

/// Open streams of one server, or of several.
#[derive(Debug)]
pub struct Fleet {
    readers: JoinSet<StreamError>,
    handles: Arc<[Arc<Handle>]>,
    seen: Arc<Seen>,
}

impl Fleet {
    /// Opens `count` streams, on which tasks of `steps` steps will run; idle ones where `steps` is `None`.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub async fn open(client: &Client, count: usize, steps: Option<u32>) -> Result<Self, RunError> {
        let first = if steps.is_some() { FirstTask::Keeper } else { FirstTask::None };
        let clients = std::slice::from_ref(client);
        Self::open_on(clients, count, first, steps.unwrap_or(0), &Clock::Stamps).await
    }

    /// Opens `count` streams in turn on these servers, for tasks that are run elsewhere and never end; their
    /// latencies are from when their events were due.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub async fn open_scheduled(
        clients: &[Client],
        count: usize,
        schedule: Arc<Schedule>,
    ) -> Result<Self, RunError> {
        Self::open_on(clients, count, FirstTask::Own, u32::MAX, &Clock::Schedule(schedule)).await
    }

    async fn open_on(
        clients: &[Client],
        count: usize,
        first: FirstTask,
        steps: u32,
        clock: &Clock,
    ) -> Result<Self, RunError> {
        let latencies = Histogram::new_with_bounds(1, SLOWEST_MICROS, 3);
        // The bounds are constants that the crate takes; a test would show where not.
        let latencies = Mutex::new(latencies.unwrap_or_else(|error| unreachable!("{error}")));
        let seen = Arc::new(Seen { events: AtomicU64::new(0), bytes: AtomicU64::new(0), latencies });
        let clients = clients.iter().cycle().take(count).enumerate();
        let opening =
            stream::iter(clients).map(|(index, client)| open(client, index, first)).buffered(OPENS_AT_ONCE);
        let opened: Vec<_> = within("opening the streams", opening.try_collect()).await??;
        let mut readers = JoinSet::new();
        let handles = opened.into_iter().enumerate().map(|(index, (connection, body))| {
            let (started, finished) = (AtomicU64::new(0), Notify::new());
            let handle = Arc::new(Handle { connection, index, steps, started, finished });
            readers.spawn(read(body, handle.clone(), seen.clone(), clock.clone()));
            handle
        });
        let handles = handles.collect();
        Ok(Self { readers, handles, seen })
    }

    /// The streams.
    pub fn handles(&self) -> Arc<[Arc<Handle>]> {
        self.handles.clone()
    }

    /// What they have seen.
    pub fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// Lets time pass, unless a stream fails first.
    ///
    /// # Errors
    /// A stream's.
    pub async fn watch_until(&mut self, until: Instant) -> Result<(), RunError> {
        tokio::select! {
            () = sleep_until(until) => Ok(()),
            Some(ended) = self.readers.join_next() => Err(ended?.into()),
        }
    }

    /// Waits for `work`, unless a stream fails first.
    ///
    /// # Errors
    /// The work's own, a stream's, or that nothing moves.
    pub async fn during<T>(
        &mut self,
        what: &'static str,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        tokio::select! {
            done = within(what, work) => done?,
            Some(ended) = self.readers.join_next() => Err(ended?.into()),
        }
    }
}

async fn within<T>(what: &'static str, work: impl Future<Output = T>) -> Result<T, RunError> {
    timeout(PATIENCE, work).await.map_err(|_| RunError::Slow { what, limit: PATIENCE })
}

async fn open(
    client: &Client,
    index: usize,
    first: FirstTask,
) -> Result<(ConnectionId, Incoming), OpenError> {
    let connection = ConnectionId::parse(format!("bench-{index}"))?;
    let first = match first {
        FirstTask::None => None,
        FirstTask::Keeper => Some(TaskId::parse(format!("{connection}.keep"))?),
        FirstTask::Own => Some(TaskId::parse(format!("{connection}.0"))?),
    };
    let wanted = OpenStream {
        connection_id: connection.clone(),
        task_ids: first.into_iter().collect(),
        user_id: None,
        system: None,
        events: Vec::new(),
    };
    Ok((connection, client.open(&wanted).await?))
}

/// Why a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Name(#[from] IdError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<OpenError> for RunError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Name(error) => StreamError::Name(error.to_string()).into(),
            OpenError::Client(error) => error.into(),
        }
    }
}

/// Reads a stream for as long as it is worth it.
async fn read(mut body: Incoming, handle: Arc<Handle>, seen: Arc<Seen>, clock: Clock) -> StreamError {
    let stream = || handle.connection.clone();
    let mut verifier = Verifier::new(handle.connection.as_str(), handle.steps);
    let mut parser = Parser::new(MAX_EVENT);
    let mut items = Vec::new();
    loop {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(source)) => return StreamError::Broken { stream: stream(), source },
            None => return StreamError::Ended(stream()),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        seen.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Err(source) = parser.feed(bytes, &mut items) {
            return StreamError::Parse { stream: stream(), source };
        }
        if let Err(source) = take(&mut verifier, &mut items, &handle, &seen, &clock) {
            return StreamError::Violation { stream: stream(), source };
        }
    }
}

/// Verifies and counts what one piece brought.
fn take(
    verifier: &mut Verifier,
    items: &mut Vec<Item>,
    handle: &Handle,
    seen: &Seen,
    clock: &Clock,
) -> Result<(), Violation> {
    let (now, moment) = (Timestamp::now(), std::time::Instant::now());
    let mut latencies = None;
    for item in items.drain(..) {
        let Item::Event(event) = item else { continue };
        let (made, step, is_final) = match verifier.take(&event)? {
            Taken::Aside => continue,
            Taken::Event(made, step) => (made, step, false),
            Taken::Final(made) => (made, None, true),
        };
        seen.events.fetch_add(1, Ordering::Relaxed);
        let micros = match clock {
            // Times are rounded to milliseconds, so an event may seem to come half a millisecond too early.
            Clock::Stamps => Some(u64::try_from(now.duration_since(made).as_micros()).unwrap_or(0)),
            Clock::Schedule(schedule) => {
                let due = step.and_then(|step| schedule.due(Slot { stream: handle.index, step }));
                due.and_then(|due| u64::try_from(moment.saturating_duration_since(due).as_micros()).ok())
            }
        };
        if let Some(micros) = micros {
            latencies.get_or_insert_with(|| seen.latencies()).saturating_record(micros);
        }
        if is_final {
            handle.finished.notify_one();
        }
    }
    Ok(())
}
