//! Endpoints, clients and running gateways.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use fundbond_gateway::{Config, Role, RouteSource, RunError, bind, route_file};
use fundbond_service_runtime::Shutdown;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Nothing in these tests takes this long unless it never happens.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// Awaits `future`, or fails the test.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(DEADLINE, future).await else { panic!("never happened: {what}") };
    value
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        // sleep-ok: between two looks at a condition that has a deadline
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn text(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed()
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed()
}

/// A body that is fed piece by piece; an error breaks it off, dropping the sender ends it.
pub(crate) fn piecewise() -> (mpsc::Sender<std::io::Result<Bytes>>, Body) {
    let (feed, mut pieces) = mpsc::channel::<std::io::Result<Bytes>>(16);
    let stream = futures::stream::poll_fn(move |cx| pieces.poll_recv(cx));
    let frames = futures::StreamExt::map(stream, |piece| piece.map(Frame::data));
    (feed, BodyExt::boxed(StreamBody::new(frames)))
}

/// An endpoint with an admin port whose `/readyz` answers what the test says.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) ready: Arc<AtomicBool>,
    /// Whether nothing at all is answered on the admin port.
    pub(crate) silent: Arc<AtomicBool>,
    /// Probes that came.
    pub(crate) probes: Arc<AtomicUsize>,
    /// Requests that came.
    pub(crate) hits: Arc<AtomicUsize>,
    /// Connections that are open.
    pub(crate) connections: Arc<AtomicUsize>,
    service: JoinHandle<()>,
    readyz: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.service.abort();
        self.readyz.abort();
    }
}

