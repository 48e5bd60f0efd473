//! The two designs as one thing to load, and how they are loaded.

use std::{sync::Arc, time::Duration};

use fundbond_store::redis::Config;
use tokio::{task::JoinSet, time::timeout};

use super::{arrivals::Arrivals, naive::Naive, ours::Ours, server::RedisServer};
use crate::{error::RunError, pace::Pace, schedule::Schedule, stats::Side};

/// The most a run may take: several times what the dearest one takes on two cores.
const PATIENCE: Duration = Duration::from_mins(2);

/// What no design may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A step that must be done was not.
    #[error("the store refused {0}")]
    Refused(&'static str),
    /// Another event than the next one.
    #[error("event {came} of a stream came where {due} was due: one was lost, repeated or overtaken")]
    Order {
        /// What was due.
        due: u64,
        /// What came.
        came: u64,
    },
    /// A pod missed messages, or the server is gone.
    #[error("a pod missed messages of its bus")]
    Gap,
    /// A message nobody sent.
    #[error("a message came that nobody sent")]
    Stranger,
    /// Not every event found its stream.
    #[error("{found} of {sent} events found the pod that holds their stream")]
    Lost {
        /// How many did.
        found: u64,
        /// How many there were.
        sent: u64,
    },
}

/// How events are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One at a time: the next one follows when the last one has arrived.
    Alone {
        /// How many.
        events: u64,
    },
    /// Many tasks at once, each sends its next event when its last one has arrived.
    Crowd {
        /// On each pod.
        tasks: usize,
        /// All together.
        events: u64,
    },
    /// Many tasks, whose events are due one by one at a steady rate.
    Paced {
        /// Events a second, all together.
        rate: u32,
        /// For how long.
        time: Duration,
    },
}

impl Shape {
    /// Streams that a run needs; there is a task on each.
    pub fn streams(self, pods: usize) -> usize {
        match self {
            // Enough that every pod runs and holds some.
            Self::Alone { .. } => pods.max(16),
            Self::Crowd { tasks, .. } => tasks * pods,
            // Five events a second on each, a valuation with chunks of 200 ms.
            Self::Paced { rate, .. } => (rate / 5).try_into().unwrap_or(pods).max(pods),
        }
    }
}

/// Pods of one design, and what listens for them.
#[derive(Debug)]
pub struct Pods {
    design: Arc<Design>,
    streams: usize,
    ears: JoinSet<RunError>,
}

#[derive(Debug)]
enum Design {
    Ours(Ours),
    Naive(Naive),
}

impl Design {
    async fn emit(&self, stream: usize, step: u64) -> Result<(), RunError> {
        match self {
            Self::Ours(ours) => ours.emit(stream, step).await?,
            Self::Naive(naive) => naive.emit(stream, step).await?,
        }
        self.arrivals().wait(stream, step).await;
        Ok(())
    }

    fn arrivals(&self) -> &Arrivals {
        match self {
            Self::Ours(ours) => ours.arrivals(),
            Self::Naive(naive) => naive.arrivals(),
        }
    }

    /// Events that found the pod that holds their stream.
    fn found(&self) -> u64 {
        match self {
            // Only the holder is told.
            Self::Ours(ours) => ours.arrivals().total(),
            Self::Naive(naive) => naive.delivered(),
        }
    }
}

/// What a run used up.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Events.
    pub events: u64,
    /// CPU time of the server.
    pub cpu: Duration,
    /// Time.
    pub time: Duration,
}

impl Pods {
    /// Starts pods of a design; naive ones ask for at most `naive_batch` events in one write.
    ///
    /// # Errors
    /// Where the server refuses, or is gone.
    pub async fn start(
        side: Side,
        config: &Config,
        pods: usize,
        streams: usize,
        naive_batch: usize,
    ) -> Result<Self, RunError> {
        let mut ears = JoinSet::new();
        let design = match side {
            Side::Pod => Design::Ours(Ours::start(config, pods, streams, &mut ears).await?),
            Side::Peer => {
                Design::Naive(Naive::start(&config.url, pods, streams, naive_batch, &mut ears).await?)
            }
        };
        Ok(Self { design: Arc::new(design), streams, ears })
    }

    /// Sends an event on each stream, which nobody counts, and then the others.
    ///
    /// # Errors
    /// Where an event is lost, repeated or refused.
    pub async fn load(&mut self, server: &RedisServer, shape: Shape) -> Result<Used, RunError> {
        let streams = self.streams as u64;
        self.during(each(self.design.clone(), self.streams, 1, 1)).await?;
        let (cpu, began) = (server.cpu_time().await?, std::time::Instant::now());
        let events = match shape {
            Shape::Alone { events } => {
                self.during(alone(self.design.clone(), streams, events)).await?;
                events
            }
            Shape::Crowd { events, .. } => {
                let rounds = events.div_ceil(streams);
                self.during(each(self.design.clone(), self.streams, 2, rounds)).await?;
                rounds * streams
            }
            Shape::Paced { rate, time } => {
                let schedule = Arc::new(Schedule::new(rate, self.streams));
                self.during(paced(self.design.clone(), self.streams, schedule, time)).await?;
                self.design.found() - streams
            }
        };
        let used = Used { events, time: began.elapsed(), cpu: server.cpu_time().await?.saturating_sub(cpu) };
        let (found, sent) = (self.design.found(), events + streams);
        if found == sent { Ok(used) } else { Err(Broken::Lost { found, sent }.into()) }
    }

    async fn during(&mut self, work: impl Future<Output = Result<(), RunError>>) -> Result<(), RunError> {
        tokio::select! {
            done = timeout(PATIENCE, work) => {
                done.map_err(|_| RunError::Slow { what: "the load", limit: PATIENCE })?
            }
            Some(ended) = self.ears.join_next() => Err(ended?),
        }
    }
}

/// One after another, each on the next stream. Streams have had one event.
async fn alone(design: Arc<Design>, streams: u64, events: u64) -> Result<(), RunError> {
    for number in 0..events {
        let stream = usize::try_from(number % streams).unwrap_or_default();
        design.emit(stream, 2 + number / streams).await?;
    }
    Ok(())
}

/// On each stream when it has its turn. The streams have had one event.
async fn paced(
    design: Arc<Design>,
    streams: usize,
    schedule: Arc<Schedule>,
    time: Duration,
) -> Result<(), RunError> {
    let (pace, turns) = Pace::new(schedule, streams);
    let mut tasks = JoinSet::new();
    for (stream, mut turns) in turns.into_iter().enumerate() {
        let design = design.clone();
        tasks.spawn(async move {
            while let Some(step) = turns.next().await {
                design.emit(stream, step + 1).await?;
            }
            Ok::<_, RunError>(())
        });
    }
    let pacing = tokio::task::spawn_blocking(move || pace.keep(time));
    tasks.spawn(async move { pacing.await? });
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// On all streams at once, so many on each from the one called `first`.
async fn each(design: Arc<Design>, streams: usize, first: u64, events: u64) -> Result<(), RunError> {
    let mut tasks = JoinSet::new();
    for stream in 0..streams {
        let design = design.clone();
        tasks.spawn(async move {
            for step in first..first + events {
                design.emit(stream, step).await?;
            }
            Ok::<_, RunError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
