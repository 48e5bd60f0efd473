//! Accepted tasks under random interleavings: pods that claim, run, give back, pause and die, answers that are lost,
//! tasks that are cancelled, a leader that hands over, a store that forgets. Whatever happens, each accepted task says
//! each step once and in order, and ends once.

use std::collections::{BTreeMap, BTreeSet};

use fundbond_lease::Token;
use fundbond_protocol::{PodId, TaskId};
use fundbond_store::{
    Attempt, Claims, Emit, Emitted, HandedOver, Held, NODE_TIMEOUT, Node, Order, Ordered, Restored, Standing,
    Submitted,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::stage::{Bounds, Stage, now};
use crate::scene::{Loss, cluster, event, pod_id, submission, task};

/// Steps of a task before its final event.
const STEPS: usize = 3;

const TASKS: usize = 6;
const PODS: usize = 3;
const ACTIONS: usize = 160;

/// A run as its pod knows it.
#[derive(Clone, Copy, Debug)]
struct Run {
    attempt: Attempt,
    next: usize,
}

#[derive(Debug)]
struct Pod {
    name: usize,
    starts: usize,
    id: PodId,
    paused: bool,
    runs: BTreeMap<TaskId, Run>,
}

/// What the store logged of one task: in which life, which step; `STEPS` is the final event.
#[derive(Debug, Default)]
struct Story {
    accepted: bool,
    said: Vec<(usize, usize)>,
    ended: bool,
    /// How it ended, for who has to say it again.
    end: Option<Emit>,
}

pub(super) struct World {
    stage: Stage,
    random: StdRng,
    pods: Vec<Pod>,
    /// Ids of pods that died and have not been swept.
    dead: BTreeSet<PodId>,
    stories: BTreeMap<TaskId, Story>,
    life: usize,
    token: u64,
    /// What happened, to be sure that it does.
    pub(super) seen: BTreeMap<&'static str, u64>,
}

fn id_of(name: usize, starts: usize) -> PodId {
    pod_id(&format!("pod-{name}~{starts}"))
}

impl World {
    pub(super) fn new(seed: u64, on: &mut impl FnMut(Bounds) -> Stage) -> Self {
        let pods = (0..PODS).map(|name| Pod {
            name,
            starts: 0,
            id: id_of(name, 0),
            paused: false,
            runs: BTreeMap::new(),
        });
        let mut world = Self {
            stage: on(Bounds { log_floor: 64, log_per_task: 8 }),
            random: StdRng::seed_from_u64(seed),
            pods: pods.collect(),
            dead: BTreeSet::new(),
            stories: (0..TASKS).map(|n| (task(&format!("t{n}")), Story::default())).collect(),
            life: 0,
            token: 1,
            seen: BTreeMap::new(),
        };
        for pod in 0..PODS {
            world.heartbeat(pod);
        }
        world
    }

    pub(super) fn play(&mut self) {
        for _ in 0..ACTIONS {
            self.act();
            self.check_places();
        }
        self.settle();
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn some_pod(&mut self) -> Option<usize> {
        let well: Vec<usize> = (0..PODS).filter(|pod| !self.pods[*pod].paused).collect();
        well.choose(&mut self.random).copied()
    }

    fn some_task(&mut self) -> TaskId {
        task(&format!("t{}", self.random.random_range(0..TASKS)))
    }

    fn act(&mut self) {
        let Some(pod) = self.some_pod() else { return self.resume(0) };
        match self.random.random_range(0..100) {
            0..14 => self.submit(),
            14..32 => self.claim(pod),
            32..70 => self.step(pod),
            70..76 => self.hold(pod),
            76..80 => self.give_back(pod),
            80..83 => self.cancel(),
            83..87 => self.pods[pod].paused = true,
            87..91 => {
                let one = self.random.random_range(0..PODS);
                self.resume(one);
            }
            91..94 => self.die(pod),
            94..98 => self.sweep(),
            _ => self.lose_everything(),
        }
    }

    fn submit(&mut self) {
        let id = self.some_task();
        let answer = now(self.stage.store().submit(&submission(id.as_str(), "c"), 100));
        assert!(matches!(answer, Submitted::New { .. } | Submitted::Repeated { .. }), "{answer:?}");
        self.story(&id).accepted = true;
    }

    fn story(&mut self, id: &TaskId) -> &mut Story {
        self.stories.get_mut(id).expect("every task has a story")
    }

    fn claim(&mut self, pod: usize) {
        let most = self.random.random_range(1..3);
        let answer = now(self.stage.store().claim(&self.pods[pod].id, &cluster("k"), most));
        let Claims::Tasks(tasks) = answer else { return self.heartbeat(pod) };
        if self.random.random_bool(0.1) {
            // The answer is lost; the next word on what runs here tells the store.
            self.note("claim unheard");
            return;
        }
        for claimed in tasks {
            self.note(if claimed.deaths > 0 { "claimed after a death" } else { "claimed" });
            let run = Run { attempt: claimed.attempt, next: 0 };
            self.pods[pod].runs.insert(claimed.submission.task, run);
        }
    }

    /// One step of one run.
    fn step(&mut self, pod: usize) {
        let running: Vec<_> = self.pods[pod].runs.keys().cloned().collect();
        let Some(id) = running.choose(&mut self.random).cloned() else { return };
        let run = self.pods[pod].runs[&id];
        let name = if run.next == STEPS { "end".to_owned() } else { run.next.to_string() };
        let emit = event(id.as_str(), &name, "c").by(run.attempt);
        let over = match now(self.stage.store().emit(&emit)) {
            Emitted::Logged => {
                self.logged(&id, run.next, emit);
                run.next == STEPS
            }
            Emitted::Duplicate => {
                self.note("said before");
                run.next == STEPS
            }
            Emitted::AfterFinal => true,
            Emitted::Superseded => {
                self.note("superseded");
                true
            }
        };
        if over {
            self.pods[pod].runs.remove(&id);
        } else if let Some(run) = self.pods[pod].runs.get_mut(&id) {
            run.next += 1;
        }
    }

    fn logged(&mut self, id: &TaskId, step: usize, emit: Emit) {
        let life = self.life;
        let story = self.story(id);
        let in_life = |at: &&(usize, usize)| at.0 == life;
        assert!(!story.said.contains(&(life, step)), "{id} said {step} twice: {story:?}");
        if life == 0 {
            let last = story.said.iter().filter(in_life).map(|at| at.1).max();
            let expected = last.map_or(0, |last| last + 1);
            assert!(step == STEPS || step == expected, "{id} said {step} after {last:?}");
        }
        assert!(
            !story.said.contains(&(life, STEPS)) && (step != STEPS || life > 0 || !story.ended),
            "{id} spoke after its end"
        );
        story.said.push((life, step));
        if step == STEPS {
            story.ended = true;
            story.end = Some(emit);
        }
    }

    fn hold(&mut self, pod: usize) {
        let it = &self.pods[pod];
        let runs: Vec<_> = it.runs.iter().map(|(id, run)| (id.clone(), run.attempt)).collect();
        match now(self.stage.store().hold(&it.id, &cluster("k"), &runs)) {
            Held::Claims { lost, forgotten } => {
                assert!(forgotten.is_empty(), "what was lost was brought back at once");
                for id in lost {
                    self.note("lost a run");
                    self.pods[pod].runs.remove(&id);
                }
            }
            Held::Buried | Held::NoHealth => self.heartbeat(pod),
        }
    }

    /// Says that a pod lives; one that was buried goes on under another name, and says what it runs.
    fn heartbeat(&mut self, pod: usize) {
        let k = cluster("k");
        if now(self.stage.store().heartbeat(&self.pods[pod].id, &k)) == Node::Buried {
            self.note("renewed");
            let it = &mut self.pods[pod];
            it.starts += 1;
            it.id = id_of(it.name, it.starts);
            assert_eq!(now(self.stage.store().heartbeat(&self.pods[pod].id, &k)), Node::Alive);
            self.hold(pod);
        }
    }

    fn give_back(&mut self, pod: usize) {
        let it = &mut self.pods[pod];
        let runs: Vec<_> =
            std::mem::take(&mut it.runs).into_iter().map(|(id, run)| (id, run.attempt)).collect();
        now(self.stage.store().give_back(&self.pods[pod].id, &runs));
    }

    fn cancel(&mut self) {
        let id = self.some_task();
        if !self.story(&id).accepted || self.story(&id).ended {
            return;
        }
        let mut emit = event(id.as_str(), "cancelled", "c");
        emit.is_final = true;
        if now(self.stage.store().end(&emit)) == Emitted::Logged {
            self.note("cancelled");
            self.logged(&id, STEPS, emit);
        }
    }

    fn resume(&mut self, pod: usize) {
        if std::mem::take(&mut self.pods[pod].paused) {
            self.note("resumed");
            // Or goes on with what it had in hand before it says that it lives.
            if self.random.random_bool(0.5) {
                self.heartbeat(pod);
            }
        }
    }

    /// The process is gone, and another starts in its place.
    fn die(&mut self, pod: usize) {
        self.note("died");
        let it = &mut self.pods[pod];
        self.dead.insert(it.id.clone());
        it.runs.clear();
        it.starts += 1;
        it.id = id_of(it.name, it.starts);
        self.heartbeat(pod);
    }

    /// Time passes, those who live say so, and a leader does what is to be done.
    fn sweep(&mut self) {
        self.stage.advance(NODE_TIMEOUT);
        for pod in 0..PODS {
            if !self.pods[pod].paused {
                self.heartbeat(pod);
            }
        }
        self.token += u64::from(self.random.random_bool(0.3));
        let order = Order { cluster: cluster("k"), token: Token(self.token) };
        let silent = self.pods.iter().filter(|pod| pod.paused).map(|pod| pod.id.clone());
        let silent: Vec<_> = self.dead.iter().cloned().chain(silent).collect();
        let store = self.stage.store();
        for pod in silent {
            assert!(now(store.bury(&pod)), "{pod} says nothing");
            match now(store.hand_over(&order, &pod)) {
                Ordered::Done(HandedOver::Done { tasks, left }) => {
                    assert_eq!(left, 0);
                    *self.seen.entry("handed over").or_default() += tasks as u64;
                }
                other => panic!("{other:?}"),
            }
            self.dead.remove(&pod);
        }
    }

    /// The store forgets, and those who live tell it again. A task whose pod died at the same time is another promise.
    fn lose_everything(&mut self) {
        if !self.dead.is_empty() || self.pods.iter().any(|pod| pod.paused) || self.unheard() {
            return;
        }
        self.note("lost everything");
        self.stage.restart(Loss::Everything, 0);
        self.life += 1;
        let store = self.stage.store();
        for pod in 0..PODS {
            self.heartbeat(pod);
        }
        let mut running = BTreeSet::new();
        for pod in &mut self.pods {
            pod.runs.retain(|id, run| {
                let standing = Standing::Running(pod.id.clone(), run.attempt);
                let restored = now(store.restore(&submission(id.as_str(), "c"), &standing));
                // Lost where another pod has a later run, which this one has not heard of.
                assert!(restored == Restored::Claimed || !running.insert(id.clone()), "{id} {restored:?}");
                running.insert(id.clone());
                restored == Restored::Claimed
            });
        }
        let life = self.life;
        for (id, story) in &mut self.stories {
            let submission = submission(id.as_str(), "c");
            if let Some(end) = &story.end {
                let attempt = end.attempt.unwrap_or(Attempt(1));
                let standing = Standing::Running(self.pods[0].id.clone(), attempt);
                now(store.restore(&submission, &standing));
                assert_eq!(now(store.emit(end)), Emitted::Logged);
                story.said.push((life, STEPS));
            } else if story.accepted && !running.contains(id) {
                assert_eq!(now(store.restore(&submission, &Standing::Waiting)), Restored::Waiting);
            }
        }
        // A run whose task was cancelled, and has not heard of it, stops.
        for pod in &mut self.pods {
            pod.runs.retain(|id, _| self.stories[id].end.is_none());
        }
    }

    /// Whether a claim is in the store that no pod knows of.
    fn unheard(&self) -> bool {
        let known: usize = self.pods.iter().map(|pod| pod.runs.len()).sum();
        now(self.stage.store().backlog(&cluster("k"))).claimed > known
    }

    /// An accepted task that has not ended waits or is claimed, and not both.
    fn check_places(&self) {
        let backlog = now(self.stage.store().backlog(&cluster("k")));
        let pending = self.stories.values().filter(|story| story.accepted && !story.ended).count();
        assert_eq!(backlog.waiting + backlog.claimed, pending, "{backlog:?} {:?}", self.stories);
    }

    /// From here on nothing goes wrong.
    fn settle(&mut self) {
        for pod in 0..PODS {
            self.resume(pod);
        }
        self.sweep();
        for pod in 0..PODS {
            self.hold(pod);
        }
        for _ in 0..TASKS * (STEPS + 2) {
            for pod in 0..PODS {
                self.claim(pod);
                self.hold(pod);
                for _ in 0..4 {
                    self.step(pod);
                }
            }
        }
        for (id, story) in &self.stories {
            assert!(!story.accepted || story.ended, "{id} never ended: {story:?}");
        }
        self.check_places();
    }
}
