//! The product's way of an event: its own store, as pods use it. One `RedisStore` a pod, with its connection, its
//! batches and its subscription; streams registered and tasks accepted by the store's own steps.

use std::{collections::HashMap, sync::Arc};

use fundbond_protocol::{ClusterId, ConnectionId, IdError, LastEventId, PodId, TaskId, TraceId};
use fundbond_store::{
    Attempt, Bus as _, Claims, Emit, Emitted, Message, Node, Queue as _, ReadLimit, RedisStore, Register,
    Registered, Registry as _, Submission, Submitted, Subscription, redis::Config,
};
use jiff::Timestamp;
use tokio::{task::JoinSet, time::Instant};

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
    name: Named,
    attempt: Attempt,
}

#[derive(Debug)]
struct Named {
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
        let mut streams = Vec::with_capacity(streams);
        for (number, name) in names.into_iter().enumerate() {
            let attempt = prepare(&name, &all[number % pods], &all[(number + 1) % pods], &cluster).await?;
            streams.push(Stream { name, attempt });
        }
        Ok(Self { pods: all, streams, arrivals })
    }

    /// What has arrived.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The next event of a stream's task, from the pod that runs it.
    pub async fn emit(&self, stream: usize, step: u64) -> Result<(), RunError> {
        let Pod { id, store } = &self.pods[(stream + 1) % self.pods.len()];
        let Stream { name: Named { connection, task }, attempt } = &self.streams[stream];
        match store.emit(&Emit::of(&event(task, step, id), connection).by(*attempt)).await? {
            Emitted::Logged => Ok(()),
            Emitted::Duplicate | Emitted::AfterFinal | Emitted::Superseded => {
                Err(Broken::Refused("an event").into())
            }
        }
    }
}

fn stream(number: usize) -> Result<Named, IdError> {
    let connection = ConnectionId::parse(format!("bench-{number}"))?;
    Ok(Named { connection, task: TaskId::parse(format!("bench-{number}.0"))? })
}

async fn prepare(
    stream: &Named,
    holder: &Pod,
    runner: &Pod,
    cluster: &ClusterId,
) -> Result<Attempt, RunError> {
    let asked = Register {
        connection: stream.connection.clone(),
        pod: holder.id.clone(),
        cluster: cluster.clone(),
        last: LastEventId::Start,
        tasks: vec![stream.task.clone()],
        limit: ReadLimit::default(),
        asked: Instant::now(),
    };
    let Registered::Open(_) = holder.store.register(&asked).await? else {
        return Err(Broken::Refused("a stream").into());
    };
    begin(&runner.store, &runner.id, cluster, &stream.task, &stream.connection).await
}

/// Accepts a task on a pod and claims it there, as a runner does: what its events carry from then on.
pub async fn begin(
    store: &RedisStore,
    pod: &PodId,
    cluster: &ClusterId,
    task: &TaskId,
    connection: &ConnectionId,
) -> Result<Attempt, RunError> {
    let submission = Submission {
        task: task.clone(),
        connection: connection.clone(),
        cluster: cluster.clone(),
        pod: pod.clone(),
        kind: "steps".into(),
        fingerprint: [0; 32],
        accepted_at: Timestamp::now(),
        trace: TraceId::of_random(1),
        body: r#"{"count":1}"#.into(),
    };
    let Submitted::New { stream_open: true, .. } = store.submit(&submission, usize::MAX).await? else {
        return Err(Broken::Refused("a task").into());
    };
    match store.claim(pod, cluster, 1).await? {
        Claims::Tasks(claimed) if claimed.len() == 1 => Ok(claimed[0].attempt),
        _ => Err(Broken::Refused("a claim").into()),
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
