//! Who takes part.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use fundbond_protocol::{ConnectionId, Epoch, ForeignEvent, LastEventId, PodId, Position, TaskId};
use fundbond_store::{
    Entry, EntryKind, Finished, Generation, Message, Node, Reading, Reasserted, Register, Registered,
    Snapshot, Store, Subscription,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::Instant;

use super::stage::{Bounds, Stage, now};
use crate::scene::{cluster, connection, pod_id, task};

/// What a client reads.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Connected(Position),
    Reset(Position, Vec<Snapshot>),
    Event(Epoch, Entry),
    /// All tasks are final: the stream ends.
    End,
    /// Somebody else has the stream.
    Replaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Registering,
    Live,
    CatchingUp,
    Finishing,
    Closed,
}

/// One stream as its pod sees it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pod: usize,
    pub(super) connection: ConnectionId,
    /// The client, until it leaves.
    pub(super) client: Option<usize>,
    pub(super) phase: Phase,
    /// When its client asked for it.
    pub(super) asked: Instant,
    pub(super) generation: Option<Generation>,
    /// What was written to the client; unknown before the answer to the registration.
    pub(super) position: Option<Position>,
    /// Events that came while the stream was not live.
    pub(super) waiting: Vec<(Epoch, Entry)>,
    /// With which generation the pod heard that it has the stream, while it missed nothing.
    pub(super) gained: Option<Generation>,
    /// Events of others that came before the answer to the registration, each with what had been heard until then.
    pub(super) waiting_foreign: Vec<(ForeignEvent, Option<Generation>)>,
    /// Which attached tasks have ended.
    pub(super) tasks: BTreeMap<TaskId, bool>,
    /// It wanted to end, and the store could not judge: it must ask again once it is known again.
    pub(super) unsure: bool,
    /// Counts readings: an answer to an older one is dropped.
    pub(super) readings: u32,
    /// Written, and not yet read.
    pub(super) out: VecDeque<Frame>,
}

/// An answer of the store on its way to a pod.
#[derive(Debug)]
pub(super) enum Reply {
    Registered(usize, Registered),
    Read(usize, u32, Reading),
    Finished(usize, Finished),
    Reasserted(PodId, Vec<usize>, Reasserted),
    Heartbeat(PodId, Node),
}

#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) id: PodId,
    pub(super) up: bool,
    pub(super) paused: bool,
    /// Its subscription is broken: what is sent is lost.
    pub(super) deaf: bool,
    pub(super) subscription: Option<Subscription>,
    pub(super) inbox: VecDeque<Message>,
    pub(super) replies: VecDeque<Reply>,
    pub(super) streams: Vec<usize>,
    /// The greatest generation it was told to have lost a connection to.
    pub(super) lost: HashMap<ConnectionId, Generation>,
}

impl Pod {
    pub(super) fn is_working(&self) -> bool {
        self.up && !self.paused
    }
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: ConnectionId,
    pub(super) wanted: Vec<TaskId>,
    pub(super) stream: Option<usize>,
    pub(super) last: LastEventId,
    pub(super) frames: Vec<Frame>,
    pub(super) opened: bool,
    /// It was told that there is nothing more: its stream ended, or it got 204.
    pub(super) done: bool,
}

/// A task and its runner.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) home: ConnectionId,
    pub(super) steps: usize,
    pub(super) next: usize,
    pub(super) ended: bool,
    /// The step that was logged as its last.
    pub(super) last_step: Option<String>,
}

/// How often what the test is for happened; a test in which nothing goes wrong proves nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(super) fn assert_everything_happened(&self) {
        for what in [
            "client cut",
            "crash",
            "done at once",
            "end",
            "event after the final",
            "event logged",
            "event repeated",
            "final repaired",
            "foreign event after the final",
            "foreign event left to others",
            "foreign event logged",
            "foreign event not taken",
            "foreign event published",
            "health ran out",
            "message dropped",
            "moved",
            "new nonce",
            "paged",
            "pod buried",
            "pod paused",
            "pod started again",
            "read on",
            "request kept back",
            "request overtaken",
            "reset at open",
            "reset while live",
            "restart without loss",
            "roll back",
            "stream opened",
            "stream replaced",
            "subscription broken",
            "total loss",
        ] {
            assert!(self.0.contains_key(what), "never happened: {what}");
        }
    }
}

