//! A `redis-server` of a measurement's own: a process in a folder of its own, on a port of this machine alone.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::error::BenchError;

/// How long it may take to answer: it is up within milliseconds.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks whether it answers.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long an answer may take. The client's own half a second is less than a design may hold up the server for.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection on which slow answers are no errors.
pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_LIMIT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// A running server with nothing in it. Dropping it ends the process and removes its folder.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    url: String,
    control: MultiplexedConnection,
    // After the child, so that the folder outlives the process.
    _folder: TempDir,
}

impl RedisServer {
    /// Starts one on TCP, as pods reach theirs, and waits until it answers. It keeps nothing on disk: what a
    /// disk costs is the same for every design.
    ///
    /// # Errors
    /// Where there is no `redis-server`, or it does not answer.
    pub async fn start() -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::RedisStart)?;
        let log = File::create(folder.path().join("log")).map_err(BenchError::RedisStart)?;
        // Any free port. Somebody else may take it first; then the server ends, and that is said.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let port = free.map_err(BenchError::RedisStart)?.port();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(BenchError::RedisStart)?;
        let url = format!("redis://127.0.0.1:{port}");
        let client = Client::open(url.as_str())?;
        let deadline = Instant::now() + START_LIMIT;
        let control = loop {
            match connect(&client).await {
                Ok(control) => break control,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => sleep(LOOK_AGAIN).await,
            }
            if let Some(status) = child.try_wait().map_err(BenchError::RedisStart)? {
                return Err(BenchError::RedisEnded(status));
            }
        };
        Ok(Self { child, url, control, _folder: folder })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// CPU time it has used so far, in user and kernel mode, all its threads. The server asks the kernel, which
    /// tells it microseconds.
    ///
    /// # Errors
    /// Where it is gone.
    pub async fn cpu_time(&self) -> Result<Duration, RedisError> {
        let mut control = self.control.clone();
        let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut control).await?;
        let seconds = ["used_cpu_user:", "used_cpu_sys:"].map(|name| field(&info, name));
        match seconds {
            [Some(user), Some(system)] => Ok(Duration::from_secs_f64(user + system)),
            _ => {
                Err((redis::ErrorKind::UnexpectedReturnType, "INFO cpu has no used_cpu_user or used_cpu_sys")
                    .into())
            }
        }
    }

    /// Ends it at once: nothing in it is worth keeping.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub async fn stop(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(BenchError::RedisStart)
    }
}

fn field(info: &str, name: &str) -> Option<f64> {
    info.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_info_is_found_by_its_whole_name() {
        let info = "# CPU\r\nused_cpu_sys:0.5\r\nused_cpu_user:1.25\r\nused_cpu_user_children:9\r\n";
        assert_eq!(field(info, "used_cpu_user:"), Some(1.25));
        assert_eq!(field(info, "used_cpu_sys:"), Some(0.5));
        assert_eq!(field(info, "used_cpu_idle:"), None);
    }
}
