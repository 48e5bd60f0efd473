//! A pod in this process, and a small client for it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use fundbond_pod_service::{Config, LiveSettings, PodService, Settings};
use fundbond_protocol::{
    ClusterId, TaskEvent,
    sse::{Event, Item, Parser},
};
use fundbond_service_runtime::Shutdown;
use fundbond_store::{MemoryStore, Store};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle};

/// The most any single expectation waits: far beyond what a loaded machine needs, so that it only ends a
/// test that has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A pod in this process.
pub struct TestPod {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub shutdown: Shutdown,
    pub serving: JoinHandle<Result<(), fundbond_pod_service::RunError>>,
}

/// Settings for tests: quick heartbeats would only add noise, so they stay as they are.
pub fn settings() -> Settings {
    let live = LiveSettings { drain_grace: Duration::from_secs(8), ..LiveSettings::USUAL };
    Settings { live, ..Settings::default() }
}

/// A pod of these settings, on any ports.
pub fn config(settings: Settings) -> Config {
    Config {
        host: [127, 0, 0, 1].into(),
        port: 0,
        admin_port: None,
        node_name: Some("host-test-1.local".into()),
        cluster_id: ClusterId::parse("cluster1").unwrap(),
        live_settings: None,
        settings,
    }
}

impl TestPod {
    pub async fn start() -> Self {
        Self::with(settings(), Arc::new(MemoryStore::new())).await
    }

    /// A pod that has met its store.
    pub async fn with(settings: Settings, store: Arc<dyn Store>) -> Self {
        Self::of(config(settings), store).await
    }

    /// The same, of any configuration.
    pub async fn of(config: Config, store: Arc<dyn Store>) -> Self {
        let mut service = PodService::bind(config, store).await.unwrap();
        service.introduce().await.unwrap();
        Self::serve(service)
    }

    /// A pod that meets its store when that is there.
    pub async fn waiting(settings: Settings, store: Arc<dyn Store>) -> Self {
        Self::serve(PodService::bind(config(settings), store).await.unwrap())
    }

    fn serve(service: PodService) -> Self {
        let (address, admin) = (service.address(), service.admin_address());
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(service.serve(shutdown.clone()));
        Self { address, admin, shutdown, serving }
    }

    pub async fn stop(self) {
        self.shutdown.begin();
        within("the pod to stop", self.serving).await.unwrap().unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.address, Request::get(path).body(Full::default()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.address, post(path, body)).await
    }

    /// Starts a task that counts, and expects it to be accepted.
    pub async fn start_steps(&self, task: &str, connection: &str, count: u32, delay_ms: u64) {
        let body = json!({"correlationId": task, "connectionId": connection, "kind": "steps", "count": count, "delayMs": delay_ms});
        let answer = self.post("/api/fund-api", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }

    /// Opens a stream by body.
    pub async fn open(&self, connection: &str, tasks: &[&str], last: Option<&str>) -> TestStream {
        let mut request = post("/api/fund-events", &json!({"connectionId": connection, "taskIds": tasks}));
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.parse().unwrap());
        }
        TestStream::open(self.address, request).await
    }

    /// Opens a stream from the start, and reads what every stream begins with.
    pub async fn listen(&self, connection: &str, tasks: &[&str]) -> TestStream {
        let mut stream = self.open(connection, tasks, None).await;
        assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
        stream
    }

    /// Its metrics.
    pub async fn metrics(&self) -> String {
        send(self.admin, Request::get("/metrics").body(Full::default()).unwrap()).await.text
    }

    /// Waits until the task has its final event.
    pub async fn until_final(&self, task: &str) -> Value {
        within("a final event", async {
            loop {
                let answer = self.get(&format!("/api/tasks/{task}")).await;
                if answer.json()["finalEvent"] == true {
                    return answer.json();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

/// `what` within [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", "application/json").body(Full::from(body.to_string())).unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request with a body of any kind.
pub async fn exchange<B>(address: SocketAddr, mut request: Request<B>) -> Response<Incoming>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let socket = within("a connection", TcpStream::connect(address)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
    // Ends with the answer: the sender is dropped, and so is the socket once the body is.
    tokio::spawn(connection);
    within("an answer", sender.send_request(request)).await.unwrap()
}

pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    read(exchange(address, request).await).await
}

/// Reads an answer to its end.
pub async fn read(response: Response<Incoming>) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = within("a body", response.into_body().collect()).await.unwrap().to_bytes();
    Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

/// A stream being read.
pub struct TestStream {
    pub status: u16,
    body: Incoming,
    parser: Parser,
    items: std::collections::VecDeque<Item>,
    pub retries: Vec<u64>,
    /// The stream ended by the server's own word, not by a cut.
    pub ended_cleanly: bool,
}

impl TestStream {
    pub async fn open(address: SocketAddr, request: Request<Full<Bytes>>) -> Self {
        let response = exchange(address, request).await;
        Self {
            status: response.status().as_u16(),
            body: response.into_body(),
            parser: Parser::new(1 << 20),
            items: std::collections::VecDeque::new(),
            retries: Vec::new(),
            ended_cleanly: false,
        }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(item) = self.items.pop_front() {
                match item {
                    Item::Event(event) => return Some(event),
                    Item::Retry(millis) => self.retries.push(millis),
                }
            }
            match within("the next event", self.body.frame()).await {
                Some(Ok(frame)) => {
                    let mut items = Vec::new();
                    self.parser.feed(&frame.into_data().unwrap(), &mut items).unwrap();
                    self.items.extend(items);
                }
                Some(Err(_)) => return None,
                None => {
                    self.ended_cleanly = true;
                    return None;
                }
            }
        }
    }

    /// The next event that is not a heartbeat.
    pub async fn next_said(&mut self) -> Option<Event> {
        loop {
            match self.next().await {
                Some(event) if event.name == "HEARTBEAT" => {}
                other => return other,
            }
        }
    }

    /// Everything up to the end, without heartbeats.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next_said().await {
            events.push(event);
        }
        events
    }
}

pub fn task_event(event: &Event) -> TaskEvent {
    serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {}", event.data))
}

pub fn offset(event: &Event) -> u64 {
    event.id.split_once('.').unwrap().1.parse().unwrap()
}
