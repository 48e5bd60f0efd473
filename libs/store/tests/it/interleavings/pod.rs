//! A pod that follows the rules and does nothing else: it trusts a position, never a message.

use fundbond_protocol::{ConnectionId, Epoch, LastEventId, Position, TaskId};
use fundbond_store::{
    Asserted, Assertion, Closed, Entry, EntryKind, Finished, Holder, Message, Node, Opened, Outcome,
    ReadLimit, Reading, Reasserted, Register, Registered,
};
use rand::RngExt;

use super::stage::now;
use super::world::{Frame, Phase, Reply, Stream, World};
use crate::scene::cluster;

impl World {
    // What a pod asks of the store. The step happens at once; its answer arrives later.

    pub(super) fn register(&mut self, stream: usize) {
        if let Some(request) = self.request(stream) {
            self.send(stream, &request);
        }
    }

    /// What the pod of a stream asks for it, if its client is still there.
    pub(super) fn request(&mut self, stream: usize) -> Option<Register> {
        let limit = self.limit();
        let client = &self.clients[self.streams[stream].client?];
        let pod = self.streams[stream].pod;
        Some(Register {
            connection: client.connection.clone(),
            pod: self.pods[pod].id.clone(),
            cluster: cluster("k"),
            last: client.last.clone(),
            tasks: client.wanted.clone(),
            limit,
            asked: self.streams[stream].asked,
        })
    }

    /// The step is done. Its answer reaches a pod that still waits for it.
    pub(super) fn send(&mut self, stream: usize, request: &Register) {
        let answer = now(self.store.register(request));
        let pod = &mut self.pods[self.streams[stream].pod];
        if pod.streams.contains(&stream) {
            pod.replies.push_back(Reply::Registered(stream, answer));
        }
    }

    /// The pod gives up asking for a stream; its client comes back.
    pub(super) fn shed(&mut self, stream: usize) {
        if let Some(client) = self.streams[stream].client.take() {
            self.clients[client].stream = None;
        }
        self.drop_stream(stream);
    }

    fn catch_up(&mut self, stream: usize) {
        let limit = self.limit();
        let Stream { position: Some(position), .. } = &self.streams[stream] else { return };
        let reading = now(self.store.catch_up(&self.streams[stream].connection, position, limit));
        let it = &mut self.streams[stream];
        it.phase = Phase::CatchingUp;
        it.readings += 1;
        let reply = Reply::Read(stream, it.readings, reading);
        self.pods[it.pod].replies.push_back(reply);
        self.seen.note("read on");
    }

    fn finish(&mut self, stream: usize) {
        let Some((holder, position)) = self.holding(stream) else { return };
        let answer = now(self.store.finish(&holder, &position));
        let it = &mut self.streams[stream];
        it.phase = Phase::Finishing;
        self.pods[it.pod].replies.push_back(Reply::Finished(stream, answer));
    }

    pub(super) fn heartbeat(&mut self, pod: usize) {
        let id = self.pods[pod].id.clone();
        let answer = now(self.store.heartbeat(&id, &cluster("k")));
        self.pods[pod].replies.push_back(Reply::Heartbeat(id, answer));
    }

    fn reassert(&mut self, pod: usize) {
        let mut streams = Vec::new();
        let mut assertions = Vec::new();
        for &stream in &self.pods[pod].streams {
            let it = &self.streams[stream];
            if let (Some(generation), Some(position)) = (it.generation, &it.position) {
                streams.push(stream);
                assertions.push(Assertion {
                    connection: it.connection.clone(),
                    generation,
                    position: position.clone(),
                    tasks: it.tasks.keys().cloned().collect(),
                    gained: it.gained == Some(generation),
                });
            }
        }
        if streams.is_empty() {
            return;
        }
        let id = self.pods[pod].id.clone();
        let answer = now(self.store.reassert(&id, &cluster("k"), &assertions));
        self.pods[pod].replies.push_back(Reply::Reasserted(id, streams, answer));
    }

