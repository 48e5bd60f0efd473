//! What happens in a world, and how it comes to rest.

use std::time::Duration;

use fundbond_store::{Emitted, Message, NODE_TIMEOUT};
use rand::{RngExt, seq::IndexedRandom};

use super::{
    pod::id_of,
    stage::{Stage, now},
    world::{Frame, Phase, Stream, Task, World},
};
use crate::scene::{Loss, event, submission};

/// Rounds within which everything must have settled. Pods re-assert in every second one.
const ROUNDS: u32 = 40;

/// Rounds in which nothing may happen any more before the rest is called rest: two re-assertions.
const QUIET: u32 = 5;

/// Between two requests for streams: more than the clocks of pod and server are uncertain of each other in a minute.
const APART: Duration = Duration::from_millis(100);

impl World {
    pub(super) fn play(&mut self) {
        for _ in 0..self.random.random_range(20..160) {
            self.act();
            self.deliver();
        }
    }

    /// One random thing. The weights are those of a bad day: much traffic, many faults.
    fn act(&mut self) {
        let client = self.random.random_range(0..self.clients.len());
        let task = self.random.random_range(0..self.tasks.len());
        let pod = self.random.random_range(0..self.pods.len());
        match self.random.random_range(0..1000) {
            0..190 => self.emit(task),
            190..220 => self.publish(),
            220..340 => {
                let frames = self.random.random_range(1..=4);
                self.read(client, frames);
            }
            340..460 => self.open(client),
            460..760 if self.pods[pod].is_working() => {
                self.work(pod);
            }
            760..810 => self.cut(client),
            810..850 if self.pods[pod].is_working() => self.notice_departures(pod, 0.5),
            850..880 if self.pods[pod].is_working() => self.heartbeat(pod),
            880..905 => self.submit(task),
            905..920 => self.bury_one(),
            920..930 => self.crash(pod),
            930..945 if !self.pods[pod].up => self.start_again(pod),
            930..945 => self.toggle_pause(pod),
            945..955 => self.stage.advance(Duration::from_secs(7)),
            955..962 => {
                self.stage.advance(NODE_TIMEOUT);
                self.seen.note("health ran out");
            }
            962..972 => self.toggle_deafness(pod),
            972..982 => self.stage.back_up(),
            992..995 => self.restart(Loss::Everything, "total loss"),
            982..988 => self.restart(Loss::SinceBackup, "roll back"),
            988..992 => self.restart(Loss::Nothing, "restart without loss"),
            995..1000 => self.let_one_through(),
            _ => {}
        }
    }

    /// The faults stop: tasks end, pods recover, clients come back until there is nothing left to say.
    pub(super) fn settle(&mut self) {
        self.faults = false;
        while !self.kept_back.is_empty() {
            self.let_one_through();
        }
        for pod in 0..self.pods.len() {
            self.pods[pod].paused = false;
            if self.pods[pod].deaf {
                self.toggle_deafness(pod);
            }
        }
        let mut quiet = 0;
        for round in 0..ROUNDS {
            let before = (self.truth.len(), self.frames());
            for task in 0..self.tasks.len() {
                while !self.tasks[task].ended {
                    self.emit(task);
                }
            }
            for pod in 0..self.pods.len() {
                if self.pods[pod].up && round % 2 == 0 {
                    self.heartbeat(pod);
                }
            }
            self.work_everything_off();
            for pod in 0..self.pods.len() {
                if self.pods[pod].up && round % 3 == 2 {
                    self.notice_departures(pod, 0.5);
                }
            }
            for client in 0..self.clients.len() {
                self.read(client, usize::MAX);
                if round > 1 {
                    self.open_if_told(client);
                }
            }
            quiet = if before == (self.truth.len(), self.frames()) { quiet + 1 } else { 0 };
            if quiet > QUIET {
                return;
            }
        }
        self.violations.push(format!("did not come to rest: {:?} {:?}", self.clients, self.streams));
    }

    fn frames(&self) -> usize {
        self.clients.iter().map(|client| client.frames.len() + usize::from(client.stream.is_some())).sum()
    }

    /// A client that got its tasks' end comes back only if `fund-api` told it that its stream is closed:
    /// that is, if its log went on.
    fn open_if_told(&mut self, client: usize) {
        let it = &self.clients[client];
        if it.done && self.losses == 0 {
            let position = super::check::reached(&it.frames);
            self.clients[client].done = position.is_none_or(|here| {
                let reading =
                    now(self.store.catch_up(&it.connection, &here, fundbond_store::ReadLimit::default()));
                reading.epoch == here.epoch && reading.end == here.offset
            });
        }
        self.open(client);
    }

