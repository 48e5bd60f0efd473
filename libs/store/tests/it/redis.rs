//! The contract on a real Redis: one server of its own for each scenario, on a socket in a folder of its own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{ConnectionId, PodId, keys::NODES_PREFIX};
use fundbond_store::{RedisStore, Registry as _, Store, redis::Config};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tempfile::TempDir;

use crate::scene::{DEADLINE, Fixture, LOG_FLOOR, Loss, connection};

/// A server process. It dies with this.
pub(crate) struct Server {
    folder: TempDir,
    process: Mutex<Option<Child>>,
    /// What commands go over, from the first to the death of the process.
    line: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let server = Self { folder, process: Mutex::default(), line: tokio::sync::Mutex::default() };
        server.launch();
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.path("redis.sock").display())
    }

    fn launch(&self) {
        let log = std::fs::File::create(self.path("redis.log")).unwrap();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--enable-debug-command", "yes"])
            .arg("--unixsocket")
            .arg(self.path("redis.sock"))
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .expect("redis-server runs: install it (Debian: apt-get install redis-server)");
        *self.process.lock().unwrap() = Some(child);
    }

    fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends one command, apart from what the store under test sends.
    pub(crate) async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut line = self.line.lock().await;
        if line.is_none() {
            // The library would give up after half a second, which a save on a busy disk may take.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(DEADLINE))
                .set_response_timeout(Some(DEADLINE));
            let client = redis::Client::open(self.url())?;
            *line = Some(client.get_multiplexed_async_connection_with_config(&config).await?);
        }
        let connection = line.as_mut().expect("it was made");
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let answer = command.query_async(connection).await;
        if answer.is_err() {
            *line = None;
        }
        answer
    }

    /// Waits until the server answers.
    pub(crate) async fn ready(&self) {
        let answering = async {
            while self.command::<String>(&["PING"]).await.is_err() {
                // sleep-ok: another process has to come up.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, answering).await.expect("redis-server answers in time");
    }

    /// Kills the server and starts it again with what `loss` leaves.
    pub(crate) async fn restart(&self, loss: Loss) {
        if matches!(loss, Loss::Nothing) {
            self.command::<String>(&["SAVE"]).await.unwrap();
        }
        self.kill();
        match loss {
            Loss::Nothing => {}
            Loss::Everything => {
                let _ = std::fs::remove_file(self.path("dump.rdb"));
            }
            Loss::SinceBackup => {
                std::fs::copy(self.path("backup.rdb"), self.path("dump.rdb")).unwrap();
            }
        }
        self.launch();
        self.ready().await;
    }

    /// What a restart does to data and connections, in a process that goes on: quicker by far, and the same
    /// to everybody outside. The history is another one, as after a failover.
    pub(crate) async fn replace_life(&self, loss: Loss) {
        match loss {
            Loss::Nothing => {}
            Loss::Everything => self.command::<()>(&["FLUSHALL"]).await.unwrap(),
            Loss::SinceBackup => {
                std::fs::copy(self.path("backup.rdb"), self.path("dump.rdb")).unwrap();
                self.command::<()>(&["DEBUG", "RELOAD", "NOSAVE"]).await.unwrap();
            }
        }
        self.command::<()>(&["DEBUG", "CHANGE-REPL-ID"]).await.unwrap();
        for kind in ["normal", "pubsub"] {
            self.command::<u32>(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await.unwrap();
        }
    }

    pub(crate) async fn back_up(&self) {
        self.command::<String>(&["SAVE"]).await.unwrap();
        std::fs::copy(self.path("dump.rdb"), self.path("backup.rdb")).unwrap();
    }

    /// Takes `time` off the life of every key, as if it had passed: nothing else in the scripts goes by
    /// the clock. Only lists of nodes, and what belongs to accepted tasks that have not ended, may live for ever.
    pub(crate) async fn age(&self, time: Duration) {
        let script = "for _, key in ipairs(redis.call('KEYS', '*')) do
            local left = redis.call('PTTL', key)
            if left >= 0 then redis.call('PEXPIRE', key, math.max(0, left - ARGV[1])) end
            local task = string.match(key, '^task%-body:(.*)') or string.match(key, '^task%-state:(.*)')
            local pending = false
            if task then
                local state = redis.call('HMGET', 'task-state:' .. task, 'cluster', 'final')
                pending = state[1] and state[2] ~= '1'
            end
            local queue = string.match(key, '^tasks:') or string.match(key, '^task%-claims:')
            local nodes = string.sub(key, 1, #ARGV[2]) == ARGV[2]
            if left == -1 and not pending and not queue and not nodes then
                return redis.error_reply(key .. ' lives for ever')
            end
        end return 'OK'";
        let time = time.as_millis().to_string();
        self.command::<String>(&["EVAL", script, "0", &time, NODES_PREFIX]).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) struct Redis {
    pub(crate) server: Arc<Server>,
    store: Arc<RedisStore>,
}

/// Waits until the store has its connection, which it gives itself little time for: less than a busy machine may take.
pub(crate) async fn connected(store: &RedisStore) {
    let connecting = async {
        while store.holder(&connection("any")).await.is_err() {
            // sleep-ok: the store waits before it connects again.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, connecting).await.expect("the store connects in time");
}

pub(crate) async fn redis_fixture() -> Redis {
    let server = Arc::new(Server::start());
    server.ready().await;
    let config = Config { log_floor: LOG_FLOOR, ..Config::at(server.url()) };
    let store = Arc::new(RedisStore::new(&config).unwrap());
    connected(&store).await;
    Redis { server, store }
}

#[async_trait]
impl Fixture for Redis {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn back_up(&self) {
        self.server.back_up().await;
    }

    async fn restart(&self, loss: Loss) {
        self.server.restart(loss).await;
        connected(&self.store).await;
    }

    async fn advance(&self, time: Duration) {
        self.server.age(time).await;
    }

    async fn publish(&self, message: &str) {
        let channel = fundbond_protocol::keys::FOREIGN_CHANNEL;
        self.server.command::<u32>(&["PUBLISH", channel, message]).await.unwrap();
    }

    async fn plant(&self, stream: &str, owner: &str, cluster: &str) {
        let key = fundbond_protocol::keys::registration(&ConnectionId::parse_kept(stream).unwrap());
        self.server
            .command::<()>(&["SET", &key, &format!("{owner}:{cluster}"), "EX", "86400"])
            .await
            .unwrap();
    }

    async fn cut(&self, _pod: &PodId) {
        self.server.command::<u32>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
    }
}

crate::contract::contract_suite!(super::redis_fixture().await, #[tokio::test]);

// Whoever runs several of them wants to know which one is away.
#[tokio::test]
async fn a_server_that_is_not_there_is_named_by_its_address_and_not_by_its_password() {
    // Nobody listens where a listener has just been.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = RedisStore::new(&Config::at(format!("redis://user:secret@{address}"))).unwrap();
    // At once, and while it waits to try again.
    for attempt in 0..3 {
        let error = store.holder(&connection("c")).await.unwrap_err();
        let mut said = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            said = format!("{said}: {cause}");
            source = cause.source();
        }
        assert!(said.contains(&address.to_string()), "attempt {attempt}: {said}");
        assert!(said.contains("refused"), "attempt {attempt}: {said}");
        assert!(!said.contains("secret"), "attempt {attempt}: {said}");
    }
}
