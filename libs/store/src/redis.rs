//! The store on a Redis: each step one Lua script, so that it happens whole or not at all.
//!
//! Flow: a step goes over one shared connection ([`link`]); emits go there many at a time ([`emitter`]);
//! what scripts publish comes back over a connection that only listens ([`listener`]). Steps are loaded once
//! a connection and called by digest ([`scripts`]). `scripts/*.lua` hold the rules and `wire` what they say. Each trait has a
//! file that says which step answers which call.
//!
//! Every step may be repeated: after an error nobody knows whether it was done.

mod bus;
mod clock;
mod emitter;
mod housekeeping;
mod leases;
mod link;
mod listener;
mod locks;
mod queue;
mod registry;
mod reply;
mod scripts;
mod tasks;
mod users;
mod wire;

pub use scripts::STEPS;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fundbond_protocol::PodId;
use redis::{Client, IntoConnectionInfo as _, Value, io::tcp::TcpSettings};
use tokio::task::AbortHandle;

use self::{emitter::Emitter, link::Commands, scripts::Step};
use crate::{LOG_FLOOR, LOG_PER_TASK, Observed, Observer, StoreError};

/// What a [`RedisStore`] is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// `redis://[user:password@]host[:port][/db]` or `redis+unix:///path/of/socket`.
    pub url: String,
    /// The fewest events a connection's log keeps. Small in tests that want eviction.
    pub log_floor: usize,
    /// Events kept for each attached task, where that is more.
    pub log_per_task: usize,
    /// How long an event waits for others to share a write with: not at all. The next batch gathers while one is
    /// under way, so batches grow with the load by themselves. A millisecond would save the server a third of its
    /// time for each event at a few thousand a second, and cost each event two (`cargo xtask bench delivery --gather 1`).
    pub gather: Duration,
}

impl Config {
    /// The usual bounds, at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), log_floor: LOG_FLOOR, log_per_task: LOG_PER_TASK, gather: Duration::ZERO }
    }
}

/// An address that names no Redis.
#[derive(Debug, thiserror::Error)]
#[error("not the address of a Redis, like redis://127.0.0.1:6379: {0}")]
pub struct AddressError(String);

/// Whether `url` is the address of a Redis; whether there is one is another question.
///
/// # Errors
/// What is wrong with it.
pub fn check(url: &str) -> Result<(), AddressError> {
    client(url).map(drop)
}

fn client(url: &str) -> Result<Client, AddressError> {
    // Else the end of each batch waits until the server has acknowledged its beginning: up to 40 ms.
    let settings = TcpSettings::default().set_nodelay(true);
    let info = url.into_connection_info().map(|info| info.set_tcp_settings(settings));
    // The error of the client names the fault and, unlike the address, holds no password.
    info.and_then(Client::open).map_err(|error| AddressError(error.to_string()))
}

/// The store on a Redis.
pub struct RedisStore {
    client: Client,
    commands: Arc<Commands>,
    emitter: Emitter,
    listeners: Mutex<HashMap<PodId, AbortHandle>>,
}

impl RedisStore {
    /// A store at an address. Connects when it is first used, and again whenever that is needed; must be
    /// made inside a Tokio runtime.
    pub fn new(config: &Config) -> Result<Self, AddressError> {
        let client = client(&config.url)?;
        let commands = Arc::new(Commands::new(client.clone(), config.log_floor, config.log_per_task));
        let emitter = Emitter::new(commands.clone(), config.gather);
        Ok(Self { client, commands, emitter, listeners: Mutex::default() })
    }

    async fn step<const N: usize>(&self, step: Step, arguments: [String; N]) -> Result<Value, StoreError> {
        self.commands.step(step, arguments.into()).await
    }
}

impl Observed for RedisStore {
    fn observe(&self, observer: Arc<dyn Observer>) {
        self.commands.observe(observer);
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a password.
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        let listeners = self.listeners.get_mut().unwrap_or_else(PoisonError::into_inner);
        listeners.values().for_each(AbortHandle::abort);
    }
}

/// An answer that is one of a few words.
fn word<T: Copy>(answer: Value, words: &[(&str, T)]) -> Result<T, StoreError> {
    let text = reply::text(answer)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| StoreError::Contract(format!("unexpected {text:?}")))
}
