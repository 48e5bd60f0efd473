//! What others publish in a world: every pod hears it, and at most one of them may take it, once.

use fundbond_protocol::ForeignEvent;
use fundbond_store::{Foreign, Generation, Taken};
use rand::seq::IndexedRandom;

use super::{
    stage::now,
    world::{Phase, World},
};

impl World {
    /// Somebody else says something of a task or of a connection.
    pub(super) fn publish(&mut self) {
        let tasks = self.tasks.iter().map(|task| task.name.as_str());
        let names: Vec<_> =
            tasks.chain(self.clients.iter().map(|client| client.connection.as_str())).collect();
        let name = names.choose(&mut self.random).expect("there are clients");
        let number = self.published.len();
        let message = format!(r#"{{"correlationId":"{name}","status":"TEST","message":"{number}"}}"#);
        self.published.push(0);
        self.stage.publish(&message);
        self.seen.note("foreign event published");
    }

    /// A pod heard what somebody else said.
    pub(super) fn on_foreign(&mut self, pod: usize, event: &ForeignEvent) {
        for stream in self.pods[pod].streams.clone() {
            let it = &mut self.streams[stream];
            let named = it.connection.as_str() == event.task.as_str();
            if it.phase == Phase::Registering {
                // Whose it is shows with the answer, and with what was heard up to now.
                it.waiting_foreign.push((event.clone(), it.gained));
            } else if named || it.tasks.contains_key(&event.task) {
                let gained = it.gained;
                self.take(stream, event, gained);
            }
        }
    }

    /// The answer to a registration came: what waited for it is taken or not.
    pub(super) fn take_waiting(&mut self, stream: usize) {
        for (event, gained) in std::mem::take(&mut self.streams[stream].waiting_foreign) {
            let it = &self.streams[stream];
            if it.connection.as_str() == event.task.as_str() || it.tasks.contains_key(&event.task) {
                self.take(stream, &event, gained);
            }
        }
    }

    /// Takes an event that came after the pod heard `gained`, the generation with which it has the stream.
    fn take(&mut self, stream: usize, event: &ForeignEvent, gained: Option<Generation>) {
        let it = &self.streams[stream];
        let Some(generation) = it.generation.filter(|own| gained == Some(*own)) else {
            return self.seen.note("foreign event left to others");
        };
        match now(self.store.foreign(&Foreign::of(event, &it.connection, generation))) {
            Taken::Logged => {
                self.seen.note("foreign event logged");
                let number: serde_json::Value = serde_json::from_str(&event.json).unwrap();
                let number: usize = number["message"].as_str().unwrap().parse().unwrap();
                self.published[number] += 1;
                if self.published[number] > 1 {
                    self.violations.push(format!("{} was logged twice", event.json));
                }
            }
            Taken::AfterFinal => self.seen.note("foreign event after the final"),
            Taken::NotHeld => self.seen.note("foreign event not taken"),
            Taken::Duplicate => self.violations.push(format!("{} has no id to repeat", event.json)),
        }
    }
}
