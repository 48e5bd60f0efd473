//! SIGTERM, with the real program.

use std::{process::Stdio, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::Instant,
};

use crate::client::{TestStream, post, within};

const GRACE: Duration = Duration::from_secs(8);

struct Program {
    child: Child,
    address: std::net::SocketAddr,
}

impl Program {
    /// Starts `pod-service` on any port and reads its address from the log.
    async fn start(grace: Duration) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pod-service"))
            .args(["--host", "127.0.0.1", "--port", "0", "--log-format", "json", "--drain-grace"])
            .arg(format!("{}ms", grace.as_millis()))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = within("the pod to serve", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                if line["msg"] == "pod serves" {
                    return line["address"].as_str().unwrap().parse().unwrap();
                }
            }
            panic!("pod-service ended before it served");
        })
        .await;
        // Keep the pipe open, or a log line would end the program.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    async fn signal(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    }

    async fn open(&self, connection: &str) -> TestStream {
        TestStream::open(self.address, post("/api/fund-events", &json!({"connectionId": connection}))).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_tells_each_of_a_hundred_streams_to_come_back_and_exits_in_time() {
    let mut program = Program::start(GRACE).await;
    let mut streams = Vec::new();
    for n in 0..100 {
        let mut stream = program.open(&format!("s{n}")).await;
        assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
        streams.push(stream);
    }
    let told = Instant::now();
    program.signal().await;
    for mut stream in streams {
        let events = stream.rest().await;
        assert_eq!(events.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["DRAINING"]);
        assert!(stream.ended_cleanly);
        assert_eq!(stream.retries.len(), 2, "one at the start and one with the farewell");
        assert!((800..=1200).contains(&stream.retries[1]), "{:?}", stream.retries);
    }
    let status = within("the exit", program.child.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(told.elapsed() < GRACE, "{:?}", told.elapsed());
}

#[tokio::test]
async fn a_second_sigterm_exits_at_once() {
    let mut program = Program::start(Duration::from_mins(10)).await;
    let mut stream = program.open("s").await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    let body = json!({"correlationId": "long", "connectionId": "s", "kind": "steps", "count": 1000, "delayMs": 1000});
    assert_eq!(crate::client::send(program.address, post("/api/fund-api", &body)).await.status, 202);
    program.signal().await;
    // Draining has begun once a new task is refused; the long task keeps the pod from ending by itself.
    within("the drain", async {
        let body = json!({"correlationId": "late", "kind": "steps", "count": 1});
        while crate::client::send(program.address, post("/api/fund-api", &body)).await.status != 503 {}
    })
    .await;
    program.signal().await;
    let status = within("the exit", program.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(143));
}

#[tokio::test]
async fn a_pod_that_drains_sends_new_streams_away_and_takes_no_new_task() {
    let pod = crate::client::TestPod::start().await;
    // Keeps the pod from ending by itself until its grace is over.
    pod.start_steps("long", "c", 1000, 1000).await;
    pod.shutdown.begin();
    let body = json!({"correlationId": "late", "kind": "steps", "count": 1});
    within("the drain", async { while pod.post("/api/fund-api", &body).await.status != 503 {} }).await;
    let mut stream = pod.open("late", &[], None).await;
    assert_eq!(stream.status, 200);
    assert!(stream.rest().await.is_empty(), "not even CONNECTED: nothing was registered");
    assert!(stream.ended_cleanly && stream.retries[0] >= 2400, "{:?}", stream.retries);
    assert_eq!(pod.post("/api/tasks/long/cancel", &json!({})).await.status, 200, "reads and ends go on");
    pod.stop().await;
}

#[tokio::test]
async fn a_task_that_runs_out_of_time_ends_with_the_reason() {
    let settings = fundbond_pod_service::Settings {
        live: fundbond_pod_service::LiveSettings {
            drain_grace: Duration::from_millis(2_200),
            ..fundbond_pod_service::LiveSettings::USUAL
        },
        ..crate::client::settings()
    };
    let store = std::sync::Arc::new(fundbond_store::MemoryStore::new());
    let pod = crate::client::TestPod::with(settings, store.clone()).await;
    pod.start_steps("long", "c", 1000, 1000).await;
    pod.stop().await;
    let task = fundbond_protocol::TaskId::parse("long").unwrap();
    let record = fundbond_store::Tasks::task(&*store, &task).await.unwrap().unwrap();
    assert!(record.is_final);
    let event: fundbond_protocol::TaskEvent = serde_json::from_str(&record.latest.unwrap()).unwrap();
    assert_eq!(event.status.as_str(), "FAILED");
    assert!(event.message.contains("the pod stopped"), "{}", event.message);
}
