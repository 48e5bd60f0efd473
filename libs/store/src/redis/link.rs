//! The connection that the steps go over: made when it is needed, given up when it breaks.
//!
//! Every connection learns which life of the server it speaks to, for a restart may have lost what was last
//! written. While the server is away, at most one attempt at a time is made to reach it, after growing waits;
//! steps in between fail at once.

use std::{
    sync::{Arc, Mutex as StdMutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult,
    ServerErrorKind, Value, aio::MultiplexedConnection,
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    clock::{ServerClock, When},
    scripts::{self, PLAIN, Step},
};
use crate::{Observer, StepOutcome, StoreError, wait};

/// How long a connection may take to come about. A server in the same cluster takes a millisecond.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long a step may take. Longer than a stall of a disk that syncs, shorter than anybody waits: a
/// connection that was cut silently is found by this.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A connection, and whom it speaks to.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    /// Tells this connection from an earlier one.
    serial: u64,
    /// The life of the server.
    run: String,
    /// What time it is there.
    clock: Arc<StdMutex<ServerClock>>,
    /// The digest of each script, by [`Step`].
    digests: Arc<[String]>,
}

/// The server is away.
#[derive(Debug)]
struct Down {
    /// When to try again.
    until: Instant,
    failures: u32,
    why: String,
}

/// Why no step was tried.
#[derive(Debug, thiserror::Error)]
#[error("{why}; trying again in {} ms", wait.as_millis())]
struct Waiting {
    why: String,
    wait: Duration,
}

/// No connection, to name where there should be one. An address holds no password.
#[derive(Debug, thiserror::Error)]
#[error("no Redis to work with at {address}")]
struct Unconnected {
    address: String,
    #[source]
    why: Unfit,
}

/// Why a server is not one to work with.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("no connection within {CONNECT_WITHIN:?}")]
    Slow,
    #[error("it is a replica: name the primary, or wait for the failover")]
    Replica,
    #[error("it does not say who it is: INFO has no `{0}`")]
    Nameless(&'static str),
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// The way to the server.
pub(super) struct Commands {
    client: Client,
    scripts: Vec<String>,
    state: Mutex<Way>,
    observer: OnceLock<Arc<dyn Observer>>,
}

struct Way {
    serial: u64,
    link: Result<Link, Down>,
}

/// A step, and the arguments it has beyond those of every step.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) step: Step,
    pub(super) arguments: Vec<String>,
}

impl Commands {
    pub(super) fn new(client: Client, log_floor: usize, log_per_task: usize) -> Self {
        let scripts = Step::ALL.map(|step| scripts::text(step, log_floor, log_per_task));
        let down = Down { until: Instant::now(), failures: 0, why: "not connected yet".into() };
        let state = Mutex::new(Way { serial: 0, link: Err(down) });
        Self { client, scripts: scripts.into(), state, observer: OnceLock::new() }
    }

