//! The streams of one pod, and the task that brings them what the bus says.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use fundbond_protocol::{ConnectionId, ForeignEvent, TaskId};
use fundbond_store::{
    Asserted, Assertion, EntryKind, Foreign, Generation, Message, StreamReport, Subscription,
};
use jiff::Timestamp;

use super::{
    Stream,
    session::{Claim, End, Session, Want},
};
use crate::{backoff::Backoff, metrics::EventLabels, pod::Pod};

/// Messages taken from the subscription at once: enough to keep the lock warm, few enough that an open
/// never waits noticeably for it.
const BATCH: usize = 512;

/// The streams of a pod, to be found by connection, and by task where somebody else publishes an event of it.
#[derive(Debug, Default)]
pub struct Streams {
    table: Mutex<Table>,
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    by_connection: HashMap<ConnectionId, Held>,
    /// Where a task's stream is, if it is here. A hint: the session knows.
    by_task: HashMap<TaskId, ConnectionId>,
}

#[derive(Debug, Default)]
struct Held {
    /// Usually one; two while a client returns to the pod that has not yet noticed that it left.
    streams: Vec<Arc<Stream>>,
    /// What leads here in `by_task`.
    tasks: Vec<TaskId>,
}

impl Table {
    fn streams(&self, connection: &str) -> &[Arc<Stream>] {
        self.by_connection.get(connection).map_or(&[], |held| &held.streams)
    }

    fn report(&self, connection: &ConnectionId) -> Option<StreamReport> {
        self.streams(connection.as_str()).iter().rev().find_map(|stream| {
            let state = stream.lock();
            let position = state.session.position().filter(|_| !state.session.is_ended())?.clone();
            let queued_bytes = state.queue.waiting() as u64;
            Some(StreamReport { since: stream.since, position, queued_bytes })
        })
    }

    fn find_by_task(&mut self, connection: &ConnectionId, task: &TaskId) {
        let Some(held) = self.by_connection.get_mut(connection) else { return };
        if self.by_task.get(task) != Some(connection) {
            self.by_task.insert(task.clone(), connection.clone());
            held.tasks.push(task.clone());
        }
    }

    fn remove(&mut self, connection: &ConnectionId, stream: &Arc<Stream>) {
        let Some(held) = self.by_connection.get_mut(connection) else { return };
        held.streams.retain(|other| !Arc::ptr_eq(other, stream));
        if !held.streams.is_empty() {
            return;
        }
        for task in self.by_connection.remove(connection).map(|held| held.tasks).unwrap_or_default() {
            // It may lead to where the task went meanwhile.
            if self.by_task.get(&task) == Some(connection) {
                self.by_task.remove(&task);
            }
        }
    }
}

/// Keeps a stream listed; dropping it takes the stream off the list.
#[derive(Debug)]
pub struct Listed {
    streams: Arc<Streams>,
    connection: ConnectionId,
    stream: Arc<Stream>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many streams are open.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lists a stream that asks for `tasks`.
    pub(super) fn insert(
        self: &Arc<Self>,
        connection: &ConnectionId,
        tasks: &[TaskId],
        stream: Arc<Stream>,
    ) -> Listed {
        let mut table = self.lock();
        table.by_connection.entry(connection.clone()).or_default().streams.push(stream.clone());
        for task in tasks {
            table.find_by_task(connection, task);
        }
        drop(table);
        self.count.fetch_add(1, Ordering::Relaxed);
        Listed { streams: self.clone(), connection: connection.clone(), stream }
    }

    /// Lets a stream be found by the tasks that it has now.
    pub(super) fn find_by_tasks(&self, stream: &Stream) {
        let (connection, tasks) = {
            let state = stream.lock();
            (state.session.connection().clone(), state.session.tasks().cloned().collect::<Vec<_>>())
        };
        let mut table = self.lock();
        for task in &tasks {
            table.find_by_task(&connection, task);
        }
    }

    fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().by_connection.values().flat_map(|held| &held.streams).cloned().collect()
    }

    /// Bytes that wait for clients.
    pub fn queue_bytes(&self) -> usize {
        self.all().iter().map(|stream| stream.lock().queue.waiting()).sum()
    }

    /// What is known here of the stream `connection`, if it is here.
    pub fn report(&self, connection: &ConnectionId) -> Option<StreamReport> {
        self.lock().report(connection)
    }

    /// Whether a stream of `connection` is here, be it one that is still registering.
    pub fn has(&self, connection: &ConnectionId) -> bool {
        self.lock().by_connection.contains_key(connection)
    }

    /// Every stream may have missed something.
    pub fn gap(&self) {
        for stream in self.all() {
            stream.lock().session.gap();
            stream.wake_driver();
        }
    }

    /// What the pod holds, for a re-assertion; streams that are still registering hold nothing.
    pub fn assertions(&self) -> Vec<(Arc<Stream>, Assertion)> {
        let all = self.all();
        let asserted = all.into_iter().filter_map(|stream| {
            let state = stream.lock();
            let session = &state.session;
            if session.is_ended() {
                return None;
            }
            let assertion = Assertion {
                connection: session.connection().clone(),
                generation: session.generation(),
                position: session.position()?.clone(),
                tasks: session.tasks().cloned().collect(),
                gained: session.has_gained(),
            };
            drop(state);
            Some((stream, assertion))
        });
        asserted.collect()
    }

    /// Gives the store's answer to an assertion about `connection` to its stream.
    pub fn asserted(&self, connection: &ConnectionId, stream: &Stream, answer: Asserted) {
        if let Asserted::Held { open, .. } = &answer {
            // Among them those whose attachment was missed.
            let mut table = self.lock();
            for task in open {
                table.find_by_task(connection, task);
            }
        }
        stream.lock().write(|session, out| session.asserted(answer, Timestamp::now(), out));
        stream.wake_driver();
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.connection, &self.stream);
        self.streams.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Brings the streams what the bus says, until the pod stops.
