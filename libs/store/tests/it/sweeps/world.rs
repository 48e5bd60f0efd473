//! All of it together: what happens, and what must never.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fundbond_protocol::PodId;
use fundbond_store::{Closed, Generation, NODE_TIMEOUT, Store};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    ground::Ground,
    leader::{Deed, Leader},
    process::{Nonces, Process},
};
use crate::scene::{Loss, connection};

const DISPLAYS: [&str; 3] = ["pod-a", "pod-b", "pod-c"];
const STREAMS: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];

/// How often what happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    pub(super) fn assert_everything_happened(&self) {
        let all = [
            "started",
            "killed",
            "paused",
            "renamed",
            "taken over",
            "closed",
            "buried",
            "swept",
            "forgot",
            "late",
            "rolled back",
            "lost all",
            "left behind",
            "replaced",
        ];
        for what in all {
            assert!(
                self.0.get(what).is_some_and(|times| *times > 10),
                "{what} happened too seldom: {self:?}"
            );
        }
    }
}

pub(super) struct World {
    random: SmallRng,
    ground: Ground,
    store: Arc<dyn Store>,
    nonces: Nonces,
    processes: Vec<Process>,
    leaders: Vec<Leader>,
    token: u64,
    /// Who is dead for ever, as far as the store knows, and as far as it did when it was backed up.
    dead: BTreeSet<PodId>,
    dead_in_backup: BTreeSet<PodId>,
    /// The greatest generation of each stream, and which it was given to.
    newest: BTreeMap<&'static str, Generation>,
    pub(super) seen: Seen,
    pub(super) violations: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, ground: Ground) -> Self {
        let store = ground.store();
        Self {
            random: SmallRng::seed_from_u64(seed),
            ground,
            store,
            nonces: Nonces::default(),
            processes: Vec::new(),
            leaders: vec![Leader::new(1), Leader::new(2)],
            token: 2,
            dead: BTreeSet::new(),
            dead_in_backup: BTreeSet::new(),
            newest: BTreeMap::new(),
            seen: Seen::default(),
            violations: Vec::new(),
        }
    }

    pub(super) async fn play(&mut self) {
        for display in DISPLAYS {
            self.start(display).await;
        }
        for _ in 0..self.random.random_range(20..120) {
            self.happen().await;
        }
    }

    async fn start(&mut self, display: &str) {
        let process = Process::start(display, &mut self.nonces, &*self.store).await;
        self.processes.push(process);
        self.seen.count("started");
    }

    /// One random thing. The weights are those of a bad day.
    async fn happen(&mut self) {
        let process = self.random.random_range(0..self.processes.len());
        let stream = STREAMS[self.random.random_range(0..STREAMS.len())];
        match self.random.random_range(0..100) {
            0..18 => self.beat(process).await,
            18..34 => self.open(process, stream).await,
            34..38 => self.close(process, stream).await,
            38..42 => self.kill(process).await,
            42..48 => self.pause(process),
            48..54 => self.resume(process),
            54..64 => {
                let time = Duration::from_secs(self.random.random_range(1..40));
                self.ground.advance(time).await;
            }
            64..66 => self.elect(),
            66..68 => {
                self.ground.back_up().await;
                self.dead_in_backup.clone_from(&self.dead);
            }
            68..70 => self.restart().await,
            70..72 => self.leave_behind(stream).await,
            _ => self.lead().await,
        }
    }

    async fn beat(&mut self, index: usize) {
        if !self.processes[index].acts() {
            return;
        }
        if self.processes[index].beat(&mut self.nonces, &*self.store).await {
            self.seen.count("renamed");
        }
        // Not always: the process may be stopped in between.
        if self.random.random_bool(0.8) {
            self.reassert(index).await;
        }
    }

    async fn reassert(&mut self, index: usize) {
        let replaced = self.processes[index].reassert(&*self.store).await;
        for (stream, generation) in replaced {
            self.seen.count("replaced");
            if self.newest.get(&*stream).is_some_and(|newest| *newest <= generation) {
                let id = &self.processes[index].id;
                self.violations.push(format!("{id} was told that somebody has {stream}, and nobody does"));
            }
        }
    }

    /// A client opens a stream; whoever served it before has no client any more, and may hear of it.
    async fn open(&mut self, index: usize, stream: &'static str) {
        if !self.processes[index].acts() {
            return;
        }
        let opened = self.processes[index].open(stream, &mut self.nonces, &*self.store).await;
        let Some(generation) = opened else { return };
        self.newest.insert(stream, generation);
        for other in 0..self.processes.len() {
            if other == index || !self.processes[other].streams.contains_key(stream) {
                continue;
            }
            self.seen.count("taken over");
            // Else the message is lost, and it finds out when it re-asserts.
            if self.processes[other].acts() && self.random.random_bool(0.7) {
                self.processes[other].streams.remove(stream);
            }
        }
    }

    async fn close(&mut self, index: usize, stream: &'static str) {
        if self.processes[index].acts()
            && self.processes[index].close(stream, &*self.store).await == Some(Closed::Deleted)
        {
            self.seen.count("closed");
        }
    }

    /// Kills a process; another one starts at once in its place, under its name or not.
    async fn kill(&mut self, index: usize) {
        let process = &mut self.processes[index];
        if !process.running {
            return;
        }
        process.running = false;
        process.streams.clear();
        let display = process.display.clone();
        self.seen.count("killed");
        self.start(&display).await;
    }

    fn pause(&mut self, index: usize) {
        if self.processes[index].acts() {
            self.processes[index].paused = true;
            self.seen.count("paused");
        }
    }

    fn resume(&mut self, index: usize) {
        self.processes[index].paused = false;
    }

    /// Another leadership begins; who led before does not know yet.
    fn elect(&mut self) {
        self.token += 1;
        let index = self.random.random_range(0..self.leaders.len());
        self.leaders[index] = Leader::new(self.token);
    }

    async fn restart(&mut self) {
        let (loss, what) = match self.random.random_range(0..4) {
            0 => (Loss::Everything, "lost all"),
            1 => (Loss::Nothing, "restarted"),
            _ => (Loss::SinceBackup, "rolled back"),
        };
        if !self.ground.restart(loss).await {
            return;
        }
        self.seen.count(what);
        match loss {
            Loss::Everything => self.dead.clear(),
            Loss::Nothing => {}
            Loss::SinceBackup => self.dead.clone_from(&self.dead_in_backup),
        }
    }

    /// A registration that its owner's list does not have: its key expired alone and somebody else made it anew, or it was
    /// written by hand.
    async fn leave_behind(&mut self, stream: &str) {
        let owner = self.nonces.next("pod-z");
        if self.store.holder(&connection(stream)).await.unwrap().is_none() {
            self.ground.plant(stream, &owner).await;
            self.seen.count("left behind");
        }
    }

    /// One of the leaders does one thing. What is gone afterwards was nobody's who lives.
    async fn lead(&mut self) {
        let index = self.random.random_range(0..self.leaders.len());
        let before = self.registrations().await;
        let deed = self.leaders[index].act(&mut self.random, &*self.store).await;
        match deed {
            Deed::Buried(pods) => {
                if !pods.is_empty() {
                    self.seen.count("buried");
                }
                for pod in &pods {
                    let spoke = self.processes.iter().any(|process| process.acts() && process.id == *pod);
                    // A pod that acts may have been silent for too long; then it is told so and goes on.
                    if spoke {
                        self.seen.count("buried though it runs");
                    }
                }
                self.dead.extend(pods);
            }
            Deed::Swept => self.seen.count("swept"),
            Deed::Forgot => self.seen.count("forgot"),
            Deed::Late => self.seen.count("late"),
            Deed::Looked | Deed::Nothing => {}
        }
        let after = self.registrations().await;
        for (stream, owner) in before {
            let gone = after.get(stream) != Some(&owner);
            let lives = self.processes.iter().any(|process| process.running && process.id == owner);
            if gone && lives && !self.dead.contains(&owner) {
                self.violations.push(format!("{stream} was deleted, and {owner} lives and holds it"));
            }
        }
    }

    async fn registrations(&self) -> BTreeMap<&'static str, PodId> {
        let mut all = BTreeMap::new();
        for stream in STREAMS {
            if let Some((pod, _)) = self.store.holder(&connection(stream)).await.unwrap() {
                all.insert(stream, pod);
            }
        }
        all
    }

    /// The faults stop: everybody wakes and says what it has, and a leader does its work to the end.
    pub(super) async fn settle(&mut self) {
        for index in 0..self.processes.len() {
            self.processes[index].paused = false;
        }
        // Two rounds: the first may take a name, the second hears who has what. Who died is silent for long enough.
        for round in 0..4 {
            for index in 0..self.processes.len() {
                if self.processes[index].acts() {
                    self.processes[index].beat(&mut self.nonces, &*self.store).await;
                    self.reassert(index).await;
                }
            }
            if round < 3 {
                self.ground.advance(NODE_TIMEOUT * 2 / 5).await;
            }
        }
        self.token += 1;
        Leader::new(self.token).finish(&*self.store).await;
        self.check().await;
    }

    async fn check(&mut self) {
        let running: BTreeMap<&PodId, &Process> = self
            .processes
            .iter()
            .filter(|process| process.running)
            .map(|process| (&process.id, process))
            .collect();
        let registrations = self.registrations().await;
        let mut wrong = Vec::new();
        for (id, process) in &running {
            for stream in process.streams.keys() {
                if registrations.get(stream.as_str()) != Some(*id) {
                    wrong.push(format!(
                        "{id} serves {stream}, and the store has {:?}",
                        registrations.get(&**stream)
                    ));
                }
            }
        }
        for (stream, owner) in &registrations {
            let served = running.get(owner).is_some_and(|process| process.streams.contains_key(*stream));
            // What a roll-back brings back in the name of a living pod is no dead pod's to sweep: it expires, or somebody
            // takes the stream.
            let brought_back = running.contains_key(owner) && self.seen.0.contains_key("rolled back");
            if !served && !brought_back {
                wrong.push(format!("{stream} is {owner}'s in the end, who does not serve it"));
            }
        }
        let nodes = self.store.nodes(&crate::scene::cluster("k")).await.unwrap().nodes;
        for node in nodes.iter().filter(|node| !running.contains_key(&node.pod)) {
            wrong.push(format!("{} is dead and not forgotten", node.pod));
        }
        self.violations.extend(wrong);
    }
}
