//! The product's way of an event: its own store, as pods use it. One `RedisStore` a pod, with its connection, its
//! batches and its subscription; streams registered and tasks accepted by the store's own steps.

use std::{collections::HashMap, sync::Arc};

use fundbond_protocol::{ClusterId, ConnectionId, IdError, LastEventId, PodId, TaskId};
use fundbond_store::{
    Bus as _, Emit, Emitted, Message, Node, ReadLimit, RedisStore, Register, Registered, Registry as _,
    Submission, Submitted, Subscription, Tasks as _, redis::Config,
};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{arrivals::Arrivals, designs::Broken, event};
use crate::error::RunError;

/// Pods with streams.
#[derive(Debug)]
pub struct Ours {
    pods: Vec<Pod>,
    streams: Vec<Stream>,
    arrivals: Arc<Arrivals>,
}

#[derive(Debug)]
struct Pod {
    id: PodId,
    store: RedisStore,
}

#[derive(Debug)]
struct Stream {
    connection: ConnectionId,
    task: TaskId,
}

impl Ours {
    /// Starts `pods` pods that hold `streams` streams between them, a task on each, accepted by the pod after
    /// the one that holds the stream. `ears` end where a message is not what it should be.
    pub async fn start(
        config: &Config,
        pods: usize,
        streams: usize,
        ears: &mut JoinSet<RunError>,
    ) -> Result<Self, RunError> {
        let cluster = ClusterId::parse("bench")?;
        let arrivals = Arc::new(Arrivals::new(streams, 1));
        let names = (0..streams).map(stream).collect::<Result<Vec<_>, _>>()?;
        let index: HashMap<_, _> = names.iter().enumerate().map(|(i, s)| (s.connection.clone(), i)).collect();
        let index = Arc::new(index);
        let mut all = Vec::with_capacity(pods);
        for number in 0..pods {
            let nonce = u16::try_from(number).unwrap_or_default().to_be_bytes();
            let id = PodId::new("bench", 9090, [0, 0, 0, nonce[0], nonce[1]]);
            let store = RedisStore::new(config)?;
            if store.heartbeat(&id, &cluster).await? != Node::Alive {
                return Err(Broken::Refused("a heartbeat").into());
            }
            let subscription = store.subscribe(&id).await?;
            ears.spawn(listen(subscription, index.clone(), arrivals.clone()));
            all.push(Pod { id, store });
        }
        for (number, stream) in names.iter().enumerate() {
            prepare(stream, &all[number % pods], &all[(number + 1) % pods], &cluster).await?;
        }
        Ok(Self { pods: all, streams: names, arrivals })
    }

    /// What has arrived.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The next event of a stream's task, from the pod that runs it.
    pub async fn emit(&self, stream: usize, step: u64) -> Result<(), RunError> {
        let Pod { id, store } = &self.pods[(stream + 1) % self.pods.len()];
        let Stream { connection, task } = &self.streams[stream];
        match store.emit(&Emit::of(&event(task, step, id), connection)).await? {
            Emitted::Logged => Ok(()),
            Emitted::Duplicate | Emitted::AfterFinal => Err(Broken::Refused("an event").into()),
        }
    }
}

fn stream(number: usize) -> Result<Stream, IdError> {
    let connection = ConnectionId::parse(format!("bench-{number}"))?;
    Ok(Stream { connection, task: TaskId::parse(format!("bench-{number}.0"))? })
}

async fn prepare(stream: &Stream, holder: &Pod, runner: &Pod, cluster: &ClusterId) -> Result<(), RunError> {
    let asked = Register {
        connection: stream.connection.clone(),
        pod: holder.id.clone(),
        cluster: cluster.clone(),
        last: LastEventId::Start,
        tasks: vec![stream.task.clone()],
        limit: ReadLimit::default(),
    };
    let Registered::Open(_) = holder.store.register(&asked).await? else {
        return Err(Broken::Refused("a stream").into());
    };
    let submission = submission(&stream.task, &stream.connection, cluster);
    match runner.store.submit(&submission).await? {
        Submitted::New { stream_open: true, .. } => Ok(()),
        _ => Err(Broken::Refused("a task").into()),
    }
}

/// What a pod writes down of a task that it accepts.
pub fn submission(task: &TaskId, connection: &ConnectionId, cluster: &ClusterId) -> Submission {
    Submission {
        task: task.clone(),
        connection: connection.clone(),
        cluster: cluster.clone(),
        kind: "steps".into(),
        fingerprint: [0; 32],
        accepted_at: Timestamp::now(),
        acceptance: "bench".into(),
    }
}

/// Takes what a pod is told, and checks that no event is lost, repeated or out of order.
async fn listen(
    mut subscription: Subscription,
    index: Arc<HashMap<ConnectionId, usize>>,
    arrivals: Arc<Arrivals>,
) -> RunError {
    let mut ends = HashMap::new();
    let mut batch = Vec::new();
    while subscription.recv_many(&mut batch, 512).await > 0 {
        for message in batch.drain(..) {
            match message {
                Message::Event { connection, entry, .. } => {
                    let Some(stream) = index.get(&connection) else { return Broken::Stranger.into() };
                    let end = ends.entry(*stream).or_insert(0);
                    *end += 1;
                    if entry.offset != *end {
                        return Broken::Order { due: *end, came: entry.offset }.into();
                    }
                    arrivals.report(*stream);
                }
                Message::Gap => return Broken::Gap.into(),
                _ => {}
            }
        }
    }
    Broken::Gap.into()
}