pub(super) struct World {
    pub(super) random: StdRng,
    pub(super) stage: Stage,
    pub(super) store: Arc<dyn Store>,
    pub(super) pods: Vec<Pod>,
    pub(super) streams: Vec<Stream>,
    pub(super) clients: Vec<Client>,
    pub(super) tasks: Vec<Task>,
    /// Requests for streams that the network keeps back.
    pub(super) kept_back: Vec<(usize, Register)>,
    /// When the world began.
    pub(super) origin: Instant,
    /// What stands at each place of each history.
    pub(super) truth: BTreeMap<(String, String, u64), Entry>,
    /// How often each event of others was logged.
    pub(super) published: Vec<u32>,
    pub(super) losses: u32,
    pub(super) faults: bool,
    pub(super) nonces: u32,
    pub(super) seen: Seen,
    pub(super) violations: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, on: impl FnOnce(Bounds) -> Stage) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let stage = on(Bounds {
            log_floor: *[3, 12, 256].choose(&mut random).unwrap(),
            log_per_task: *[2, 8].choose(&mut random).unwrap(),
        });
        let mut world = Self {
            random,
            store: stage.store(),
            stage,
            pods: Vec::new(),
            streams: Vec::new(),
            clients: Vec::new(),
            tasks: Vec::new(),
            kept_back: Vec::new(),
            origin: Instant::now().checked_sub(Duration::from_mins(1)).expect("a minute ago there was time"),
            truth: BTreeMap::new(),
            published: Vec::new(),
            losses: 0,
            faults: true,
            nonces: 0,
            seen: Seen::default(),
            violations: Vec::new(),
        };
        for number in 0..world.random.random_range(2..=4) {
            world.start_pod(format!("p{number}"));
        }
        world.make_clients_and_tasks();
        world
    }

    fn make_clients_and_tasks(&mut self) {
        let random = &mut self.random;
        let names: Vec<_> = (0..random.random_range(1..=3)).map(|number| format!("c{number}")).collect();
        let mut wanted: Vec<Vec<TaskId>> = vec![Vec::new(); names.len()];
        for number in 0..random.random_range(1..=5) {
            // Now and then a task is called like a connection.
            let name = if random.random_bool(0.05) { names[0].clone() } else { format!("t{number}") };
            let client = random.random_range(0..names.len());
            // Its request names the client's connection, or none: then it has one of its own.
            let named = random.random_bool(0.6);
            if !named || random.random_bool(0.4) {
                wanted[client].push(task(&name));
            }
            if random.random_bool(0.15) {
                wanted[random.random_range(0..names.len())].push(task(&name));
            }
            let home = connection(if named { &names[client] } else { &name });
            let steps = *[1, 2, 3, 5, 14].choose(random).unwrap();
            self.tasks.push(Task { name, home, steps, next: 0, ended: false, last_step: None });
        }
        self.tasks.sort_by(|a, b| a.name.cmp(&b.name));
        self.tasks.dedup_by(|a, b| a.name == b.name);
        for (name, mut wanted) in names.iter().zip(wanted) {
            wanted.sort();
            wanted.dedup();
            self.clients.push(Client {
                connection: connection(name),
                wanted,
                stream: None,
                last: LastEventId::Start,
                frames: Vec::new(),
                opened: false,
                done: false,
            });
        }
    }

    pub(super) fn start_pod(&mut self, name: String) {
        let (id, subscription) = self.new_identity(&name);
        self.pods.push(Pod {
            name,
            id,
            up: true,
            paused: false,
            deaf: false,
            subscription: Some(subscription),
            inbox: VecDeque::new(),
            replies: VecDeque::new(),
            streams: Vec::new(),
            lost: HashMap::new(),
        });
    }

    /// A fresh nonce that has said that it lives and listens.
    pub(super) fn new_identity(&mut self, name: &str) -> (PodId, Subscription) {
        self.nonces += 1;
        let id = pod_id(&format!("{name}~{}", self.nonces));
        now(self.store.heartbeat(&id, &cluster("k")));
        let subscription = now(self.store.subscribe(&id));
        (id, subscription)
    }

    /// Remembers what stands at one place of one history, which must be the same whoever reads it.
    pub(super) fn observe(&mut self, connection: &ConnectionId, epoch: &Epoch, entry: &Entry) {
        let place = (connection.to_string(), epoch.to_string(), entry.offset);
        if entry.kind == EntryKind::Moved {
            self.seen.note("moved");
        }
        match self.truth.get(&place) {
            Some(known) if known != entry => {
                self.violations.push(format!("{place:?} was {known:?} and is {entry:?}"));
            }
            Some(_) => {}
            None => {
                self.truth.insert(place, entry.clone());
            }
        }
    }
}
