//! The pods that run the tasks: they emit each event when it is due, and notice how late they were.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fundbond_protocol::{ConnectionId, PodId, Status, TaskEvent, TaskId};
use fundbond_store::{Attempt, Bus as _, Emit, Emitted, RedisStore, Registry as _, redis::Config};
use hdrhistogram::Histogram;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{cluster, names};
use crate::{
    error::RunError,
    pace::{Pace, Turns},
    redis::{designs::Broken, event, naive::NaivePod, ours::begin},
    schedule::{Schedule, Slot},
    stats::Side,
};

/// Sends what is due.
#[derive(Debug)]
pub struct Sender {
    tasks: Arc<[Task]>,
    late: Arc<Mutex<Histogram<u64>>>,
    sent: Arc<AtomicU64>,
    work: JoinSet<Result<(), RunError>>,
}

#[derive(Debug)]
struct Task {
    connection: ConnectionId,
    id: TaskId,
    pod: Arc<Pod>,
    /// The run that says its events; none in a design without such a thing.
    attempt: Option<Attempt>,
}

#[derive(Debug)]
enum Pod {
    Ours { id: PodId, store: RedisStore },
    Naive(NaivePod),
}

impl Sender {
    /// Connects `pods` pods and gives them the tasks of `streams` streams. Each task has its stream on another pod.
    pub async fn connect(side: Side, config: &Config, pods: usize, streams: usize) -> Result<Self, RunError> {
        let mut all = Vec::with_capacity(pods);
        for number in 0..pods {
            let number = u8::try_from(number).unwrap_or_default();
            let id = PodId::new("sender", 9090, [1, 0, 0, 0, number]);
            all.push(Arc::new(match side {
                Side::Pod => {
                    let store = RedisStore::new(config)?;
                    store.heartbeat(&id, &cluster()?).await?;
                    Pod::Ours { id, store }
                }
                Side::Peer => Pod::Naive(NaivePod::connect(&config.url, id).await?),
            }));
        }
        let mut tasks = Vec::with_capacity(streams);
        for index in 0..streams {
            let (connection, task) = names(index)?;
            let pod = all[index % pods].clone();
            let attempt = match &*pod {
                Pod::Ours { id, store } => Some(begin(store, id, &cluster()?, &task, &connection).await?),
                Pod::Naive(_) => None,
            };
            tasks.push(Task { connection, id: task, pod, attempt });
        }
        Ok(Self { tasks: tasks.into(), late: histogram(), sent: Arc::default(), work: JoinSet::new() })
    }

    /// The first event of each task: it is on no schedule.
    pub async fn first(&mut self) -> Result<(), RunError> {
        for task in self.tasks.iter() {
            let event = TaskEvent::of_task(&task.id, "processing", Status::PROCESSING, Timestamp::now())
                .with_message("counting")
                .from_pod(task.pod.id());
            task.send(&event).await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Begins, and sends what is due for so long.
    pub fn follow(&mut self, schedule: &Arc<Schedule>, time: Duration) {
        let (pace, turns) = Pace::new(schedule.clone(), self.tasks.len());
        for (index, turns) in turns.into_iter().enumerate() {
            let speaker = Speaker {
                index,
                tasks: self.tasks.clone(),
                late: self.late.clone(),
                sent: self.sent.clone(),
                schedule: schedule.clone(),
            };
            self.work.spawn(speaker.speak(turns));
        }
        let pacing = tokio::task::spawn_blocking(move || pace.keep(time));
        self.work.spawn(async move { pacing.await? });
    }

    /// Ends only where sending failed.
    pub async fn failed(&mut self) -> RunError {
        while let Some(ended) = self.work.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(error) => return error.into(),
            }
        }
        std::future::pending().await
    }

    /// Waits until everything is sent.
    pub async fn end(&mut self) -> Result<(), RunError> {
        while let Some(ended) = self.work.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Events sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Takes how late emit was called since the last time, in microseconds.
    pub fn take_late(&self) -> Histogram<u64> {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = late.clone();
        late.reset();
        taken
    }
}

fn histogram() -> Arc<Mutex<Histogram<u64>>> {
    // From a microsecond to a minute, three digits: bounds that the crate takes.
    let late = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap_or_else(|error| unreachable!("{error}"));
    Arc::new(Mutex::new(late))
}

/// One task: sends an event after another, none before its turn.
struct Speaker {
    index: usize,
    tasks: Arc<[Task]>,
    late: Arc<Mutex<Histogram<u64>>>,
    sent: Arc<AtomicU64>,
    schedule: Arc<Schedule>,
}

impl Speaker {
    async fn speak(self, mut turns: Turns) -> Result<(), RunError> {
        let task = &self.tasks[self.index];
        while let Some(step) = turns.next().await {
            if let Some(due) = self.schedule.due(Slot { stream: self.index, step }) {
                let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.late.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(late);
            }
            task.send(&event(&task.id, step, task.pod.id())).await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Task {
    async fn send(&self, event: &TaskEvent) -> Result<(), RunError> {
        match &*self.pod {
            Pod::Ours { store, .. } => {
                let emit = Emit { attempt: self.attempt, ..Emit::of(event, &self.connection) };
                match store.emit(&emit).await? {
                    Emitted::Logged => Ok(()),
                    Emitted::Duplicate | Emitted::AfterFinal | Emitted::Superseded => {
                        Err(Broken::Refused("an event").into())
                    }
                }
            }
            Pod::Naive(pod) => Ok(pod.publish(&event.to_json()).await?),
        }
    }
}

impl Pod {
    fn id(&self) -> &PodId {
        match self {
            Self::Ours { id, .. } => id,
            Self::Naive(pod) => pod.id(),
        }
    }
}
