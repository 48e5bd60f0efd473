//! What pods ask each other about streams: only the pod that holds one knows what its client has taken.
//!
//! A question goes out over the bus and is forgotten when its time is up. An answer is worked out where the bus is
//! heard, and sent by a task of its own, so that the bus never waits for the store.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fundbond_protocol::{ConnectionId, PodId};
use fundbond_service_runtime::exit::chain;
use fundbond_store::{Answer, Question, StoreError, StreamReport};
use tokio::sync::{mpsc, oneshot};

use crate::pod::Pod;

/// How long an answer may take. A living pod takes a millisecond; a person who waits for more has been told enough.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Answers that wait to be sent. Whoever asks while so many wait is not answered, and says so.
const WAITING: usize = 1_024;

type Pending = HashMap<u64, oneshot::Sender<Option<StreamReport>>>;

/// Questions under way, and answers to others'.
#[derive(Debug)]
pub struct Inquiries {
    pending: Mutex<Pending>,
    next: AtomicU64,
    answers: mpsc::Sender<(PodId, Answer)>,
}

/// What the desk gives to [`run`].
pub type Receiver = mpsc::Receiver<(PodId, Answer)>;

/// What is known of a stream that some pod is said to hold.
#[derive(Debug)]
pub enum Heard {
    /// This.
    Report(StreamReport),
    /// It is not there, or not any more.
    NotThere,
    /// That pod says nothing in time.
    Silence,
}

impl Heard {
    fn of(report: Option<StreamReport>) -> Self {
        report.map_or(Self::NotThere, Self::Report)
    }

    /// The report, if there is one.
    pub fn report(self) -> Option<StreamReport> {
        if let Self::Report(report) = self { Some(report) } else { None }
    }
}

/// A question that is under way until this is dropped.
struct Asked<'a>(&'a Inquiries, u64);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Inquiries {
    /// A new one.
    pub fn new() -> (Self, Receiver) {
        let (answers, receiver) = mpsc::channel(WAITING);
        (Self { pending: Mutex::default(), next: AtomicU64::new(1), answers }, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another pod asks, and this is the answer.
    pub fn asked(&self, question: &Question, report: Option<StreamReport>) {
        let answer = Answer { number: question.number, report };
        if self.answers.try_send((question.from.clone(), answer)).is_err() {
            tracing::debug!(pod = %question.from, "too many ask; one is left without an answer");
        }
    }

    /// Another pod answers.
    pub fn answered(&self, answer: Answer) {
        // Without a question it comes too late.
        if let Some(waiting) = self.lock().remove(&answer.number) {
            // The asker may have given up at this moment.
            let _ = waiting.send(answer.report);
        }
    }
}

/// What `holder` says of the stream `connection`.
pub async fn ask(pod: &Pod, holder: &PodId, connection: &ConnectionId) -> Result<Heard, StoreError> {
    let from = pod.identity.id();
    if *holder == from {
        return Ok(Heard::of(pod.streams.report(connection)));
    }
    let number = pod.inquiries.next.fetch_add(1, Ordering::Relaxed);
    let (answer, answered) = oneshot::channel();
    pod.inquiries.lock().insert(number, answer);
    let _asked = Asked(&pod.inquiries, number);
    pod.store.ask(holder, &Question { number, from, connection: connection.clone() }).await?;
    Ok(match tokio::time::timeout(ANSWER_WITHIN, answered).await {
        Ok(Ok(report)) => Heard::of(report),
        Ok(Err(_)) | Err(_) => Heard::Silence,
    })
}

/// Sends answers until the pod stops.
pub async fn run(pod: Arc<Pod>, mut answers: Receiver) {
    loop {
        let answer = tokio::select! {
            answer = answers.recv() => answer,
            () = pod.stopped.begun() => return,
        };
        let Some((to, answer)) = answer else { return };
        if let Err(error) = pod.store.answer(&to, &answer).await {
            // Whoever asked stops waiting by itself.
            tracing::debug!(pod = %to, error = chain(&error), "an answer to another pod was lost");
        }
    }
}