    /// Tells `observer` from now on; the first one stays.
    pub(super) fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// Tells the observer, if there is one.
    pub(super) fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = self.observer.get() {
            what(&**observer);
        }
    }

    /// Makes one step.
    pub(super) async fn step(&self, step: Step, arguments: Vec<String>) -> Result<Value, StoreError> {
        let mut answers = self.steps(&[Call { step, arguments }]).await;
        answers.pop().unwrap_or_else(|| Err(StoreError::Contract("no answer".into())))
    }

    /// Makes several steps with one write; each has an answer of its own.
    pub(super) async fn steps(&self, calls: &[Call]) -> Vec<Result<Value, StoreError>> {
        let begun = Instant::now();
        let answers = self.unobserved(calls).await;
        self.tell(|observer| {
            let took = begun.elapsed();
            for (call, answer) in calls.iter().zip(&answers) {
                observer.step(call.step.label(), StepOutcome::of(answer), took);
            }
        });
        answers
    }

    async fn unobserved(&self, calls: &[Call]) -> Vec<Result<Value, StoreError>> {
        let link = match self.link().await {
            Ok(link) => link,
            Err(error) => return calls.iter().map(|_| Err(again(&error))).collect(),
        };
        let answers = match link.answers(calls, &self.scripts).await {
            Ok(answers) => answers,
            Err(error) => {
                self.lost(&link, &error).await;
                return calls.iter().map(|_| Err(unreachable(error.clone()))).collect();
            }
        };
        if answers.len() != calls.len() {
            let why = format!("{} answers to {} steps", answers.len(), calls.len());
            return calls.iter().map(|_| Err(StoreError::Contract(why.clone()))).collect();
        }
        let mut checked = Vec::with_capacity(answers.len());
        for answer in answers {
            if let Err(error) = &answer
                && is_gone(error)
            {
                self.lost(&link, error).await;
            }
            checked.push(answer.map_err(judge));
        }
        checked
    }

    /// Makes what is no script: a pipeline of plain commands.
    pub(super) async fn plain<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        let begun = Instant::now();
        let answer = self.plain_unobserved(pipeline).await;
        self.tell(|observer| observer.step(PLAIN, StepOutcome::of(&answer), begun.elapsed()));
        answer
    }

    async fn plain_unobserved<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        let mut link = self.link().await?;
        match pipeline.query_async(&mut link.connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if is_gone(&error) {
                    self.lost(&link, &error).await;
                }
                Err(judge(error))
            }
        }
    }

    /// Asks the server again who it is: a primary can change its history without closing a connection.
    pub(super) async fn verify(&self) -> Result<(), StoreError> {
        let mut link = self.link().await?;
        let found = life(&mut link.connection).await;
        let why = match found {
            Ok((run, clock)) if run == link.run => {
                link.saw(clock);
                return Ok(());
            }
            Ok(_) => "the server's history changed".to_owned(),
            Err(error) => error.to_string(),
        };
        if self.give_up(&link, why.clone()).await {
            // Told here: who asks only wants to know whether all is well.
            tracing::warn!(error = why, "the connection to Redis is given up");
        }
        Err(StoreError::Unreachable(why.into()))
    }

    /// When `moment` was, on the server's clock.
    pub(super) async fn when(&self, moment: Instant) -> Result<When, StoreError> {
        Ok(self.link().await?.clock().when(moment))
    }

    /// The server said its time. False where that was known well enough.
    pub(super) async fn hear_time(
        &self,
        micros: u64,
        sent: Instant,
        received: Instant,
    ) -> Result<bool, StoreError> {
        let link = self.link().await?;
        if link.clock().allows(micros, sent, received) {
            return Ok(false);
        }
        tracing::info!("the clock of Redis was set");
        link.saw(ServerClock::new(micros, sent, received));
        Ok(true)
    }

    /// The connection in use, or a new one.
    async fn link(&self) -> Result<Link, StoreError> {
        // Whoever comes while one connects waits here, a second at most, and shares the outcome.
        let mut way = self.state.lock().await;
        let failures = match &way.link {
            Ok(link) => return Ok(link.clone()),
            Err(Down { until, failures, why }) => {
                let wait = until.saturating_duration_since(Instant::now());
                if !wait.is_zero() {
                    let waiting = Waiting { why: why.clone(), wait };
                    return Err(StoreError::Unreachable(Box::new(waiting)));
                }
                *failures
            }
        };
        way.serial += 1;
        let serial = way.serial;
        match self.connect(serial).await {
            Ok(link) => {
                tracing::info!(run = link.run, "connected to Redis");
                self.tell(|observer| observer.connected());
                way.link = Ok(link.clone());
                Ok(link)
            }
            Err(error) => {
                let address = self.client.get_connection_info().addr().to_string();
                let down = Down::after(failures, format!("{address}: {error}"));
                tracing::debug!(error = down.why, failures, "no connection to Redis");
                way.link = Err(down);
                Err(StoreError::Unreachable(Box::new(Unconnected { address, why: error })))
            }
        }
    }

    async fn connect(&self, serial: u64) -> Result<Link, Unfit> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let connecting = async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let (run, clock) = life(&mut connection).await?;
            let clock = Arc::new(StdMutex::new(clock));
            let mut link = Link { connection, serial, run, clock, digests: Arc::from([]) };
            link.digests = link.load(&self.scripts).await?.into();
            Ok(link)
        };
        tokio::time::timeout(CONNECT_WITHIN, connecting).await.unwrap_or(Err(Unfit::Slow))
    }

    /// `link` is of no use any more; the error is its caller's to tell.
    async fn lost(&self, link: &Link, error: &RedisError) {
        self.give_up(link, error.to_string()).await;
    }

    /// Stops using `link`; false where somebody else has already.
    async fn give_up(&self, link: &Link, why: String) -> bool {
        let mut way = self.state.lock().await;
        let in_use = way.link.as_ref().is_ok_and(|current| current.serial == link.serial);
        if in_use {
            self.tell(|observer| observer.disconnected());
            // The first attempt comes at once: most losses are restarts of one connection.
            way.link = Err(Down { until: Instant::now(), failures: 0, why });
        }
        in_use
    }
}