    /// Brings what the store published into the inboxes.
    fn deliver(&mut self) {
        let fence = self.stage.fence();
        for pod in 0..self.pods.len() {
            self.deliver_to(pod, fence.as_ref());
        }
    }

    /// Brings what the store published into a pod's inbox, or loses it.
    fn deliver_to(&mut self, pod: usize, fence: Option<&fundbond_protocol::TaskId>) {
        let Some(subscription) = &mut self.pods[pod].subscription else { return };
        let batch = Stage::drain(subscription, fence);
        for message in batch {
            if let Message::Event { connection, epoch, entry } = &message {
                self.observe(connection, epoch, entry);
            }
            // A gap is what the pod finds out by itself, so it cannot be lost.
            let lost = message != Message::Gap && self.faults && self.random.random_bool(0.03);
            if lost {
                self.seen.note("message dropped");
            }
            if !lost && !self.pods[pod].deaf {
                self.pods[pod].inbox.push_back(message);
            }
        }
    }

    /// A pod takes one message or one answer.
    fn work(&mut self, pod: usize) -> bool {
        let it = &mut self.pods[pod];
        let message_first = it.replies.is_empty() || self.random.random_bool(0.5);
        if message_first && let Some(message) = it.inbox.pop_front() {
            self.on_message(pod, message);
        } else if let Some(reply) = self.pods[pod].replies.pop_front() {
            self.on_reply(pod, reply);
        } else {
            return false;
        }
        true
    }

    fn work_everything_off(&mut self) {
        let mut left = 4_000;
        loop {
            let mut idle = true;
            self.deliver();
            for pod in 0..self.pods.len() {
                idle &= !(self.pods[pod].up && self.work(pod));
            }
            left -= 1;
            if idle {
                return;
            }
            if left == 0 {
                self.violations.push("pods keep each other busy for ever".into());
                return;
            }
        }
    }

    fn open(&mut self, client: usize) {
        if self.clients[client].stream.is_some() || self.clients[client].done {
            return;
        }
        let working: Vec<_> = (0..self.pods.len()).filter(|pod| self.pods[*pod].is_working()).collect();
        let Some(&pod) = working.choose(&mut self.random) else { return };
        let stream = self.streams.len();
        self.streams.push(Stream {
            pod,
            connection: self.clients[client].connection.clone(),
            client: Some(client),
            phase: Phase::Registering,
            asked: self.origin + APART * u32::try_from(stream).unwrap(),
            generation: None,
            position: None,
            waiting: Vec::new(),
            gained: None,
            waiting_foreign: Vec::new(),
            tasks: std::collections::BTreeMap::new(),
            unsure: false,
            readings: 0,
            out: std::collections::VecDeque::new(),
        });
        self.pods[pod].streams.push(stream);
        self.clients[client].stream = Some(stream);
        self.clients[client].opened = true;
        self.seen.note("stream opened");
        if self.faults
            && self.random.random_bool(0.05)
            && let Some(request) = self.request(stream)
        {
            self.kept_back.push((stream, request));
            self.seen.note("request kept back");
        } else {
            self.register(stream);
        }
    }

    /// A request reaches the store at last, whether or not anybody still waits for it.
    fn let_one_through(&mut self) {
        if let Some(place) = (0..self.kept_back.len()).collect::<Vec<_>>().choose(&mut self.random) {
            let (stream, request) = self.kept_back.swap_remove(*place);
            self.send(stream, &request);
        }
    }

    fn read(&mut self, client: usize, frames: usize) {
        for _ in 0..frames {
            let Some(stream) = self.clients[client].stream else { return };
            let Some(frame) = self.streams[stream].out.pop_front() else { return };
            let it = &mut self.clients[client];
            if let Some(last) = id_of(&frame) {
                it.last = last;
            }
            match frame {
                Frame::End => {
                    it.done = true;
                    it.stream = None;
                    self.seen.note("end");
                }
                Frame::Replaced => {
                    self.violations.push(format!("the newest stream of {} was replaced", it.connection));
                    it.stream = None;
                }
                _ => {}
            }
            self.clients[client].frames.push(frame);
        }
    }

    fn cut(&mut self, client: usize) {
        if let Some(stream) = self.clients[client].stream.take() {
            self.streams[stream].client = None;
            self.streams[stream].out.clear();
            self.seen.note("client cut");
        }
    }

    fn notice_departures(&mut self, pod: usize, chance: f64) {
        for stream in self.pods[pod].streams.clone() {
            if self.streams[stream].client.is_none() && self.random.random_bool(chance) {
                self.close(stream);
            }
        }
    }

