//! The Redis of a run.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use fundbond_protocol::{ClusterId, ConnectionId, PodId, keys};
use futures::Stream;
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};
use tokio::time::{Instant, sleep};

use super::{Process, Signal};
use crate::{error::ChaosError, history::History};

/// How long it may take to answer: it is up within milliseconds, and reads what it wrote down in seconds, or in more of them
/// where the machine is busy.
const START_WITHIN: Duration = Duration::from_mins(1);

/// From which size on it writes down what is there in the place of how it came to be: a long run has little of the one and
/// much of the other, and would be reading for many seconds after each start.
const REWRITTEN_FROM: &str = "8mb";

/// How long an answer may take: a server that two thousand clients have just come back to has its hands full.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A Redis that can be ended and started again.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    client: Client,
}

impl Redis {
    /// Starts one and waits until it answers. With `keeps` it writes down each change.
    pub async fn start(
        address: SocketAddr,
        keeps: bool,
        folder: &Path,
        logs: &Path,
        history: &Arc<History>,
    ) -> Result<Self, ChaosError> {
        let mut process = Process::new("redis", Path::new("redis-server"), logs, history);
        process.tell(&["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        process.tell(&["--save", "", "--daemonize", "no", "--dir", &folder.display().to_string()]);
        process.tell(&["--appendonly", if keeps { "yes" } else { "no" }, "--appendfsync", "everysec"]);
        process.tell(&["--auto-aof-rewrite-min-size", REWRITTEN_FROM]);
        let mut redis = Self { process, client: Client::open(format!("redis://{address}/"))? };
        redis.again().await?;
        Ok(redis)
    }

    /// Ends it at once.
    pub async fn kill(&mut self) -> Result<(), ChaosError> {
        self.process.kill().await
    }

    /// Starts it (again) and waits until it answers.
    pub async fn again(&mut self) -> Result<(), ChaosError> {
        self.process.start()?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let answer = async {
                let mut connection = self.connect().await?;
                redis::cmd("PING").query_async::<String>(&mut connection).await
            };
            match answer.await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Whether it runs.
    pub fn look(&mut self) -> bool {
        self.process.look()
    }

    /// Sends a signal to the process.
    pub fn signal(&mut self, signal: Signal) -> Result<(), ChaosError> {
        self.process.signal(signal)
    }

    /// Makes it forget everything.
    pub async fn flush(&self) -> Result<(), ChaosError> {
        let mut connection = self.connect().await?;
        Ok(redis::cmd("FLUSHALL").query_async(&mut connection).await?)
    }

    /// Who holds each of these streams: `{pod}:{cluster}`.
    pub async fn holders(&self, connections: &[&ConnectionId]) -> Result<Vec<Option<String>>, ChaosError> {
        if connections.is_empty() {
            return Ok(Vec::new());
        }
        let mut server = self.connect().await?;
        let names: Vec<_> = connections.iter().map(|connection| keys::registration(connection)).collect();
        Ok(redis::cmd("MGET").arg(names).query_async(&mut server).await?)
    }

    /// Who holds each stream that anybody holds: `{pod}:{cluster}`.
    pub async fn registrations(&self) -> Result<BTreeMap<String, String>, ChaosError> {
        let mut server = self.connect().await?;
        let names: Vec<String> =
            redis::cmd("KEYS").arg(format!("{}*", keys::CONNECTIONS_PREFIX)).query_async(&mut server).await?;
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let holders: Vec<Option<String>> = redis::cmd("MGET").arg(&names).query_async(&mut server).await?;
        let streams = names.iter().map(|name| name.trim_start_matches(keys::CONNECTIONS_PREFIX).to_owned());
        Ok(streams.zip(holders).filter_map(|(stream, holder)| Some((stream, holder?))).collect())
    }

    /// Keys and entries of this pod, beside the registrations that name it and what says that it is dead.
    pub async fn keys_of(&self, pod: &PodId, cluster: &ClusterId) -> Result<Vec<String>, ChaosError> {
        let mut server = self.connect().await?;
        let names = [keys::connections_of(pod), keys::claims_of(pod), keys::node_health(pod)];
        let mut left = Vec::new();
        for name in names {
            if redis::cmd("EXISTS").arg(&name).query_async(&mut server).await? {
                left.push(name);
            }
        }
        let index = keys::node_index(cluster);
        let rank: Option<f64> =
            redis::cmd("ZSCORE").arg(&index).arg(pod.as_str()).query_async(&mut server).await?;
        left.extend(rank.map(|_| index));
        Ok(left)
    }

    /// How many streams this pod holds or left, and whether it is declared dead.
    pub async fn remains(&self, pod: &PodId) -> Result<(usize, bool), ChaosError> {
        let mut server = self.connect().await?;
        let mut both = redis::pipe();
        both.cmd("SCARD").arg(keys::connections_of(pod)).cmd("EXISTS").arg(keys::node_dead(pod));
        Ok(both.query_async(&mut server).await?)
    }

    /// The number of the leader whose orders were obeyed last.
    pub async fn fence(&self, cluster: &ClusterId) -> Result<Option<u64>, ChaosError> {
        let mut server = self.connect().await?;
        Ok(redis::cmd("GET").arg(keys::sweep_fence(cluster)).query_async(&mut server).await?)
    }

    /// Registers a stream by hand.
    pub async fn register(&self, connection: &ConnectionId, holder: &str) -> Result<(), ChaosError> {
        let mut server = self.connect().await?;
        Ok(redis::cmd("SET").arg(keys::registration(connection)).arg(holder).query_async(&mut server).await?)
    }

    /// Everything that it is told from now on, line by line.
    pub async fn monitor(&self) -> Result<impl Stream<Item = String> + use<>, ChaosError> {
        Ok(self.client.get_async_monitor().await?.into_on_message())
    }

    /// Every key that begins so.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, ChaosError> {
        let mut connection = self.connect().await?;
        // A run has some hundred keys; a server that others use would want SCAN.
        Ok(redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await?)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}
