//! The store on a Redis: each step one Lua script, so that it happens whole or not at all.
//!
//! Flow: a step goes over one shared connection ([`link`]); emits go there many at a time ([`emitter`]);
//! what scripts publish comes back over a connection that only listens ([`listener`]). Steps are loaded once
//! a connection and called by digest ([`scripts`]). `scripts/*.lua` hold the rules and `wire` what they say.
//!
//! Every step may be repeated: after an error nobody knows whether it was done.

mod emitter;
mod link;
mod listener;
mod reply;
mod scripts;
mod wire;

pub use scripts::STEPS;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{ClusterId, ConnectionId, LastEventId, PodId, Position, TaskId, keys};
use redis::{Client, IntoConnectionInfo as _, Value, io::tcp::TcpSettings};
use tokio::task::AbortHandle;

use self::{
    emitter::Emitter,
    link::{Call, Commands},
    listener::Listener,
    scripts::Step,
};
use crate::{
    Asserted, Assertion, Bus, Closed, Emit, Emitted, Finished, Foreign, Generation, Holder, LOG_FLOOR,
    LOG_PER_TASK, Node, Observed, Observer, Opened, ReadLimit, Reading, Reasserted, Register, Registered,
    Registry, StoreError, Submission, Submitted, Subscription, Taken, TaskPage, TaskQuery, TaskRecord, Tasks,
};

/// Streams in one re-assertion script: a few milliseconds, in which the server does nothing else.
const ASSERTED_A_STEP: usize = 100;

/// Tasks looked at for one page, as in the memory twin: a filter that matches nothing gives short pages
/// instead of holding up the server for a whole cluster's tasks.
const SCANNED_A_PAGE: usize = 1_000;

/// Rows in one command.
const ROWS_A_COMMAND: usize = 512;

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

    async fn log(&self, event: &Emit, is_final: bool) -> Result<Emitted, StoreError> {
        let mut arguments = vec![
            event.task.to_string(),
            event.event_id.to_string(),
            u8::from(is_final).to_string(),
            event.status.to_string(),
            wire::record(event, is_final),
        ];
        let mut answer = self.emitter.step(Call { step: Step::Emit, arguments: arguments.clone() }).await?;
        if matches!(&answer, Value::BulkString(text) if text == b"homeless") {
            arguments.push(event.connection.to_string());
            answer = self.emitter.step(Call { step: Step::EmitHomeless, arguments }).await?;
        }
        match reply::text(answer)?.as_str() {
            "logged" => Ok(Emitted::Logged),
            "duplicate" => Ok(Emitted::Duplicate),
            "final" => Ok(Emitted::AfterFinal),
            other => Err(StoreError::Contract(format!("emit answered {other:?}"))),
        }
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

/// How a script is told where a reader stands: how, epoch, offset.
fn standing(last: &LastEventId) -> [String; 3] {
    match last {
        LastEventId::Start => ["start".into(), String::new(), String::new()],
        LastEventId::At(position) => ["at".into(), position.epoch.to_string(), position.offset.to_string()],
        LastEventId::Replaced | LastEventId::Unknown => ["nowhere".into(), String::new(), String::new()],
    }
}

fn bounds(limit: ReadLimit) -> [String; 2] {
    // The first entry always passes, so nobody asks for none.
    [limit.entries.max(1).to_string(), limit.bytes.to_string()]
}

fn word<T: Copy>(answer: Value, words: &[(&str, T)]) -> Result<T, StoreError> {
    let text = reply::text(answer)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| StoreError::Contract(format!("unexpected {text:?}")))
}

#[async_trait]
impl Registry for RedisStore {
    async fn heartbeat(&self, pod: &PodId, cluster: &ClusterId) -> Result<Node, StoreError> {
        let answer = self.step(Step::Heartbeat, [pod.to_string(), cluster.to_string()]).await?;
        word(answer, &[("alive", Node::Alive), ("buried", Node::Buried)])
    }

    async fn leave(&self, pod: &PodId, cluster: &ClusterId) -> Result<(), StoreError> {
        loop {
            let left = self.step(Step::Leave, [pod.to_string(), cluster.to_string()]).await?;
            if reply::text(left)? == "0" {
                return Ok(());
            }
        }
    }

