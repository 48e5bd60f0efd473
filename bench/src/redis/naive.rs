//! The naive design beside it: one channel, on which every pod hears of every event, and asks the server for
//! each whether its stream is here. Nothing is logged, nothing numbered, nothing remembered.
//!
//! It is given what a good engineer gives it: a pod has one connection for questions and one to listen, takes
//! all messages that are there at once, and asks for them in one write.

use std::{collections::HashMap, sync::Arc};

use fundbond_protocol::{PodId, TaskId, keys};
use futures::StreamExt as _;
use redis::{Client, IntoConnectionInfo as _, RedisError, aio::MultiplexedConnection, io::tcp::TcpSettings};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{arrivals::Arrivals, designs::Broken, event, server::connect};
use crate::error::RunError;

/// Messages that a pod takes at once where not said, as many as a batch of the product's has.
pub const BATCH: u16 = 64;

/// The part of an event that says whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose<'a> {
    #[serde(borrow)]
    correlation_id: std::borrow::Cow<'a, str>,
}

/// One pod: its connection for questions, and its name.
#[derive(Clone, Debug)]
pub struct NaivePod {
    client: Client,
    connection: MultiplexedConnection,
    id: PodId,
}

/// An event that was heard: whose it is, what it says, and whether the stream is here.
#[derive(Debug)]
pub struct Heard {
    /// The task, whose name here is also its stream's.
    pub task: String,
    /// The event.
    pub json: String,
    /// Whether this pod holds it.
    pub is_here: bool,
}

impl NaivePod {
    /// Connects.
    pub async fn connect(url: &str, id: PodId) -> Result<Self, RedisError> {
        // As in the product's store.
        let settings = TcpSettings::default().set_nodelay(true);
        let client = Client::open(url.into_connection_info()?.set_tcp_settings(settings))?;
        let connection = connect(&client).await?;
        Ok(Self { client, connection, id })
    }

    /// Who it is.
    pub fn id(&self) -> &PodId {
        &self.id
    }

    /// Says that a task's stream is here.
    pub async fn register(&self, task: &TaskId) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        redis::cmd("SET").arg(key(task.as_str())).arg(self.id.as_str()).query_async(&mut connection).await
    }

    /// Tells everybody.
    pub async fn publish(&self, json: &str) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("PUBLISH");
        let _: u64 = command.arg(keys::FOREIGN_CHANNEL).arg(json).query_async(&mut connection).await?;
        Ok(())
    }

    /// Subscribes; comes back when the server has confirmed it.
    pub async fn subscribe(&self) -> Result<redis::aio::PubSubStream, RedisError> {
        let mut ear = self.client.get_async_pubsub().await?;
        ear.subscribe(keys::FOREIGN_CHANNEL).await?;
        Ok(ear.into_on_message())
    }

    /// Hears, asks for at most `batch` events at once, and gives on what was found out. Ends only with an error.
    pub async fn listen(
        &self,
        ear: redis::aio::PubSubStream,
        batch: usize,
        mut take: impl FnMut(Heard),
    ) -> RunError {
        let mut batches = ear.ready_chunks(batch);
        while let Some(batch) = batches.next().await {
            match self.ask(&batch).await {
                Ok(heard) => heard.into_iter().for_each(&mut take),
                Err(error) => return error,
            }
        }
        Broken::Gap.into()
    }

    async fn ask(&self, messages: &[redis::Msg]) -> Result<Vec<Heard>, RunError> {
        let mut pipeline = redis::Pipeline::with_capacity(messages.len());
        let mut heard = Vec::with_capacity(messages.len());
        for message in messages {
            let json: String = message.get_payload()?;
            let whose: Whose<'_> = serde_json::from_str(&json).map_err(|_| Broken::Stranger)?;
            let task = whose.correlation_id.into_owned();
            pipeline.cmd("GET").arg(key(&task));
            heard.push(Heard { task, json, is_here: false });
        }
        let holders: Vec<Option<String>> = pipeline.query_async(&mut self.connection.clone()).await?;
        for (heard, holder) in heard.iter_mut().zip(holders) {
            heard.is_here = holder.as_deref() == Some(self.id.as_str());
        }
        Ok(heard)
    }
}

fn key(task: &str) -> String {
    // In this design a stream is called like its task.
    format!("{}{task}", keys::CONNECTIONS_PREFIX)
}

/// Pods with streams.
#[derive(Debug)]
pub struct Naive {
    pods: Vec<NaivePod>,
    streams: Vec<TaskId>,
    arrivals: Arc<Arrivals>,
    delivered: Arc<Arrivals>,
}

impl Naive {
    /// Starts `pods` pods that hold `streams` streams between them. An event has arrived when every pod knows
    /// whether it is its own.
    pub async fn start(
        url: &str,
        pods: usize,
        streams: usize,
        batch: usize,
        ears: &mut JoinSet<RunError>,
    ) -> Result<Self, RunError> {
        let arrivals = Arc::new(Arrivals::new(streams, pods));
        let delivered = Arc::new(Arrivals::new(streams, 1));
        let names: Result<Vec<_>, _> = (0..streams).map(|i| TaskId::parse(format!("bench-{i}.0"))).collect();
        let names = names?;
        let index: HashMap<_, _> = names.iter().enumerate().map(|(i, task)| (task.to_string(), i)).collect();
        let index = Arc::new(index);
        let mut all = Vec::with_capacity(pods);
        for number in 0..pods {
            let nonce = u16::try_from(number).unwrap_or_default().to_be_bytes();
            let pod =
                NaivePod::connect(url, PodId::new("bench", 9090, [0, 0, 0, nonce[0], nonce[1]])).await?;
            let ear = pod.subscribe().await?;
            let (index, arrivals, delivered) = (index.clone(), arrivals.clone(), delivered.clone());
            let ears_pod = pod.clone();
            ears.spawn(async move {
                let take = |heard: Heard| {
                    // Only tasks of this run are published here.
                    let Some(stream) = index.get(&heard.task) else { return };
                    if heard.is_here {
                        delivered.report(*stream);
                    }
                    arrivals.report(*stream);
                };
                ears_pod.listen(ear, batch, take).await
            });
            all.push(pod);
        }
        for (number, task) in names.iter().enumerate() {
            all[number % pods].register(task).await?;
        }
        Ok(Self { pods: all, streams: names, arrivals, delivered })
    }

    /// What every pod has asked for.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// What the pods found to be their own.
    pub fn delivered(&self) -> u64 {
        self.delivered.total()
    }

    /// The next event of a stream's task, from the pod that runs it.
    pub async fn emit(&self, stream: usize, step: u64) -> Result<(), RunError> {
        let pod = &self.pods[(stream + 1) % self.pods.len()];
        let json = event(&self.streams[stream], step, pod.id()).to_json();
        Ok(pod.publish(&json).await?)
    }
}