    fn submit(&mut self, task: usize) {
        let Task { name, home, .. } = &self.tasks[task];
        now(self.store.submit(&submission(name, home.as_str()), 10_000));
    }

    /// A runner's next step, or an earlier one again.
    fn emit(&mut self, task: usize) {
        if self.tasks[task].ended && self.random.random_bool(0.8) {
            return;
        }
        if self.tasks[task].next == 0 && self.random.random_bool(0.9) {
            self.submit(task);
        }
        let Task { next, steps, .. } = self.tasks[task];
        let again = next > 0 && self.random.random_bool(0.15);
        let step = if again { self.random.random_range(0..next) } else { next };
        let cancel = self.random.random_bool(0.02);
        let is_final = cancel || step + 1 >= steps;
        let step_name = if cancel { "cancel".to_owned() } else { step.to_string() };
        let mut emit = event(&self.tasks[task].name, &step_name, self.tasks[task].home.as_str());
        emit.is_final = is_final;
        let answer = if cancel { now(self.store.end(&emit)) } else { now(self.store.emit(&emit)) };
        match answer {
            Emitted::Logged => self.seen.note("event logged"),
            Emitted::Duplicate => self.seen.note("event repeated"),
            Emitted::AfterFinal => self.seen.note("event after the final"),
            Emitted::Superseded => self.violations.push("an event of no run was superseded".into()),
        }
        let it = &mut self.tasks[task];
        if answer != Emitted::AfterFinal && step == it.next && !is_final {
            it.next += 1;
        }
        if answer == Emitted::Logged && is_final {
            it.last_step = Some(step_name);
        }
        it.ended |= is_final || answer == Emitted::AfterFinal;
    }

    pub(super) fn emit_final_again(&mut self, task: usize) {
        let Task { name, home, last_step, .. } = &self.tasks[task];
        let mut emit = event(name, last_step.as_deref().unwrap_or("cancel"), home.as_str());
        emit.is_final = true;
        if now(self.store.emit(&emit)) == Emitted::Logged {
            self.seen.note("final repaired");
        }
    }

    fn bury_one(&mut self) {
        if let Some(pod) = self.pods.choose(&mut self.random)
            && now(self.store.bury(&pod.id))
        {
            self.seen.note("pod buried");
        }
    }

    fn crash(&mut self, pod: usize) {
        if !self.pods[pod].up || self.pods.iter().filter(|pod| pod.up).count() < 2 {
            return;
        }
        let it = &mut self.pods[pod];
        it.up = false;
        it.subscription = None;
        it.inbox.clear();
        it.replies.clear();
        for stream in std::mem::take(&mut it.streams) {
            self.streams[stream].phase = Phase::Closed;
            if let Some(client) = self.streams[stream].client.take() {
                self.clients[client].stream = None;
            }
        }
        self.seen.note("crash");
    }

    fn start_again(&mut self, pod: usize) {
        let name = self.pods[pod].name.clone();
        // The dead one keeps its place: streams know their pod by its index.
        self.start_pod(name);
        let last = self.pods.len() - 1;
        self.pods.swap(pod, last);
        self.pods.truncate(last);
        self.seen.note("pod started again");
    }

    fn toggle_pause(&mut self, pod: usize) {
        let it = &mut self.pods[pod];
        it.paused = !it.paused;
        if it.paused {
            self.seen.note("pod paused");
        }
    }

    /// Breaks a subscription, or brings it back.
    fn toggle_deafness(&mut self, pod: usize) {
        let it = &mut self.pods[pod];
        if !it.up {
            return;
        }
        it.deaf = !it.deaf;
        if it.deaf {
            let kept = self.random.random_range(0..=it.inbox.len());
            it.inbox.truncate(kept);
            self.seen.note("subscription broken");
        } else {
            it.inbox.push_back(Message::Gap);
        }
    }

    fn restart(&mut self, loss: Loss, what: &'static str) {
        let lossless = matches!(loss, Loss::Nothing);
        let listening = self.pods.iter().filter(|pod| pod.subscription.is_some()).count();
        if !self.stage.restart(loss, listening) {
            return;
        }
        self.seen.note(what);
        self.losses += 1;
        // What was under way went to a server that is no more.
        for (stream, _) in std::mem::take(&mut self.kept_back) {
            self.shed(stream);
        }
        for task in &mut self.tasks {
            // Some runners start over, as after a crash.
            if !lossless && self.random.random_bool(0.5) {
                task.next = 0;
                task.ended = false;
            }
        }
        for pod in 0..self.pods.len() {
            // What is under way is lost in part; the gap itself is told.
            let it = &mut self.pods[pod];
            let kept = self.random.random_range(0..=it.inbox.len());
            it.inbox.truncate(kept);
        }
    }
}
