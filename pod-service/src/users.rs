//! Sending to people: one event, or line after line of a request that has no end yet.
//!
//! Lines go to the store many in a step, one step after another, each repeated until it is known to be done. Where the
//! user's stream is open they go no faster than it is read: a log keeps a few hundred events, and whoever sends ten
//! thousand at once would else have most of them forgotten before they were read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fundbond_protocol::{ConnectionId, EventId, PodId, Position, UserId, users::Delivery};
use fundbond_store::{LOG_FLOOR, Lines, Sent, StoreError, UserEvent, UserSend};
use futures::StreamExt as _;

use crate::{
    backoff::Backoff,
    metrics::DeliveryLabels,
    pod::Pod,
    stream::inquiries::{self, Heard},
};

/// Events in one step: a millisecond or two of the store, in which it does nothing else.
pub const STEP: usize = 64;

/// Bytes of JSON in one step: what a page has, half a stream's queue.
pub const STEP_BYTES: usize = 128 * 1024;

/// Users sent to at once in a broadcast: what goes to the store in one write.
const AT_ONCE: usize = 64;

/// How far a sender may be ahead of the reader. With the step in hand it is half of what a log keeps at least, so that two
/// who send at the same time lose nothing either.
const AHEAD: u64 = (LOG_FLOOR / 2 - STEP) as u64;

/// How long the reader may stand still before its sender goes on: by then a stream whose client takes nothing was cut.
const READER_PATIENCE: Duration = Duration::from_secs(6);

/// Between two looks at a reader that is behind.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long a pod that gave no answer is not asked again. It may be dead, and nobody knows yet: a second lost with each
/// step would hold up a sender for minutes.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a stream that went away during a request is waited for: a client comes back within two seconds, and a pod whose
/// Redis restarted asserts its streams within four.
const RETURN_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at whether it is back.
const LOOK_FOR_RETURN: Duration = Duration::from_millis(50);

/// How long a step is tried. A Redis that restarts is back in seconds; a client that waits longer than this is told how
/// far it came.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// Where an event went that `pod` took.
pub fn delivery(pod: &PodId, sent: &Sent) -> Delivery {
    match &sent.holder {
        None => Delivery::Offline,
        Some((holder, _)) if holder == pod => Delivery::Local,
        Some(_) => Delivery::Remote,
    }
}

/// An id for an event that its sender gave none.
pub fn new_event_id() -> EventId {
    let text = format!("{:032x}", rand::random::<u128>());
    EventId::parse(text).unwrap_or_else(|error| unreachable!("32 digits: {error}"))
}

/// Sends one event once.
pub async fn send(pod: &Pod, user: &UserId, event: UserEvent) -> Result<Delivery, StoreError> {
    let send = UserSend { user: user.clone(), events: vec![event], lines: None, only_in: None };
    let sent = pod.store.send(&send).await?;
    let delivery = delivery(&pod.identity.id(), &sent);
    count(pod, delivery, 1);
    Ok(delivery)
}

/// Sends one event to every user whose stream the pods of this cluster hold; says how many have it. Where one cannot be
/// sent to, it is not known whom it reached: repeated under the same id it reaches everybody once.
pub async fn broadcast(pod: &Pod, event: UserEvent) -> Result<u64, StoreError> {
    let users = pod.store.connected(&pod.cluster).await?;
    let sending = futures::stream::iter(users).map(|user| {
        let send =
            UserSend { user, events: vec![event.clone()], lines: None, only_in: Some(pod.cluster.clone()) };
        async move { pod.store.send(&send).await }
    });
    let mut sending = sending.buffer_unordered(AT_ONCE);
    let (me, mut streams) = (pod.identity.id(), 0);
    while let Some(sent) = sending.next().await {
        let sent = sent?;
        // Else it moved or ended since it was found.
        if sent.holder.as_ref().is_some_and(|(_, cluster)| *cluster == pod.cluster) {
            count(pod, delivery(&me, &sent), 1);
            streams += 1;
        }
    }
    Ok(streams)
}

fn count(pod: &Pod, delivery: Delivery, events: u64) {
    pod.metrics.user_events.get_or_create(&DeliveryLabels { delivery: delivery.label() }).inc_by(events);
}

/// Lines of one request on their way to the store, in order.
#[derive(Debug)]
pub struct Sender {
    pod: Arc<Pod>,
    request: Arc<str>,
    /// What goes with the next step, all to one user.
    user: Option<UserId>,
    events: Vec<UserEvent>,
    bytes: usize,
    /// The last line in `events`.
    last: u64,
    /// What the reader had when it was last asked, and by whom it was held.
    read: Option<(UserId, Position)>,
    /// A pod that said nothing when it was asked, and when that was.
    silent: Option<(PodId, Instant)>,
    /// Whose stream was open at the step before.
    open: Option<UserId>,
    /// Events that are in the store.
    accepted: u64,
    delivery: Option<Delivery>,
}

