//! A store whose steps can be held up and made to fail, and whose messages can be held up and lost, so that a test
//! stands in the middle of what usually takes no time.

mod keeping;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, PodId, Position, TaskId, UserId};
use fundbond_store::{
    Answer, Assertion, Attempt, Backlog, Bus, Claims, Closed, Emit, Emitted, Finished, Foreign, HandedOver,
    Held, Holder, MemoryStore, Message, Node, Observed, Order, Ordered, Publisher, Question, Queue,
    ReadLimit, Reading, Reasserted, Register, Registered, Registry, Restored, Sent, Standing, StoreError,
    Submission, Submitted, Subscription, Taken, TaskPage, TaskQuery, TaskRecord, Tasks, UserRecord, UserSend,
    Users,
};
use tokio::sync::Semaphore;

use crate::client::{TestPod, settings, within};

/// The in-memory store behind a server that may be slow or away.
#[derive(Default)]
pub struct TroubledStore {
    pub inner: MemoryStore,
    /// Whether it says that others share it, as a server's.
    shared: bool,
    troubles: Mutex<HashMap<&'static str, Trouble>>,
    wire: Arc<Wire>,
}

/// A pod on a store that can be troubled.
pub async fn pod() -> (TestPod, Arc<TroubledStore>) {
    let store = Arc::new(TroubledStore::default());
    (TestPod::with(settings(), store.clone()).await, store)
}

#[derive(Clone)]
enum Trouble {
    /// The step is done, and its answer waits.
    Held(Arc<Hold>),
    /// The step is not done.
    Failing(usize),
    /// The step is done, and its answer is lost.
    Unheard(usize),
    FailingThenHeld(usize, Arc<Hold>),
}

/// The way of the messages from the store into the pods.
#[derive(Default)]
struct Wire(Mutex<WireTrouble>);

#[derive(Clone, Default)]
enum WireTrouble {
    #[default]
    None,
    /// A message that is meant waits, and all that follow it.
    Held(fn(&Message) -> bool, Arc<Hold>),
    /// What is meant is lost.
    Losing(fn(&Message) -> bool),
}

/// Answers or messages that wait.
pub struct Hold {
    arrived: Semaphore,
    released: Semaphore,
}

impl Hold {
    fn new() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), released: Semaphore::new(0) })
    }

    /// Waits here until released.
    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }

    /// Waits until `count` wait here.
    pub async fn reached(&self, count: u32) {
        within("a held step", self.arrived.acquire_many(count)).await.unwrap().forget();
    }

    /// Lets them go, and all that come later.
    pub fn release(&self) {
        self.released.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl TroubledStore {
    /// One like a server, which outlives its pods.
    pub fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }

    /// Holds up the answers to `step` from now on.
    pub fn hold(&self, step: &'static str) -> Arc<Hold> {
        let hold = Hold::new();
        self.troubles.lock().unwrap().insert(step, Trouble::Held(hold.clone()));
        hold
    }

    /// Fails the next `times` calls of `step`.
    pub fn fail(&self, step: &'static str, times: usize) {
        self.troubles.lock().unwrap().insert(step, Trouble::Failing(times));
    }

    /// Fails the next `times` calls of `step`, and holds up the answers after them.
    pub fn fail_then_hold(&self, step: &'static str, times: usize) -> Arc<Hold> {
        let hold = Hold::new();
        self.troubles.lock().unwrap().insert(step, Trouble::FailingThenHeld(times, hold.clone()));
        hold
    }

    /// Does the next `times` calls of `step`, and loses their answers.
    pub fn lose_answers(&self, step: &'static str, times: usize) {
        self.troubles.lock().unwrap().insert(step, Trouble::Unheard(times));
    }

    /// Holds up the next message that is meant, and all that follow it, on their way into a pod. Takes the place of
    /// what was asked of the way before; who waits goes on waiting.
    pub fn hold_messages(&self, meant: fn(&Message) -> bool) -> Arc<Hold> {
        let hold = Hold::new();
        *self.wire.0.lock().unwrap() = WireTrouble::Held(meant, hold.clone());
        hold
    }

    /// Loses the messages that are meant from now on.
    pub fn lose_messages(&self, meant: fn(&Message) -> bool) {
        *self.wire.0.lock().unwrap() = WireTrouble::Losing(meant);
    }

    async fn step<T>(
        &self,
        step: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut unheard = false;
        let trouble = {
            let mut troubles = self.troubles.lock().unwrap();
            match troubles.get_mut(step) {
                Some(Trouble::Failing(0) | Trouble::Unheard(0)) | None => None,
                Some(Trouble::Unheard(left)) => {
                    *left -= 1;
                    unheard = true;
                    None
                }
                Some(Trouble::Failing(left) | Trouble::FailingThenHeld(left @ 1.., _)) => {
                    *left -= 1;
                    return Err(StoreError::Unreachable("this store is away".into()));
                }
                Some(Trouble::Held(hold) | Trouble::FailingThenHeld(0, hold)) => Some(hold.clone()),
            }
        };
        let answer = call.await;
        if unheard {
            return Err(StoreError::Unreachable("the answer of this store was lost".into()));
        }
        if let Some(hold) = trouble {
            hold.pass().await;
        }
        answer
    }
}