    async fn bury(&self, pod: &PodId) -> Result<bool, StoreError> {
        word(self.step(Step::Bury, [pod.to_string()]).await?, &[("buried", true), ("alive", false)])
    }

    async fn register(&self, request: &Register) -> Result<Registered, StoreError> {
        let [how, epoch, offset] = standing(&request.last);
        let [entries, bytes] = bounds(request.limit);
        let mut arguments = vec![
            request.connection.to_string(),
            request.pod.to_string(),
            request.cluster.to_string(),
            how,
            epoch,
            offset,
            entries,
            bytes,
        ];
        arguments.extend(request.tasks.iter().map(ToString::to_string));
        let mut answer = reply::parts(self.commands.step(Step::Register, arguments).await?)?;
        match answer.text()?.as_str() {
            "open" => Ok(Registered::Open(Opened {
                generation: Generation(answer.number()?),
                reading: reply::reading(answer.parts()?)?,
                tasks: reply::attached(answer.parts()?)?,
            })),
            "done" => Ok(Registered::Done),
            "buried" => Ok(Registered::Buried),
            "nohealth" => Ok(Registered::NoHealth),
            other => Err(StoreError::Contract(format!("register answered {other:?}"))),
        }
    }

    async fn catch_up(
        &self,
        connection: &ConnectionId,
        after: &Position,
        limit: ReadLimit,
    ) -> Result<Reading, StoreError> {
        let [entries, bytes] = bounds(limit);
        let (epoch, offset) = (after.epoch.to_string(), after.offset.to_string());
        let arguments = [connection.to_string(), epoch, offset, entries, bytes];
        reply::reading(reply::parts(self.step(Step::CatchUp, arguments).await?)?)
    }

    async fn finish(&self, holder: &Holder, position: &Position) -> Result<Finished, StoreError> {
        let (epoch, offset) = (position.epoch.to_string(), position.offset.to_string());
        let arguments = [holder.connection.to_string(), holder.generation.0.to_string(), epoch, offset];
        let words = [
            ("closed", Finished::Closed),
            ("replaced", Finished::Replaced),
            ("lost", Finished::Lost),
            ("more", Finished::More),
        ];
        word(self.step(Step::Finish, arguments).await?, &words)
    }

    async fn close(&self, holder: &Holder) -> Result<Closed, StoreError> {
        let arguments =
            [holder.connection.to_string(), holder.pod.to_string(), holder.generation.0.to_string()];
        word(
            self.step(Step::Close, arguments).await?,
            &[("deleted", Closed::Deleted), ("kept", Closed::Kept)],
        )
    }

    async fn reassert(
        &self,
        pod: &PodId,
        cluster: &ClusterId,
        streams: &[Assertion],
    ) -> Result<Reasserted, StoreError> {
        let mut all = Vec::with_capacity(streams.len());
        // Nothing held is asserted too: it says whether the pod is well.
        let batches =
            if streams.is_empty() { vec![streams] } else { streams.chunks(ASSERTED_A_STEP).collect() };
        for batch in batches {
            let mut arguments = vec![pod.to_string(), cluster.to_string()];
            for stream in batch {
                arguments.push(stream.connection.to_string());
                arguments.push(stream.generation.0.to_string());
                arguments.push(stream.position.epoch.to_string());
                arguments.push(stream.position.offset.to_string());
                arguments.push(u8::from(stream.gained).to_string());
                arguments.push(stream.tasks.len().to_string());
                arguments.extend(stream.tasks.iter().map(ToString::to_string));
            }
            let mut answer = reply::parts(self.commands.step(Step::Reassert, arguments).await?)?;
            match answer.text()?.as_str() {
                "streams" => {
                    let mut answers = answer.parts()?;
                    while let Some(one) = answers.next() {
                        all.push(asserted(reply::parts(one)?)?);
                    }
                }
                "buried" => return Ok(Reasserted::Buried),
                "nohealth" => return Ok(Reasserted::NoHealth),
                other => return Err(StoreError::Contract(format!("reassert answered {other:?}"))),
            }
        }
        Ok(Reasserted::Streams(all))
    }