    /// Notices that the client of a stream is gone.
    pub(super) fn close(&mut self, stream: usize) {
        let Some((holder, _)) = self.holding(stream) else { return };
        let answer = now(self.store.close(&holder));
        let pod = self.streams[stream].pod;
        self.drop_stream(stream);
        let newer = self.pods[pod].streams.iter().map(|&other| &self.streams[other]).any(|other| {
            other.connection == holder.connection
                && other.client.is_some()
                && other.generation > Some(holder.generation)
        });
        // After a roll-back it may have been this stream's own that stood there.
        if answer == Closed::Deleted && newer && self.losses == 0 {
            self.violations.push(format!("a close took the newer registration of {}", holder.connection));
        }
    }

    // What a pod does with an answer.

    pub(super) fn on_reply(&mut self, pod: usize, reply: Reply) {
        match reply {
            Reply::Registered(stream, answer) => self.on_registered(pod, stream, answer),
            Reply::Read(stream, number, reading) => {
                let it = &self.streams[stream];
                if it.phase == Phase::CatchingUp && it.readings == number {
                    self.on_reading(stream, &reading);
                }
            }
            Reply::Finished(stream, answer) => self.on_finished(pod, stream, answer),
            Reply::Reasserted(id, streams, answer) => match answer {
                Reasserted::Buried => self.take_new_nonce(pod, &id),
                Reasserted::NoHealth => {
                    now(self.store.heartbeat(&id, &cluster("k")));
                    self.reassert(pod);
                }
                Reasserted::Streams(answers) => {
                    for (stream, answer) in streams.into_iter().zip(answers) {
                        self.on_asserted(stream, answer);
                    }
                }
            },
            Reply::Heartbeat(id, Node::Buried) => self.take_new_nonce(pod, &id),
            Reply::Heartbeat(_, Node::Alive) => self.reassert(pod),
        }
    }

    fn on_registered(&mut self, pod: usize, stream: usize, answer: Registered) {
        let opened = match answer {
            Registered::Open(opened) => opened,
            Registered::Done => {
                if let Some(client) = self.streams[stream].client {
                    self.clients[client].done = true;
                    self.clients[client].stream = None;
                    self.seen.note("done at once");
                }
                return self.drop_stream(stream);
            }
            Registered::Late => {
                self.seen.note("request overtaken");
                return self.shed(stream);
            }
            Registered::Buried | Registered::NoHealth => {
                let id = self.pods[pod].id.clone();
                if answer == Registered::Buried {
                    self.take_new_nonce(pod, &id);
                } else {
                    now(self.store.heartbeat(&id, &cluster("k")));
                }
                if self.streams[stream].client.is_none() {
                    return self.drop_stream(stream);
                }
                return self.register(stream);
            }
        };
        let connection = self.streams[stream].connection.clone();
        let Opened { generation, reading, tasks } = opened;
        let it = &mut self.streams[stream];
        it.generation = Some(generation);
        for (task, ended) in &tasks {
            *it.tasks.entry(task.clone()).or_default() |= *ended;
        }
        if let Outcome::Entries(entries) = &reading.outcome {
            let offset = entries.first().map_or(reading.end, |first| first.offset - 1);
            let position = Position { epoch: reading.epoch.clone(), offset };
            it.position = Some(position.clone());
            self.write(stream, Frame::Connected(position));
        }
        self.take_waiting(stream);
        self.repair(tasks.into_iter().filter(|(_, ended)| !ended).map(|(task, _)| task).collect());
        // Somebody may have taken the stream while the answer was on its way.
        if self.pods[pod].lost.get(&connection) > Some(&generation) {
            return self.replaced(stream);
        }
        self.on_reading(stream, &reading);
    }