impl Wire {
    /// Carries messages into a pod until either end is gone.
    async fn carry(self: Arc<Self>, mut from: Subscription, to: Publisher) {
        let mut messages = Vec::new();
        while from.recv_many(&mut messages, 1).await > 0 {
            for message in messages.drain(..) {
                let trouble = self.0.lock().unwrap().clone();
                match trouble {
                    WireTrouble::Losing(meant) if meant(&message) => continue,
                    WireTrouble::Held(meant, hold) if meant(&message) => hold.pass().await,
                    _ => {}
                }
                if message == Message::Gap {
                    to.gap();
                } else if !to.publish(message) {
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Registry for TroubledStore {
    async fn lives(&self, pod: &PodId, cluster: &ClusterId, lasts: Duration) -> Result<Node, StoreError> {
        self.step("heartbeat", self.inner.lives(pod, cluster, lasts)).await
    }

    async fn leave(&self, pod: &PodId, cluster: &ClusterId) -> Result<(), StoreError> {
        self.step("leave", self.inner.leave(pod, cluster)).await
    }

    async fn bury(&self, pod: &PodId) -> Result<bool, StoreError> {
        self.step("bury", self.inner.bury(pod)).await
    }

    async fn register(&self, request: &Register) -> Result<Registered, StoreError> {
        self.step("register", self.inner.register(request)).await
    }

    async fn catch_up(
        &self,
        connection: &ConnectionId,
        after: &Position,
        limit: ReadLimit,
    ) -> Result<Reading, StoreError> {
        self.step("catch_up", self.inner.catch_up(connection, after, limit)).await
    }

    async fn finish(&self, holder: &Holder, position: &Position) -> Result<Finished, StoreError> {
        self.step("finish", self.inner.finish(holder, position)).await
    }

    async fn close(&self, holder: &Holder) -> Result<Closed, StoreError> {
        self.step("close", self.inner.close(holder)).await
    }

    async fn reassert(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        streams: &[Assertion],
    ) -> Result<Reasserted, StoreError> {
        self.step("reassert", self.inner.reassert(pod, cluster, streams)).await
    }

    async fn held(&self, pod: &PodId, known: usize) -> Result<Vec<Holder>, StoreError> {
        self.step("held", self.inner.held(pod, known)).await
    }

    async fn holder(&self, connection: &ConnectionId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        self.inner.holder(connection).await
    }
}

impl Observed for TroubledStore {}

#[async_trait]
impl Bus for TroubledStore {
    async fn subscribe(&self, pod: &PodId) -> Result<Subscription, StoreError> {
        let from = self.step("subscribe", self.inner.subscribe(pod)).await?;
        let (to, subscription) = Subscription::new();
        tokio::spawn(self.wire.clone().carry(from, to));
        Ok(subscription)
    }

    async fn emit(&self, event: &Emit) -> Result<Emitted, StoreError> {
        self.step("emit", self.inner.emit(event)).await
    }

    async fn end(&self, event: &Emit) -> Result<Emitted, StoreError> {
        self.step("end", self.inner.end(event)).await
    }

    async fn foreign(&self, foreign: &Foreign) -> Result<Taken, StoreError> {
        self.step("foreign", self.inner.foreign(foreign)).await
    }
}

#[async_trait]
impl Users for TroubledStore {
    async fn send(&self, send: &UserSend) -> Result<Sent, StoreError> {
        self.step("send", self.inner.send(send)).await
    }

    async fn close_user(&self, user: &UserId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        self.step("close_user", self.inner.close_user(user)).await
    }

    async fn user(&self, user: &UserId) -> Result<UserRecord, StoreError> {
        self.step("user", self.inner.user(user)).await
    }

    async fn connected(&self, cluster: &ClusterId) -> Result<Vec<UserId>, StoreError> {
        self.step("connected", self.inner.connected(cluster)).await
    }

    async fn ask(&self, pod: &PodId, question: &Question) -> Result<(), StoreError> {
        self.step("ask", self.inner.ask(pod, question)).await
    }

    async fn answer(&self, pod: &PodId, answer: &Answer) -> Result<(), StoreError> {
        self.step("answer", self.inner.answer(pod, answer)).await
    }
}

#[async_trait]
impl Queue for TroubledStore {
    fn is_shared(&self) -> bool {
        self.shared
    }

    async fn submit(&self, submission: &Submission, limit: usize) -> Result<Submitted, StoreError> {
        self.step("submit", self.inner.submit(submission, limit)).await
    }

    async fn claim(&self, pod: &PodId, cluster: &ClusterId, most: usize) -> Result<Claims, StoreError> {
        self.step("claim", self.inner.claim(pod, cluster, most)).await
    }

    async fn hold(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        runs: &[(TaskId, Attempt)],
    ) -> Result<Held, StoreError> {
        self.step("hold", self.inner.hold(pod, cluster, runs)).await
    }

    async fn give_back(&self, pod: &PodId, runs: &[(TaskId, Attempt)]) -> Result<(), StoreError> {
        self.step("give_back", self.inner.give_back(pod, runs)).await
    }

    async fn restore(&self, submission: &Submission, standing: &Standing) -> Result<Restored, StoreError> {
        self.step("restore", self.inner.restore(submission, standing)).await
    }

    async fn hand_over(&self, order: &Order, pod: &PodId) -> Result<Ordered<HandedOver>, StoreError> {
        self.step("hand_over", self.inner.hand_over(order, pod)).await
    }

    async fn backlog(&self, cluster: &ClusterId) -> Result<Backlog, StoreError> {
        self.inner.backlog(cluster).await
    }
}

#[async_trait]
impl Tasks for TroubledStore {
    async fn task(&self, task: &TaskId) -> Result<Option<TaskRecord>, StoreError> {
        self.step("task", self.inner.task(task)).await
    }

    async fn list(&self, query: &TaskQuery) -> Result<TaskPage, StoreError> {
        self.inner.list(query).await
    }

    async fn put_rows(&self, task: &TaskId, rows: Vec<Arc<str>>) -> Result<(), StoreError> {
        self.step("put_rows", self.inner.put_rows(task, rows)).await
    }

    async fn rows(
        &self,
        task: &TaskId,
        from: usize,
        limit: usize,
    ) -> Result<Option<(Vec<Arc<str>>, usize)>, StoreError> {
        self.inner.rows(task, from, limit).await
    }
}