    async fn holder(&self, connection: &ConnectionId) -> Result<Option<(PodId, ClusterId)>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(keys::registration(connection));
        let (value,): (Option<String>,) = self.commands.plain(&pipeline).await?;
        let Some(value) = value else { return Ok(None) };
        let parse = |value: &str| {
            let (pod, cluster) = value.split_once(':')?;
            Some((PodId::parse(pod).ok()?, ClusterId::parse(cluster).ok()?))
        };
        parse(&value).map(Some).ok_or_else(|| StoreError::Contract(format!("registration {value:?}")))
    }
}

fn asserted(mut answer: reply::Parts) -> Result<Asserted, StoreError> {
    match answer.text()?.as_str() {
        "replaced" => Ok(Asserted::Replaced),
        "held" => {
            let epoch = reply::parsed(&answer.text()?)?;
            let end = answer.number()?;
            let mut names = answer.parts()?;
            let mut open = Vec::new();
            while !names.is_empty() {
                open.push(reply::task_id(&names.text()?)?);
            }
            open.sort_unstable();
            Ok(Asserted::Held { epoch, end, open })
        }
        other => Err(StoreError::Contract(format!("an assertion was answered {other:?}"))),
    }
}

#[async_trait]
impl Bus for RedisStore {
    async fn subscribe(&self, pod: &PodId) -> Result<Subscription, StoreError> {
        let stream = listener::subscribe(&self.client, pod).await?;
        let (publisher, subscription) = Subscription::new();
        let (client, commands) = (self.client.clone(), self.commands.clone());
        let listener = Listener { client, commands, pod: pod.clone(), publisher };
        let task = tokio::spawn(listener.run(stream)).abort_handle();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|_, listener| !listener.is_finished());
        if let Some(before) = listeners.insert(pod.clone(), task) {
            before.abort();
        }
        Ok(subscription)
    }

    async fn emit(&self, event: &Emit) -> Result<Emitted, StoreError> {
        self.log(event, event.is_final).await
    }

    async fn end(&self, event: &Emit) -> Result<Emitted, StoreError> {
        let emitted = self.log(event, true).await?;
        if emitted == Emitted::Logged {
            let mut pipeline = redis::pipe();
            pipeline.cmd("PUBLISH").arg(keys::CONTROL_CHANNEL).arg(wire::ended(&event.task)).ignore();
            self.commands.plain::<()>(&pipeline).await?;
        }
        Ok(emitted)
    }

    async fn foreign(&self, foreign: &Foreign) -> Result<Taken, StoreError> {
        let event = &foreign.event;
        let arguments = [
            event.connection.to_string(),
            foreign.generation.0.to_string(),
            event.task.to_string(),
            event.event_id.to_string(),
            u8::from(foreign.named).to_string(),
            u8::from(event.is_final).to_string(),
            event.status.to_string(),
            wire::record(event, event.is_final),
        ];
        let words = [
            ("logged", Taken::Logged),
            ("duplicate", Taken::Duplicate),
            ("final", Taken::AfterFinal),
            ("notheld", Taken::NotHeld),
        ];
        word(self.step(Step::Foreign, arguments).await?, &words)
    }
}

#[async_trait]
impl Tasks for RedisStore {
    async fn submit(&self, submission: &Submission) -> Result<Submitted, StoreError> {
        let fingerprint = data_encoding::HEXLOWER.encode(&submission.fingerprint);
        let arguments = [
            submission.task.to_string(),
            submission.connection.to_string(),
            submission.cluster.to_string(),
            submission.kind.clone(),
            fingerprint,
            submission.accepted_at.to_string(),
            submission.acceptance.to_string(),
        ];
        let mut answer = reply::parts(self.step(Step::Submit, arguments).await?)?;
        let kind = answer.text()?;
        match kind.as_str() {
            "new" | "repeated" => {
                let connection = connection_id(&answer.text()?)?;
                let stream_open = answer.text()? == "1";
                Ok(if kind == "new" {
                    Submitted::New { connection, stream_open }
                } else {
                    Submitted::Repeated { connection, stream_open }
                })
            }
            "request" => Ok(Submitted::OtherRequest),
            "cluster" => Ok(Submitted::OtherCluster(cluster_id(&answer.text()?)?)),
            other => Err(StoreError::Contract(format!("submit answered {other:?}"))),
        }
    }