impl Endpoint {
    pub(crate) async fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let (hits, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = hits.clone();
        let handler: Handler = Arc::new(move |request| {
            counted.fetch_add(1, SeqCst);
            Box::pin(handler(request))
        });
        let ready = Arc::new(AtomicBool::new(true));
        let (silent, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (says, hangs, counts) = (ready.clone(), silent.clone(), probes.clone());
        let readyz: Handler = Arc::new(move |_| {
            counts.fetch_add(1, SeqCst);
            if hangs.load(SeqCst) {
                return Box::pin(std::future::pending());
            }
            let status = if says.load(SeqCst) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Box::pin(async move { Response::builder().status(status).body(empty()).unwrap() })
        });
        let (address, service) = serve(handler, connections.clone()).await;
        let (admin, readyz) = serve(readyz, Arc::default()).await;
        Self { address, admin, ready, silent, probes, hits, connections, service, readyz }
    }

    /// One that says its name, method, path and headers as JSON.
    pub(crate) async fn echo(name: &'static str) -> Self {
        Self::start(move |request| async move {
            let headers: serde_json::Map<_, _> = request
                .headers()
                .keys()
                .map(|key| {
                    let all: Vec<_> =
                        request.headers().get_all(key).iter().map(|v| v.to_str().unwrap()).collect();
                    (key.to_string(), all.join("|").into())
                })
                .collect();
            let said = serde_json::json!({
                "name": name,
                "method": request.method().as_str(),
                "target": request.uri().to_string(),
                "headers": headers,
            });
            Response::builder().header("x-pod-id", name).body(text(said.to_string())).unwrap()
        })
        .await
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(SeqCst)
    }

    pub(crate) fn probes(&self) -> usize {
        self.probes.load(SeqCst)
    }

    pub(crate) fn spec(&self) -> String {
        spec(self.address, self.admin)
    }

    /// Under a name, and with whatever else a route file says of it.
    pub(crate) fn named(&self, name: &str, more: &str) -> String {
        named(name, self.address, self.admin, more)
    }
}

pub(crate) fn spec(address: SocketAddr, admin: SocketAddr) -> String {
    format!("{{address: \"{address}\", adminAddress: \"{admin}\"}}")
}

pub(crate) fn named(name: &str, address: SocketAddr, admin: SocketAddr, more: &str) -> String {
    format!("{{name: {name}, address: \"{address}\", adminAddress: \"{admin}\"{more}}}")
}

/// The text of a route file with one route, `a`, which is the default.
pub(crate) fn by_strategy(generation: u64, strategy: &str, endpoints: &[String]) -> String {
    routes(generation, &[("a", ", default: true", endpoints)])
        .replace("  endpoints", &format!("  strategy: {strategy}\n  endpoints"))
}

async fn serve(handler: Handler, connections: Arc<AtomicUsize>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (handler, connections) = (handler.clone(), connections.clone());
            open.spawn(async move {
                connections.fetch_add(1, SeqCst);
                let _leave = Leave(connections);
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, task)
}

struct Leave(Arc<AtomicUsize>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An address where nobody listens.
pub(crate) async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The text of a route file with one route a value.
pub(crate) fn routes(generation: u64, routes: &[(&str, &str, &[String])]) -> String {
    let list: Vec<String> = routes
        .iter()
        .map(|(value, more, endpoints)| {
            format!("- match: {{value: {value}{more}}}\n  endpoints: [{}]\n", endpoints.join(", "))
        })
        .collect();
    format!("generation: {generation}\nroutes:\n{}", list.concat())
}

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) service: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<Result<(), RunError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// One with `config`, ready.
    pub(crate) async fn with(config: Config) -> Self {
        let this = Self::unready(config).await;
        this.until_ready().await;
        this
    }

    pub(crate) async fn unready(config: Config) -> Self {
        let bound = bind(config).await.unwrap();
        let (service, admin) = (bound.service_addr(), bound.admin_addr());
        let shutdown = Shutdown::new();
        let task = tokio::spawn(bound.serve(shutdown.clone()));
        Self { service, admin, shutdown, task }
    }

    pub(crate) async fn until_ready(&self) {
        soon("ready", async {
            while get(self.admin, "/readyz", &[]).await.status != 200 {
                // sleep-ok: between two looks at a condition that has a deadline
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// One with a table that never changes and probes every 20 ms, ready.
    pub(crate) async fn on(table: &str) -> Self {
        Self::with(config(table)).await
    }
}

/// A gateway's configuration with a table that never changes and probes every 20 ms.
pub(crate) fn config(table: &str) -> Config {
    let table = route_file::parse(table).unwrap_or_else(|error| panic!("{error}\n{table}"));
    quick(Config::new(Role::Gateway, RouteSource::Static(table)))
}

pub(crate) fn quick(mut config: Config) -> Config {
    config.probe_interval = Duration::from_millis(20);
    config.first_sync_wait = DEADLINE;
    config
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks status and slug of a problem and that it names its request.
    pub(crate) fn is_problem(&self, status: u16, slug: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:fundbond:problem:{slug}"), "{self:?}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], self.header("x-request-id"));
        problem
    }
}

/// An own connection to `address`.
pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn request(method: Method, target: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", "gateway.test");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// Sends one request over its own connection; the head of the answer.
pub(crate) async fn send(address: SocketAddr, request: Request<Body>) -> Response<Incoming> {
    let mut sender = connect(address).await;
    soon("an answer", sender.send_request(request)).await.unwrap()
}

/// Sends one request from `source`, an address of this machine.
pub(crate) async fn send_from(
    source: &str,
    address: SocketAddr,
    request: Request<Body>,
) -> Response<Incoming> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    soon("an answer", sender.send_request(request)).await.unwrap()
}

/// The whole of `response`.
pub(crate) async fn whole(response: Response<Incoming>) -> Got {
    let (parts, body) = response.into_parts();
    let body = soon("the end of the answer", body.collect()).await.unwrap().to_bytes();
    Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) async fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Got {
    whole(send(address, request(Method::GET, target, headers, empty())).await).await
}

pub(crate) async fn post(address: SocketAddr, target: &str, headers: &[(&str, &str)], body: Body) -> Got {
    whole(send(address, request(Method::POST, target, headers, body)).await).await
}

/// The next piece of a body: data, its end, or its breaking off.
pub(crate) async fn next(body: &mut Incoming) -> Option<Result<String, hyper::Error>> {
    let frame = soon("a piece of the answer", body.frame()).await?;
    Some(frame.map(|frame| String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()))
}

/// The value of `series` (name with labels) among `metrics`.
pub(crate) async fn metric(admin: SocketAddr, series: &str) -> Option<f64> {
    let got = get(admin, "/metrics", &[]).await;
    let line =
        got.body.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}
