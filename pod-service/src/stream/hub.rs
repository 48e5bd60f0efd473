//! The streams of one pod, and the task that brings them what the bus says.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use fundbond_protocol::ConnectionId;
use fundbond_store::{Asserted, Assertion, Message, Subscription};
use jiff::Timestamp;

use super::{Stream, session::Want};
use crate::{backoff::Backoff, metrics::EventLabels, pod::Pod};

/// Messages taken from the subscription at once: enough to keep the lock warm, few enough that an open
/// never waits noticeably for it.
const BATCH: usize = 512;

/// Streams by connection. Usually one each; two while a client returns to the pod that has not yet noticed
/// that it left.
#[derive(Debug, Default)]
pub struct Streams {
    by_connection: Mutex<HashMap<ConnectionId, Vec<Arc<Stream>>>>,
    count: AtomicUsize,
}

/// Keeps a stream listed; dropping it takes the stream off the list.
#[derive(Debug)]
pub struct Listed {
    streams: Arc<Streams>,
    connection: ConnectionId,
    stream: Arc<Stream>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Vec<Arc<Stream>>>> {
        self.by_connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many streams are open.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lists a stream.
    pub(super) fn insert(self: &Arc<Self>, connection: &ConnectionId, stream: Arc<Stream>) -> Listed {
        self.lock().entry(connection.clone()).or_default().push(stream.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        Listed { streams: self.clone(), connection: connection.clone(), stream }
    }

    fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().values().flatten().cloned().collect()
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
            };
            drop(state);
            Some((stream, assertion))
        });
        asserted.collect()
    }

    /// Gives the store's answer to an assertion to its stream.
    pub fn asserted(stream: &Stream, answer: Asserted) {
        stream.lock().write(|session, out| session.asserted(answer, Timestamp::now(), out));
        stream.wake_driver();
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        if let Some(same) = streams.get_mut(&self.connection) {
            same.retain(|stream| !Arc::ptr_eq(stream, &self.stream));
            if same.is_empty() {
                streams.remove(&self.connection);
            }
        }
        drop(streams);
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
                backoff.failed("subscribe", &error);
                backoff.wait().await;
            }
        }
    }
}

fn dispatch(pod: &Pod, batch: &mut Vec<Message>) {
    if batch.is_empty() {
        return;
    }
    let mut gap = false;
    {
        let streams = pod.streams.lock();
        for message in batch.drain(..) {
            match &message {
                Message::Event { connection, epoch, entry } => {
                    let wrote = each(streams.get(connection), |stream| {
                        let mut state = stream.lock();
                        let room = state.queue.has_room();
                        let wrote = state.write(|session, out| session.event(epoch, entry, room, out));
                        if state.session.want() != Want::Nothing {
                            stream.wake_driver();
                        }
                        wrote
                    });
                    if wrote > 0 {
                        pod.metrics
                            .events_written
                            .get_or_create(&EventLabels::of(&entry.status))
                            .inc_by(wrote);
                    }
                }
                Message::Attached { connection, task } => {
                    each(streams.get(connection), |stream| {
                        stream.lock().session.attached(task);
                        false
                    });
                }
                Message::Lost { connection, generation } => {
                    each(streams.get(connection), |stream| {
                        stream.lock().write(|s, out| s.lost(*generation, Timestamp::now(), out));
                        stream.wake_driver();
                        false
                    });
                }
                Message::Ended { task } => pod.stop_task(task),
                // Says from when on the pod may take events of foreign publishers.
                Message::Gained { .. } => {}
                Message::Gap => gap = true,
            }
        }
    }
    if gap {
        pod.metrics.bus_gaps.inc();
        pod.runner.recall.repeat();
        pod.streams.gap();
        pod.reassert_soon();
    }
}

fn each(streams: Option<&Vec<Arc<Stream>>>, mut step: impl FnMut(&Stream) -> bool) -> u64 {
    streams.into_iter().flatten().map(|stream| u64::from(step(stream))).sum()
}
