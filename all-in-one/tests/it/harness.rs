//! A system in this process, and a client's view of it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use fundbond::{Running, System, SystemConfig};
use fundbond_cli::{
    client::{Answer, Client, ServerUrl},
    stream::{EventStream, HttpTransport, Policy, Signal},
};
use fundbond_protocol::{ClusterId, ConnectionId, TaskEvent, TaskId, api::OpenStream, headers, sse};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::{runtime::Handle, time::timeout};

/// Longer than anything a test waits for on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A running system. Call [`stop`](Self::stop) at the end of a test: that the system drains in order is part
/// of every promise.
pub(crate) struct Fundbond {
    running: Running,
}

impl Fundbond {
    /// On any free ports, ready to serve.
    pub(crate) async fn start() -> Self {
        Self::start_with(SystemConfig::ephemeral()).await
    }

    /// The same as `config` says.
    pub(crate) async fn start_with(config: SystemConfig) -> Self {
        Self::start_on(&Handle::current(), config).await
    }

    /// The same on the threads of `runtime`.
    pub(crate) async fn start_on(runtime: &Handle, config: SystemConfig) -> Self {
        let running = runtime.spawn(System::start(config)).await.unwrap().unwrap();
        fundbond::ready(&ServerUrl::of_address(running.gateway().admin)).await.unwrap();
        Self { running }
    }

    /// Drains everything.
    pub(crate) async fn stop(self) {
        timeout(DEADLINE, self.running.shutdown()).await.expect("the system drains in time").unwrap();
    }

    /// Display ids of the pods of a cluster.
    pub(crate) fn pods(&self, cluster: &str) -> Vec<String> {
        let cluster = self.running.clusters().iter().find(|c| c.id.as_str() == cluster).unwrap();
        cluster.pods.iter().map(|pod| pod.name.clone()).collect()
    }

    /// Where a pod of a cluster serves.
    pub(crate) fn pod_address(&self, cluster: &str, pod: usize) -> std::net::SocketAddr {
        self.running.clusters().iter().find(|c| c.id.as_str() == cluster).unwrap().pods[pod].address
    }

    /// Admin addresses of the hops in front of a cluster.
    pub(crate) fn proxies(&self, cluster: &str) -> [SocketAddr; 2] {
        let cluster = self.running.clusters().iter().find(|c| c.id.as_str() == cluster).unwrap();
        [self.running.gateway().admin, cluster.proxy.admin]
    }

    /// Admin addresses of the pods of a cluster.
    pub(crate) fn pod_admins(&self, cluster: &str) -> Vec<SocketAddr> {
        let cluster = self.running.clusters().iter().find(|c| c.id.as_str() == cluster).unwrap();
        cluster.pods.iter().map(|pod| pod.admin).collect()
    }

    /// Clients of the admin servers of the gateway, and of each pod.
    pub(crate) fn admins(&self) -> (Client, Vec<Client>) {
        let client = |address| Client::new(ServerUrl::of_address(address), None);
        let pods = self.running.clusters().iter().flat_map(|cluster| &cluster.pods);
        (client(self.running.gateway().admin), pods.map(|pod| client(pod.admin)).collect())
    }

    /// A client through the gateway, with the route header of `cluster` where one is named.
    pub(crate) fn client(&self, cluster: Option<&str>) -> Client {
        let server = ServerUrl::of_address(self.running.gateway().address);
        Client::new(server, cluster.map(|cluster| ClusterId::parse(cluster).unwrap()))
    }

    /// One request through the gateway, with nothing but `pairs` for headers.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        pairs: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let client = self.client(None);
        let request = with(client.request(method, path).unwrap(), pairs, body);
        timeout(DEADLINE, client.send(request)).await.expect("an answer in time").unwrap()
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.call(Method::GET, path, pairs, "").await
    }

    /// Starts a task of `kind: steps`.
    pub(crate) async fn start_steps(&self, cluster: &str, task: &str, count: u32) {
        let body = serde_json::json!({"correlationId": task, "kind": "steps", "count": count});
        self.client(Some(cluster)).submit(&body).await.unwrap();
    }

    /// A stream of `connection`, as the command line client opens one.
    pub(crate) fn stream(
        &self,
        cluster: &str,
        connection: &str,
        tasks: &[&str],
    ) -> EventStream<HttpTransport> {
        let transport = HttpTransport::new(self.client(Some(cluster)), open(connection, tasks));
        EventStream::new(transport, patience(), "")
    }
}

/// A client's patience, shortened: the server wishes for a second before a stream is opened again, which
/// says nothing in a test.
pub(crate) fn patience() -> Policy {
    let soon = Duration::from_millis(20);
    Policy { first: soon, longest_wish: soon, ..Policy::default() }
}

/// A request to open `connection` with `tasks`.
pub(crate) fn open(connection: &str, tasks: &[impl AsRef<str>]) -> OpenStream {
    OpenStream {
        connection_id: ConnectionId::parse(connection).unwrap(),
        task_ids: tasks.iter().map(|task| TaskId::parse(task).unwrap()).collect(),
        user_id: None,
        system: None,
        events: Vec::new(),
    }
}

/// `request` with a body and headers.
pub(crate) fn with(
    mut request: Request<Full<Bytes>>,
    pairs: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    if !body.is_empty() {
        request.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(headers::JSON));
        *request.body_mut() = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    }
    request
}

/// Reads a stream to its end: every event, heartbeats left out.
pub(crate) async fn read_to_end(mut stream: EventStream<HttpTransport>) -> Vec<TaskEvent> {
    let read = async {
        let mut events = Vec::new();
        while let Some(signal) = stream.next().await.unwrap() {
            if let Signal::Event(event) = signal {
                events.push(serde_json::from_str(&event.data).unwrap());
            }
        }
        events
    };
    let mut events: Vec<TaskEvent> = timeout(DEADLINE, read).await.expect("the stream ends in time");
    events.retain(|event| event.status.as_str() != "HEARTBEAT");
    events
}

/// The events of a whole body that was one stream.
pub(crate) fn parse_stream(body: &[u8]) -> Vec<sse::Event> {
    let mut items = Vec::new();
    sse::Parser::new(1 << 20).feed(body, &mut items).unwrap();
    let event = |item| match item {
        sse::Item::Event(event) => Some(event),
        sse::Item::Retry(_) => None,
    };
    items.into_iter().filter_map(event).filter(|event| event.name != "HEARTBEAT").collect()
}

/// Names of statuses, in order.
pub(crate) fn statuses(events: &[TaskEvent]) -> Vec<&str> {
    events.iter().map(|event| event.status.as_str()).collect()
}

/// A body as JSON.
pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}
