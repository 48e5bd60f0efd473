//! The whole state behind the lock, and its wires to the pods.

use std::collections::HashMap;

use fundbond_protocol::{ConnectionId, PodId};
use tokio::time::Instant;

use super::{Config, clock::Clock, connection::Unplaced, data::Data};
use crate::{Generation, Message, Publisher, Subscription};

/// What surrounds the data, and no restart loses.
#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: Clock,
    /// The moment of the step in hand.
    pub(super) now: Instant,
    /// The life of the store: another one after each restart.
    pub(super) run: u64,
    pub(super) config: Config,
}

impl World {
    /// Microseconds since the Unix epoch, greater than any told before.
    pub(super) fn tick(&mut self) -> u64 {
        self.clock.tick(self.now)
    }

    /// The generation a stream's end leaves behind. Greater than `last` by no more than it must be: after a
    /// roll-back a newer holder may not have re-asserted yet, and it must still win.
    pub(super) fn generation_over(&mut self, last: Generation) -> Generation {
        let over = Generation(last.0 + 1);
        self.clock.pass(over.0);
        over
    }

    /// The next generation after `last`.
    pub(super) fn generation_after(&mut self, last: Generation) -> Generation {
        Generation(self.rising(last.0))
    }

    /// A number above `last` that was never given away, even where the store forgets what it gave.
    pub(super) fn rising(&mut self, last: u64) -> u64 {
        let next = self.tick().max(last + 1);
        self.clock.pass(next);
        next
    }
}

/// The ways to the pods.
#[derive(Debug, Default)]
pub(super) struct Wires {
    pods: HashMap<PodId, Publisher>,
}

impl Wires {
    pub(super) fn subscribe(&mut self, pod: &PodId) -> Subscription {
        // Pods that went without a word are found here, where it is cheap: pods start rarely.
        self.pods.retain(|_, publisher| !publisher.is_closed());
        let (publisher, subscription) = Subscription::new();
        self.pods.insert(pod.clone(), publisher);
        subscription
    }

    pub(super) fn tell(&mut self, pod: &PodId, message: Message) {
        if let Some(publisher) = self.pods.get(pod)
            && !publisher.publish(message)
        {
            self.pods.remove(pod);
        }
    }

    pub(super) fn tell_all(&mut self, message: &Message) {
        self.pods.retain(|_, publisher| publisher.publish(message.clone()));
    }

    pub(super) fn cut(&self, pod: &PodId) {
        if let Some(publisher) = self.pods.get(pod) {
            publisher.gap();
        }
    }

    fn cut_all(&self) {
        self.pods.values().for_each(Publisher::gap);
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) data: Data,
    pub(super) wires: Wires,
}

impl State {
    pub(super) fn new(config: Config) -> Self {
        let clock = Clock::new(config.started_at);
        let world = World { clock, now: Instant::now(), run: 0, config };
        Self { world, data: Data::default(), wires: Wires::default() }
    }

    /// Begins a step: time stands still until the next one.
    pub(super) fn begin(&mut self) {
        self.world.now = Instant::now();
        self.data.purge(self.world.now);
    }

    pub(super) fn restart(&mut self, data: Option<Data>) {
        self.world.run += 1;
        if let Some(data) = data {
            self.data = data;
        }
        self.wires.cut_all();
    }

    /// Tells every pod what somebody else published.
    pub(super) fn publish_foreign(&mut self, message: &[u8]) {
        let nonce = self.world.tick().to_string();
        let now = self.world.clock.timestamp(self.world.now);
        self.wires.tell_all(&Message::published(message, &nonce, now));
    }

    /// Appends `entry` to a connection's log and tells its holder.
    pub(super) fn append(&mut self, id: &ConnectionId, entry: Unplaced) {
        let Config { log_floor, log_per_task, .. } = self.world.config;
        let connection = self.data.connection(id, &mut self.world);
        let entry = connection.append(entry, log_floor, log_per_task).clone();
        if let Some((pod, _)) = &connection.holder {
            let epoch = connection.epoch.clone();
            self.wires.tell(pod, Message::Event { connection: id.clone(), epoch, entry });
        }
    }
}