    /// Writes what was read, and reads on or goes live.
    fn on_reading(&mut self, stream: usize, reading: &Reading) {
        match &reading.outcome {
            Outcome::Entries(entries) => {
                for entry in entries {
                    self.write_entry(stream, &reading.epoch, entry);
                }
            }
            Outcome::Reset { at, snapshot } => {
                let position = Position { epoch: reading.epoch.clone(), offset: *at };
                let it = &mut self.streams[stream];
                self.seen.note(match it.phase {
                    Phase::Registering => "reset at open",
                    _ => "reset while live",
                });
                it.position = Some(position.clone());
                it.tasks.extend(snapshot.iter().map(|state| (state.task.clone(), state.is_final)));
                self.write(stream, Frame::Reset(position, snapshot.clone()));
                let open = snapshot.iter().filter(|state| !state.is_final);
                self.repair(open.map(|state| state.task.clone()).collect());
            }
        }
        let reached = self.streams[stream].position.as_ref().map_or(0, |position| position.offset);
        if reached < reading.end {
            self.seen.note("paged");
            return self.catch_up(stream);
        }
        let it = &mut self.streams[stream];
        it.phase = Phase::Live;
        for (epoch, entry) in std::mem::take(&mut it.waiting) {
            self.on_event(stream, &epoch, entry);
        }
        // The store's word, not the pod's: a pod that missed an `Attached` would ask for ever.
        if reading.open == Some(0) {
            self.finish_if_live(stream);
        }
    }

    fn on_finished(&mut self, pod: usize, stream: usize, answer: Finished) {
        if self.streams[stream].phase != Phase::Finishing {
            return;
        }
        match answer {
            Finished::Closed => {
                self.write(stream, Frame::End);
                self.drop_stream(stream);
            }
            Finished::Replaced => self.replaced(stream),
            Finished::Lost => {
                let it = &mut self.streams[stream];
                it.phase = Phase::Live;
                it.unsure = true;
                self.reassert(pod);
            }
            Finished::More => self.catch_up(stream),
        }
    }

    fn on_asserted(&mut self, stream: usize, answer: Asserted) {
        if self.streams[stream].phase == Phase::Closed {
            return;
        }
        match answer {
            // Nobody closes a stream here.
            Asserted::Replaced | Asserted::Closed => self.replaced(stream),
            Asserted::Held { epoch, end, open } => {
                let it = &mut self.streams[stream];
                it.tasks.extend(open.iter().map(|task| (task.clone(), false)));
                let here = it.position.as_ref();
                let differs = here.is_none_or(|here| here.epoch != epoch || here.offset < end);
                let live = it.phase == Phase::Live;
                // No open task may also mean that there never was one, which only a page tells apart.
                let over = open.is_empty() && (!it.tasks.is_empty() || std::mem::take(&mut it.unsure));
                self.repair(open);
                if live && (differs || over) {
                    self.catch_up(stream);
                }
            }
        }
    }

    // What a pod does with a message.

    pub(super) fn on_message(&mut self, pod: usize, message: Message) {
        match message {
            Message::Gap => {
                for stream in self.pods[pod].streams.clone() {
                    self.streams[stream].gained = None;
                    if self.streams[stream].phase == Phase::Live {
                        self.catch_up(stream);
                    }
                }
                self.reassert(pod);
            }
            Message::Lost { connection, generation } => {
                let lost = self.pods[pod].lost.entry(connection.clone()).or_insert(generation);
                *lost = generation.max(*lost);
                for stream in self.streams_of(pod, &connection) {
                    if self.streams[stream].generation.is_some_and(|own| own < generation) {
                        self.replaced(stream);
                    }
                }
            }
            Message::Attached { connection, task } => {
                for stream in self.streams_of(pod, &connection) {
                    self.streams[stream].tasks.entry(task.clone()).or_insert(false);
                }
            }
            Message::Event { connection, epoch, entry } => {
                for stream in self.streams_of(pod, &connection) {
                    self.on_event(stream, &epoch, entry.clone());
                }
            }
            Message::Gained { connection, generation } => {
                for stream in self.streams_of(pod, &connection) {
                    let it = &mut self.streams[stream];
                    it.gained = it.gained.max(Some(generation));
                }
            }
            Message::Foreign(event) => self.on_foreign(pod, &event),
            Message::Unusable(why) => self.violations.push(format!("somebody published {why}")),
            Message::Ended { .. }
            | Message::Closed { .. }
            | Message::Asked(_)
            | Message::Answered(_)
            | Message::Claimed { .. }
            | Message::Work => {}
        }
    }

