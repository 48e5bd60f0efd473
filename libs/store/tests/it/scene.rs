//! What scenarios are played on: a store that can be made to suffer, and short words for long requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{
    ClusterId, ConnectionId, Epoch, LastEventId, PodId, Position, Status, TaskEvent, TaskId, TraceId,
};
use fundbond_store::{
    Asserted, Assertion, Closed, Emit, Emitted, Entry, Finished, Holder, Message, Node, Opened, Outcome,
    ReadLimit, Reading, Reasserted, Register, Registered, Snapshot, Store, Submission, Submitted,
    Subscription,
};
use jiff::Timestamp;
use tokio::time::Instant;

/// The floor every fixture gives its store: small enough to overrun in a scenario.
pub(crate) const LOG_FLOOR: usize = 12;

/// No answer of a store takes longer than this, on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// What a restart loses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Nothing,
    Everything,
    /// What was written since [`Fixture::back_up`].
    SinceBackup,
}

/// A store of its own for one scenario, with a log floor of [`LOG_FLOOR`].
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    fn store(&self) -> Arc<dyn Store>;

    /// Keeps a copy for [`Loss::SinceBackup`].
    async fn back_up(&self);

    /// Restarts the server, and comes back once the store answers again.
    async fn restart(&self, loss: Loss);

    /// Lets time pass, for the server too.
    async fn advance(&self, time: Duration);

    /// Publishes a message as somebody else does.
    async fn publish(&self, message: &str);

    /// Registers a stream as no pod does: by hand.
    async fn plant(&self, stream: &str, owner: &str, cluster: &str);

    /// Breaks the subscription of a pod once.
    async fn cut(&self, pod: &PodId);
}

pub(crate) struct Scene {
    pub(crate) fixture: Box<dyn Fixture>,
    pub(crate) store: Arc<dyn Store>,
    markers: AtomicU64,
}

pub(crate) fn connection(name: &str) -> ConnectionId {
    ConnectionId::parse_kept(name).unwrap()
}

pub(crate) fn task(name: &str) -> TaskId {
    TaskId::parse(name).unwrap()
}

pub(crate) fn pod_id(name: &str) -> PodId {
    PodId::parse(name).unwrap()
}

pub(crate) fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

pub(crate) fn at(epoch: &Epoch, offset: u64) -> Position {
    Position { epoch: epoch.clone(), offset }
}

pub(crate) fn tasks(names: &[&str]) -> Vec<TaskId> {
    names.iter().map(|name| task(name)).collect()
}

pub(crate) fn holder(stream: &str, pod: &PodId, opened: &Opened) -> Holder {
    Holder { connection: connection(stream), pod: pod.clone(), generation: opened.generation }
}

/// The event `step` of a task; final where the step is `end`.
pub(crate) fn event(of: &str, step: &str, stream: &str) -> Emit {
    let is_final = step == "end";
    let status = if is_final { Status::COMPLETED } else { Status::PROCESSING };
    let event = TaskEvent::of_task(&task(of), step, status, Timestamp::UNIX_EPOCH);
    let event = if is_final { event.into_final() } else { event };
    Emit::of(&event, &connection(stream))
}

/// A request for a task.
pub(crate) fn submission(of: &str, stream: &str) -> Submission {
    Submission {
        task: task(of),
        connection: connection(stream),
        cluster: cluster("k"),
        pod: pod_id("acceptor"),
        kind: "portfolio-valuation".into(),
        fingerprint: [7; 32],
        accepted_at: Timestamp::UNIX_EPOCH,
        trace: TraceId::of_random(1),
        body: format!("{{\"of\":\"{of}\"}}").into(),
    }
}

/// `task:step` of each entry, with the offset: short to compare and to read.
pub(crate) fn short(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {}", entry.offset, entry.event_id)).collect()
}

/// The entries of a reading that must not be a reset.
pub(crate) fn entries(reading: &Reading) -> &[Entry] {
    match &reading.outcome {
        Outcome::Entries(entries) => entries,
        Outcome::Reset { .. } => panic!("unexpected reset: {reading:?}"),
    }
}

/// Offset and snapshot of a reading that must be a reset.
pub(crate) fn reset(reading: &Reading) -> (u64, &[Snapshot]) {
    match &reading.outcome {
        Outcome::Reset { at, snapshot } => (*at, snapshot),
        Outcome::Entries(_) => panic!("silent where history is gone: {reading:?}"),
    }
}

/// `task:step` of each task in a snapshot, by task; `-` where it has no event, `!` where it has ended.
pub(crate) fn states(snapshot: &[Snapshot]) -> Vec<String> {
    let mut states: Vec<_> = snapshot
        .iter()
        .map(|state| {
            let event = state.json.as_ref().map_or_else(
                || format!("{}:-", state.task),
                |json| serde_json::from_str::<TaskEvent>(json).unwrap().event_id.to_string(),
            );
            event + if state.is_final { "!" } else { "" }
        })
        .collect();
    states.sort();
    states
}

impl Scene {
    pub(crate) fn new(fixture: impl Fixture + 'static) -> Self {
        let store = fixture.store();
        Self { fixture: Box::new(fixture), store, markers: AtomicU64::new(0) }
    }

    /// A pod that lives.
    pub(crate) async fn pod(&self, name: &str) -> PodId {
        let pod = pod_id(name);
        self.heartbeat(&pod).await;
        pod
    }