pub async fn run(pod: Arc<Pod>, mut subscription: Subscription) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let renewed = tokio::select! {
            received = subscription.recv_many(&mut batch, BATCH) => received == 0,
            () = pod.identity.changed() => true,
            () = pod.stopped.begun() => return,
        };
        pod.foreign.dropped(&pod.metrics, subscription.dropped_foreign());
        dispatch(&pod, &mut batch);
        if renewed {
            subscription = tokio::select! {
                subscription = subscribe_again(&pod) => subscription,
                () = pod.stopped.begun() => return,
            };
            // What was said in between is in the logs.
            pod.streams.gap();
            pod.reassert_soon();
        }
    }
}

async fn subscribe_again(pod: &Pod) -> Subscription {
    let mut backoff = Backoff::default();
    loop {
        match pod.store.subscribe(&pod.identity.id()).await {
            Ok(subscription) => return subscription,
            Err(error) => {
                backoff.failed_again("subscribe", &error);
                backoff.wait().await;
            }
        }
    }
}

fn dispatch(pod: &Arc<Pod>, batch: &mut Vec<Message>) {
    if batch.is_empty() {
        return;
    }
    let mut gap = false;
    let mut written = None;
    {
        let mut table = pod.streams.lock();
        for message in batch.drain(..) {
            match &message {
                Message::Event { connection, epoch, entry } => {
                    let wrote = each(table.streams(connection.as_str()), |stream| {
                        let mut state = stream.lock();
                        let room = state.queue.has_room();
                        let wrote = state.write(|session, out| session.event(epoch, entry, room, out));
                        if state.session.want() != Want::Nothing {
                            stream.wake_driver();
                        }
                        wrote
                    });
                    if wrote > 0 {
                        // Only the words of a pod are known to tell its time.
                        if entry.kind != EntryKind::Note {
                            written.get_or_insert_with(|| entry.json.clone());
                        }
                        pod.metrics
                            .events_written
                            .get_or_create(&EventLabels::of(&entry.status))
                            .inc_by(wrote);
                    }
                }
                Message::Attached { connection, task } => {
                    each(table.streams(connection.as_str()), |stream| {
                        stream.lock().session.attached(task);
                        false
                    });
                    table.find_by_task(connection, task);
                }
                Message::Lost { connection, generation } => {
                    farewell(table.streams(connection.as_str()), *generation, End::Replaced);
                }
                Message::Closed { connection, generation } => {
                    farewell(table.streams(connection.as_str()), *generation, End::Closed);
                }
                Message::Asked(question) => {
                    pod.inquiries.asked(question, table.report(&question.connection));
                }
                Message::Answered(answer) => pod.inquiries.answered(answer.clone()),
                Message::Ended { task } => pod.runner.ended(task),
                Message::Claimed { task } => pod.runner.recall.taken(task),
                Message::Work => pod.runner.wake(),
                Message::Gained { connection, generation } => {
                    if table.streams(connection.as_str()).is_empty() {
                        super::disown(pod, connection, *generation);
                    }
                    each(table.streams(connection.as_str()), |stream| {
                        stream.lock().session.gained(*generation);
                        false
                    });
                }
                Message::Foreign(event) => offer(pod, &table, event),
                Message::Unusable(why) => pod.foreign.unusable(&pod.metrics, why),
                Message::Gap => gap = true,
            }
        }
    }
    if let Some(json) = written {
        pod.metrics.written(&json, Timestamp::now());
    }
    if gap {
        pod.metrics.bus_gaps.inc();
        pod.runner.recall.repeat();
        pod.runner.wake();
        pod.streams.gap();
        pod.reassert_soon();
    }
}

/// Offers an event of somebody else's to the streams it may be about.
fn offer(pod: &Pod, table: &Table, event: &Arc<ForeignEvent>) {
    let named = table.streams(event.task.as_str());
    let home = table.by_task.get(&event.task).filter(|home| home.as_str() != event.task.as_str());
    for stream in named.iter().chain(home.map_or(&[][..], |home| table.streams(home.as_str()))) {
        let session = &mut stream.lock().session;
        match session.foreign(event) {
            Claim::Take => take(pod, session, event),
            Claim::Drop => pod.foreign.dropped(&pod.metrics, 1),
            Claim::Later | Claim::Leave => {}
        }
    }
}

fn take(pod: &Pod, session: &Session, event: &ForeignEvent) {
    pod.foreign.take(&pod.metrics, Foreign::of(event, session.connection(), session.generation()));
}

/// A stream is registered: it can be found by its tasks, and takes what others said of them meanwhile.
pub(super) fn opened(pod: &Pod, stream: &Stream) {
    pod.streams.find_by_tasks(stream);
    let session = &mut stream.lock().session;
    for event in session.early() {
        take(pod, session, &event);
    }
}

/// Registrations before `generation` are over.
fn farewell(streams: &[Arc<Stream>], generation: Generation, end: End) {
    each(streams, |stream| {
        stream.lock().write(|session, out| session.lost(generation, end, Timestamp::now(), out));
        stream.wake_driver();
        false
    });
}

fn each(streams: &[Arc<Stream>], mut step: impl FnMut(&Stream) -> bool) -> u64 {
    streams.iter().map(|stream| u64::from(step(stream))).sum()
}