impl Down {
    fn after(failures: u32, why: String) -> Self {
        Self { until: Instant::now() + wait::after(failures), failures: failures.saturating_add(1), why }
    }
}

impl Link {
    fn clock(&self) -> MutexGuard<'_, ServerClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server was asked for its time once more.
    fn saw(&self, newer: ServerClock) {
        let mut clock = self.clock();
        *clock = clock.better(newer, Instant::now());
    }

    /// One answer a call, from a server that may have to learn the scripts again.
    async fn answers(&self, calls: &[Call], scripts: &[String]) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut answers = self.send(calls).await?;
        if answers.iter().any(forgot_scripts) {
            self.load(scripts).await?;
        }
        for (answer, call) in answers.iter_mut().zip(calls) {
            // What was refused for that was not done.
            if forgot_scripts(answer) {
                let repeated = self.send(std::slice::from_ref(call)).await;
                *answer = repeated.and_then(|mut once| once.pop().unwrap_or(Ok(Value::Nil)));
            }
        }
        Ok(answers)
    }

    /// One write, one answer a call.
    async fn send(&self, calls: &[Call]) -> RedisResult<Vec<RedisResult<Value>>> {
        let now = Timestamp::now().to_string();
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for call in calls {
            let digest = &self.digests[call.step as usize];
            pipeline.cmd("EVALSHA").arg(digest).arg(0).arg(&self.run).arg(&now).arg(&call.arguments);
        }
        pipeline.ignore_errors().query_async(&mut self.connection.clone()).await
    }

    /// Teaches the server the scripts.
    async fn load(&self, scripts: &[String]) -> RedisResult<Vec<String>> {
        let mut pipeline = Pipeline::with_capacity(scripts.len());
        for script in scripts {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(script);
        }
        pipeline.query_async(&mut self.connection.clone()).await
    }
}

/// Names the life of a server: its process, and its history among replicas. A restart changes the first, a
/// failover there and back the second. The server says what time it is, too.
async fn life(connection: &mut MultiplexedConnection) -> Result<(String, ServerClock), Unfit> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("INFO").arg("server").cmd("INFO").arg("replication").cmd("TIME");
    let sent = Instant::now();
    let (server, replication, (seconds, micros)): (String, String, (u64, u64)) =
        pipeline.query_async(connection).await?;
    let clock = ServerClock::new(seconds * 1_000_000 + micros, sent, Instant::now());
    let field = |text: &str, name: &'static str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
        value.ok_or(Unfit::Nameless(name))
    };
    if field(&replication, "role")? != "master" {
        return Err(Unfit::Replica);
    }
    let (run, history) = (field(&server, "run_id")?, field(&replication, "master_replid")?);
    // 64 bits of each: a life is compared with the one before it, not with all there ever were.
    let short = |text: &str| text.chars().take(16).collect::<String>();
    Ok((format!("{}-{}", short(&run), short(&history)), clock))
}

fn forgot_scripts(answer: &RedisResult<Value>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

/// Whether the connection, or the server behind it, is of no use any more.
fn is_gone(error: &RedisError) -> bool {
    let refuses = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly
        )
    );
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || refuses
}

/// What a caller is told: out of contract only where a script itself failed.
fn judge(error: RedisError) -> StoreError {
    const PASSING: [&str; 5] = ["OOM", "MISCONF", "BUSY", "NOREPLICAS", "TRYAGAIN"];
    let passing = error.code().is_some_and(|code| PASSING.contains(&code));
    // Another program wrote under a name of ours: the server is well, and asking again changes nothing.
    let foreign = error.code() == Some("WRONGTYPE");
    let known = foreign || matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Parse);
    if passing || is_gone(&error) || !known {
        unreachable(error)
    } else {
        StoreError::Contract(error.to_string())
    }
}

fn unreachable(error: RedisError) -> StoreError {
    StoreError::Unreachable(Box::new(error))
}

/// The same failure for the next of several steps.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unreachable(source) => StoreError::Unreachable(source.to_string().into()),
        StoreError::Contract(what) => StoreError::Contract(what.clone()),
    }
}