    /// The next event is written; of anything else only the log is believed.
    fn on_event(&mut self, stream: usize, epoch: &Epoch, entry: Entry) {
        let it = &mut self.streams[stream];
        if it.phase != Phase::Live {
            it.waiting.push((epoch.clone(), entry));
            return;
        }
        let Some(here) = &it.position else { return };
        if here.epoch != *epoch || entry.offset > here.offset + 1 {
            return self.catch_up(stream);
        }
        self.write_entry(stream, epoch, &entry);
        if entry.kind != EntryKind::Event {
            self.finish_if_all_final(stream);
        }
    }

    // The pod's own business.

    fn write_entry(&mut self, stream: usize, epoch: &Epoch, entry: &Entry) {
        self.observe(&self.streams[stream].connection.clone(), epoch, entry);
        let it = &mut self.streams[stream];
        let Some(here) = &mut it.position else { return };
        if entry.offset <= here.offset {
            return;
        }
        here.offset = entry.offset;
        match entry.kind {
            EntryKind::Moved => {
                it.tasks.remove(&entry.task);
            }
            EntryKind::Final => {
                it.tasks.insert(entry.task.clone(), true);
            }
            EntryKind::Event | EntryKind::Note => {}
        }
        self.write(stream, Frame::Event(epoch.clone(), entry.clone()));
    }

    fn write(&mut self, stream: usize, frame: Frame) {
        let it = &mut self.streams[stream];
        if it.client.is_some() {
            it.out.push_back(frame);
        }
    }

    fn finish_if_live(&mut self, stream: usize) {
        if self.streams[stream].phase == Phase::Live {
            self.finish(stream);
        }
    }

    fn finish_if_all_final(&mut self, stream: usize) {
        // None is left, too, where the last one moved away.
        if self.streams[stream].tasks.values().all(|ended| *ended) {
            self.finish_if_live(stream);
        }
    }

    fn replaced(&mut self, stream: usize) {
        self.write(stream, Frame::Replaced);
        self.drop_stream(stream);
        self.seen.note("stream replaced");
    }

    fn drop_stream(&mut self, stream: usize) {
        let it = &mut self.streams[stream];
        it.phase = Phase::Closed;
        self.pods[it.pod].streams.retain(|other| *other != stream);
    }

    fn take_new_nonce(&mut self, pod: usize, buried: &fundbond_protocol::PodId) {
        if self.pods[pod].id != *buried {
            return;
        }
        let name = self.pods[pod].name.clone();
        let (id, subscription) = self.new_identity(&name);
        let it = &mut self.pods[pod];
        it.id = id;
        it.subscription = Some(subscription);
        it.inbox.clear();
        for stream in self.pods[pod].streams.clone() {
            self.streams[stream].gained = None;
        }
        self.seen.note("new nonce");
        self.reassert(pod);
    }

    /// What a ledger does: it knows how a task ended that the store believes open.
    fn repair(&mut self, open: Vec<TaskId>) {
        for task in open {
            let ended = self.tasks.iter().position(|known| known.ended && known.name == task.as_str());
            if let Some(index) = ended {
                self.emit_final_again(index);
            }
        }
    }

    pub(super) fn streams_of(&self, pod: usize, connection: &ConnectionId) -> Vec<usize> {
        let streams = self.pods[pod].streams.iter().copied();
        streams.filter(|stream| self.streams[*stream].connection == *connection).collect()
    }

    fn holding(&self, stream: usize) -> Option<(Holder, Position)> {
        let it = &self.streams[stream];
        let holder = Holder {
            connection: it.connection.clone(),
            pod: self.pods[it.pod].id.clone(),
            generation: it.generation?,
        };
        Some((holder, it.position.clone()?))
    }

    fn limit(&mut self) -> ReadLimit {
        ReadLimit { entries: self.random.random_range(1..=8), bytes: usize::MAX }
    }
}

/// Where a client goes on from after a frame.
pub(super) fn id_of(frame: &Frame) -> Option<LastEventId> {
    match frame {
        Frame::Connected(position) | Frame::Reset(position, _) => Some(LastEventId::At(position.clone())),
        Frame::Event(epoch, entry) => {
            Some(LastEventId::At(Position { epoch: epoch.clone(), offset: entry.offset }))
        }
        Frame::End | Frame::Replaced => None,
    }
}