impl Sender {
    /// A sender for one request.
    pub fn new(pod: Arc<Pod>) -> Self {
        Self {
            pod,
            request: format!("{:032x}", rand::random::<u128>()).into(),
            user: None,
            events: Vec::new(),
            bytes: 0,
            last: 0,
            read: None,
            silent: None,
            open: None,
            accepted: 0,
            delivery: None,
        }
    }

    /// Events that are in the store, and where the last one went.
    pub fn so_far(&self) -> (u64, Option<Delivery>) {
        (self.accepted, self.delivery)
    }

    /// Takes the event of line `line`, after sending what does not go with it.
    pub async fn push(&mut self, line: u64, user: UserId, event: UserEvent) -> Result<(), StoreError> {
        let full = self.events.len() == STEP || self.bytes + event.json.len() > STEP_BYTES;
        if full || self.user.as_ref() != Some(&user) {
            self.flush().await?;
        }
        self.bytes += event.json.len();
        self.events.push(event);
        (self.user, self.last) = (Some(user), line);
        Ok(())
    }

    /// Sends what was taken.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        let Some(user) = self.user.take().filter(|_| !self.events.is_empty()) else { return Ok(()) };
        let events = std::mem::take(&mut self.events);
        let count_of = events.len() as u64;
        self.bytes = 0;
        let lines = Some(Lines { request: self.request.clone(), last: self.last });
        let sent = self.step(UserSend { user: user.clone(), events, lines, only_in: None }).await?;
        let delivery = delivery(&self.pod.identity.id(), &sent);
        self.accepted += count_of;
        self.delivery = Some(delivery);
        count(&self.pod, delivery, count_of);
        if let Some((holder, _)) = sent.holder {
            self.wait_for_reader(&user, &holder, &sent.end).await;
            self.open = Some(user);
        } else if self.open.take().as_ref() == Some(&user) && self.wait_for_return(&user).await {
            self.open = Some(user);
        }
        Ok(())
    }

    /// Makes one step, again and again until it is known to be done: the store knows a step that it has done.
    async fn step(&self, send: UserSend) -> Result<Sent, StoreError> {
        let begun = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            match self.pod.store.send(&send).await {
                Ok(sent) => return Ok(sent),
                Err(error) => {
                    if begun.elapsed() >= STORE_PATIENCE || matches!(error, StoreError::Contract(_)) {
                        return Err(error);
                    }
                    backoff.failed("user-send", &error);
                    backoff.wait().await;
                }
            }
        }
    }

    /// Waits for a stream that was open a moment ago; says whether it is back.
    async fn wait_for_return(&self, user: &UserId) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < RETURN_PATIENCE {
            // A store that is away is met again by the next step.
            if matches!(self.pod.store.user(user).await, Ok(record) if record.holder.is_some()) {
                return true;
            }
            tokio::time::sleep(LOOK_FOR_RETURN).await;
        }
        false
    }

    /// Waits until the reader is near the end of the log, or does not read, or is gone.
    async fn wait_for_reader(&mut self, user: &UserId, holder: &PodId, end: &Position) {
        let is_near =
            |read: &Position| read.epoch != end.epoch || read.offset.saturating_add(AHEAD) >= end.offset;
        if self.read.as_ref().is_some_and(|(of, read)| of == user && read.epoch == end.epoch && is_near(read))
        {
            return;
        }
        if self.silent.as_ref().is_some_and(|(pod, since)| pod == holder && since.elapsed() < SILENCE) {
            return;
        }
        let connection = ConnectionId::of_user(user);
        let mut moved = Instant::now();
        let mut before = None;
        while moved.elapsed() < READER_PATIENCE {
            let position = match inquiries::ask(&self.pod, holder, &connection).await {
                Ok(Heard::Report(report)) => report.position,
                Ok(Heard::Silence) => {
                    self.silent = Some((holder.clone(), Instant::now()));
                    break;
                }
                // There is no reader to wait for. A store that is away is met again by the next step, which waits for it.
                Ok(Heard::NotThere) | Err(_) => break,
            };
            if is_near(&position) {
                self.read = Some((user.clone(), position));
                break;
            }
            if before.as_ref() != Some(&position) {
                moved = Instant::now();
                before = Some(position);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