    async fn task(&self, task: &TaskId) -> Result<Option<TaskRecord>, StoreError> {
        match self.step(Step::Task, [task.to_string()]).await? {
            Value::Nil => Ok(None),
            item => task_record(reply::parts(item)?).map(Some),
        }
    }

    async fn list(&self, query: &TaskQuery) -> Result<TaskPage, StoreError> {
        let arguments = [
            query.cluster.to_string(),
            query.cursor.map_or_else(|| "+inf".to_owned(), |cursor| cursor.to_string()),
            query.limit.max(1).to_string(),
            SCANNED_A_PAGE.to_string(),
            query.connection.as_ref().map(ToString::to_string).unwrap_or_default(),
            query.status.as_ref().map(ToString::to_string).unwrap_or_default(),
        ];
        let mut answer = reply::parts(self.step(Step::List, arguments).await?)?;
        let mut list = answer.parts()?;
        let mut items = Vec::new();
        while let Some(item) = list.next() {
            items.push(task_record(reply::parts(item)?)?);
        }
        let next = answer.text()?;
        let next = if next.is_empty() { None } else { Some(reply::parsed(&next)?) };
        Ok(TaskPage { items, next })
    }

    async fn put_rows(&self, task: &TaskId, rows: Vec<Arc<str>>) -> Result<(), StoreError> {
        let key = keys::task_rows(task);
        let mut pipeline = redis::pipe();
        // An empty first item, for an empty list is none.
        pipeline.atomic().cmd("DEL").arg(&key).ignore().cmd("RPUSH").arg(&key).arg("").ignore();
        for part in rows.chunks(ROWS_A_COMMAND) {
            let part: Vec<&str> = part.iter().map(AsRef::as_ref).collect();
            pipeline.cmd("RPUSH").arg(&key).arg(part).ignore();
        }
        pipeline.cmd("EXPIRE").arg(&key).arg(crate::RETENTION.as_secs()).ignore();
        self.commands.plain(&pipeline).await
    }

    async fn rows(
        &self,
        task: &TaskId,
        from: usize,
        limit: usize,
    ) -> Result<Option<(Vec<Arc<str>>, usize)>, StoreError> {
        let key = keys::task_rows(task);
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("LLEN").arg(&key);
        pipeline.cmd("LRANGE").arg(&key).arg(from.saturating_add(1)).arg(from.saturating_add(limit));
        let (count, rows): (usize, Vec<String>) = self.commands.plain(&pipeline).await?;
        let Some(count) = count.checked_sub(1) else { return Ok(None) };
        let rows = if limit == 0 { Vec::new() } else { rows.into_iter().map(Arc::from).collect() };
        Ok(Some((rows, count)))
    }
}

/// An item of `task` and `list`.
fn task_record(mut item: reply::Parts) -> Result<TaskRecord, StoreError> {
    let task = reply::task_id(&item.text()?)?;
    let connection = connection_id(&item.text()?)?;
    let cluster = cluster_id(&item.text()?)?;
    let kind = item.text()?;
    let accepted_at = reply::parsed(&item.text()?)?;
    let record = item.text()?;
    let latest = if record.is_empty() { None } else { Some(wire::json(&record)?) };
    let is_final = item.text()? == "1";
    Ok(TaskRecord { task, connection, cluster, kind, accepted_at, latest, is_final })
}

fn connection_id(text: &str) -> Result<ConnectionId, StoreError> {
    ConnectionId::parse(text).map_err(|error| StoreError::Contract(format!("connection {text:?} {error}")))
}

fn cluster_id(text: &str) -> Result<ClusterId, StoreError> {
    ClusterId::parse(text).map_err(|error| StoreError::Contract(format!("cluster {text:?} {error}")))
}
