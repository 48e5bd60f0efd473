//! What the server says to a pod: a connection of its own, that is never trusted.
//!
//! After each connection the subscription is confirmed before the pod is told to catch up. A probe that goes
//! round through the server every ten seconds finds a connection that is open and dead.

use std::{error::Error, sync::Arc, time::Duration};

use fundbond_protocol::{PodId, keys};
use futures::StreamExt;
use jiff::Timestamp;
use redis::{Client, RedisResult, aio::PubSubStream};
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    link::Commands,
    wire::{self, Told},
};
use crate::{Message, Publisher, StoreError, wait};

/// Between two probes: as often as heartbeats, whose re-assertions find what a probe does not.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// How long a probe may be on its way.
const PROBE_WITHIN: Duration = Duration::from_secs(3);

/// How long connecting and subscribing may take.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(2);

/// Messages that cannot be read are logged at most this often.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// Connects and subscribes; comes back when the server has confirmed every channel.
pub(super) async fn subscribe(client: &Client, pod: &PodId) -> Result<PubSubStream, StoreError> {
    let subscribing = async {
        let mut connection = client.get_async_pubsub().await?;
        let channels = [&keys::pod_channel(pod), keys::CONTROL_CHANNEL, keys::FOREIGN_CHANNEL];
        connection.subscribe(&channels).await?;
        RedisResult::Ok(connection.into_on_message())
    };
    match tokio::time::timeout(SUBSCRIBE_WITHIN, subscribing).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(StoreError::Unreachable(Box::new(error))),
        Err(_) => Err(StoreError::Unreachable(format!("not subscribed within {SUBSCRIBE_WITHIN:?}").into())),
    }
}

/// One pod's ear.
pub(super) struct Listener {
    pub(super) client: Client,
    pub(super) commands: Arc<Commands>,
    pub(super) pod: PodId,
    pub(super) publisher: Publisher,
}

/// Why a subscription is over.
enum Over {
    /// The pod does not listen any more.
    Unheard,
    /// The connection broke, or nothing comes through it.
    Broken(&'static str),
}

impl Listener {
    /// Brings the pod what is said, until it listens no more.
    pub(super) async fn run(self, mut stream: PubSubStream) {
        loop {
            match self.listen(&mut stream).await {
                Over::Unheard => return,
                Over::Broken(why) => tracing::warn!(pod = %self.pod, why, "subscribing again"),
            }
            let Some(again) = self.subscribe_again().await else { return };
            stream = again;
            self.commands.tell(|observer| observer.subscribed_again());
            self.publisher.gap();
        }
    }

    async fn listen(&self, stream: &mut PubSubStream) -> Over {
        let mut probes = tokio::time::interval_at(Instant::now() + PROBE_EVERY, PROBE_EVERY);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complained: Option<Instant> = None;
        let mut number = 0_u64;
        // When the probe under way counts as lost.
        let mut due: Option<Instant> = None;
        loop {
            let lost = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = stream.next() => {
                    let Some(message) = message else { return Over::Broken("the connection broke") };
                    if message.get_channel_name() == keys::FOREIGN_CHANNEL {
                        let nonce = format!("{:016x}", rand::random::<u64>());
                        let heard = Message::published(message.get_payload_bytes(), &nonce, Timestamp::now());
                        if !self.publisher.publish(heard) {
                            return Over::Unheard;
                        }
                        continue;
                    }
                    let told = std::str::from_utf8(message.get_payload_bytes())
                        .map_err(|_| StoreError::Contract("a message that is not UTF-8".into()))
                        .and_then(wire::told);
                    match told {
                        Ok(Told::Message(message)) => {
                            if !self.publisher.publish(message) {
                                return Over::Unheard;
                            }
                        }
                        Ok(Told::Probe(heard)) => {
                            if heard == number {
                                due = None;
                            }
                        }
                        Err(error) => {
                            // The log has what this should have said, so the pod has to look there.
                            self.publisher.gap();
                            if complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                                complained = Some(Instant::now());
                                tracing::warn!(pod = %self.pod, error = &error as &dyn Error, "a message of the bus cannot be read");
                            }
                        }
                    }
                }
                () = lost => return Over::Broken("a probe did not come back"),
                _ = probes.tick() => {
                    if self.publisher.is_closed() {
                        return Over::Unheard;
                    }
                    number += 1;
                    due = self.probe(number).await.then(|| Instant::now() + PROBE_WITHIN);
                    if due.is_none() {
                        // The server is away for the steps too. This connection is tried again soon.
                        probes.reset_after(PROBE_WITHIN);
                    }
                }
            }
        }
    }

    /// Sends a probe round; false where the server cannot be reached.
    async fn probe(&self, number: u64) -> bool {
        if self.commands.verify().await.is_err() {
            return false;
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("PUBLISH").arg(keys::pod_channel(&self.pod)).arg(wire::probe(number)).ignore();
        self.commands.plain::<()>(&pipeline).await.is_ok()
    }

    /// Subscribes, however long it takes; `None` once the pod listens no more.
    async fn subscribe_again(&self) -> Option<PubSubStream> {
        for failures in 0.. {
            if self.publisher.is_closed() {
                return None;
            }
            match subscribe(&self.client, &self.pod).await {
                Ok(stream) => return Some(stream),
                Err(error) => {
                    tracing::debug!(pod = %self.pod, error = &error as &dyn Error, "not subscribed yet");
                }
            }
            tokio::time::sleep(wait::after(failures)).await;
        }
        None
    }
}