    pub(crate) async fn heartbeat(&self, pod: &PodId) {
        assert_eq!(self.store.heartbeat(pod, &cluster("k")).await.unwrap(), Node::Alive);
    }

    pub(crate) async fn register(
        &self,
        pod: &PodId,
        stream: &str,
        last: LastEventId,
        names: &[&str],
    ) -> Registered {
        self.register_asked(Instant::now(), pod, stream, last, names).await
    }

    /// Registers for a client that asked at some other time.
    pub(crate) async fn register_asked(
        &self,
        asked: Instant,
        pod: &PodId,
        stream: &str,
        last: LastEventId,
        names: &[&str],
    ) -> Registered {
        let request = Register {
            connection: connection(stream),
            pod: pod.clone(),
            cluster: cluster("k"),
            last,
            tasks: tasks(names),
            limit: ReadLimit::default(),
            asked,
        };
        self.store.register(&request).await.unwrap()
    }

    /// Opens a stream from the start.
    pub(crate) async fn open(&self, pod: &PodId, stream: &str, names: &[&str]) -> Opened {
        opened(self.register(pod, stream, LastEventId::Start, names).await)
    }

    /// Opens a stream from a position.
    pub(crate) async fn resume(&self, pod: &PodId, stream: &str, after: Position, names: &[&str]) -> Opened {
        opened(self.register(pod, stream, LastEventId::At(after), names).await)
    }

    pub(crate) async fn emit(&self, of: &str, step: &str, stream: &str) -> Emitted {
        self.store.emit(&event(of, step, stream)).await.unwrap()
    }

    /// Emits the steps `0..count` of a task and expects each to be logged.
    pub(crate) async fn run(&self, of: &str, count: usize, stream: &str) {
        for step in 0..count {
            assert_eq!(self.emit(of, &step.to_string(), stream).await, Emitted::Logged);
        }
    }

    pub(crate) async fn read(&self, stream: &str, after: &Position) -> Reading {
        self.store.catch_up(&connection(stream), after, ReadLimit::default()).await.unwrap()
    }

    pub(crate) async fn finish(&self, holder: &Holder, position: &Position) -> Finished {
        self.store.finish(holder, position).await.unwrap()
    }

    pub(crate) async fn close(&self, holder: &Holder) -> Closed {
        self.store.close(holder).await.unwrap()
    }

    pub(crate) async fn holder_of(&self, stream: &str) -> Option<PodId> {
        self.store.holder(&connection(stream)).await.unwrap().map(|(pod, _)| pod)
    }

    /// Re-asserts one stream and expects the pod to be well.
    pub(crate) async fn reassert(&self, holder: &Holder, position: Position, names: &[&str]) -> Asserted {
        let assertion = Assertion {
            connection: holder.connection.clone(),
            generation: holder.generation,
            position,
            tasks: tasks(names),
            gained: true,
        };
        match self.store.reassert(&holder.pod, &cluster("k"), &[assertion]).await.unwrap() {
            Reasserted::Streams(mut answers) => {
                assert_eq!(answers.len(), 1);
                answers.remove(0)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn submit(&self, of: &str, stream: &str) -> Submitted {
        self.store.submit(&submission(of, stream), 10_000).await.unwrap()
    }

    pub(crate) async fn listen(&self, pod: &PodId) -> Ear {
        Ear { pod: pod.clone(), subscription: self.store.subscribe(pod).await.unwrap() }
    }

    /// Everything `ear` was told until now: what comes before an event that is sent for the purpose.
    pub(crate) async fn heard(&self, ear: &mut Ear) -> Vec<Message> {
        let marker = format!("marker-{}", self.markers.fetch_add(1, Ordering::Relaxed));
        self.open(&ear.pod, &marker, &[]).await;
        self.emit(&marker, "end", &marker).await;
        let mut heard = ear.until(|message| is_event_of(message, &marker)).await;
        heard.retain(|message| match message {
            Message::Event { connection, .. } | Message::Attached { connection, .. } => {
                connection.as_str() != marker
            }
            _ => true,
        });
        heard
    }
}

fn is_event_of(message: &Message, stream: &str) -> bool {
    matches!(message, Message::Event { connection, .. } if connection.as_str() == stream)
}

pub(crate) fn opened(registered: Registered) -> Opened {
    match registered {
        Registered::Open(opened) => opened,
        other => panic!("{other:?}"),
    }
}

/// A pod's subscription.
pub(crate) struct Ear {
    pod: PodId,
    pub(crate) subscription: Subscription,
}

impl Ear {
    /// Waits for a message and returns everything up to the batch that has it.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut heard = Vec::new();
        while !heard.iter().any(&wanted) {
            let waiting = self.subscription.recv_many(&mut heard, 64);
            let received = tokio::time::timeout(DEADLINE, waiting).await.expect("the message comes in time");
            assert!(received > 0, "the subscription is over");
        }
        heard
    }
}

/// What was told of one connection, short: `event 1 t:0`, `attached t`, `lost`.
pub(crate) fn told(messages: &[Message], stream: &str) -> Vec<String> {
    let of = connection(stream);
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Event { connection, entry, .. } if *connection == of => {
                Some(format!("event {} {}", entry.offset, entry.event_id))
            }
            Message::Attached { connection, task } if *connection == of => Some(format!("attached {task}")),
            Message::Lost { connection, .. } if *connection == of => Some("lost".into()),
            _ => None,
        })
        .collect()
}
