//! An endpoint that keeps every byte it is sent, and a client that writes every byte itself.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{Endpoint, Running, routes, soon, spec};

/// What came over the connections to an endpoint.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) opened: Arc<AtomicUsize>,
    pub(crate) closed: Arc<AtomicUsize>,
}

impl Seen {
    /// Everything, in the order it came.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    pub(crate) fn forget(&self) {
        self.bytes.lock().unwrap().clear();
    }

    /// How many requests began.
    pub(crate) fn heads(&self) -> usize {
        self.text().matches(" HTTP/1.1\r\n").count()
    }

    /// Reads one connection, answering each whole request with `ok`.
    async fn record(self, mut stream: TcpStream) {
        self.opened.fetch_add(1, SeqCst);
        let (mut pending, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
            pending.extend_from_slice(&buffer[..read]);
            while let Some(length) = request_length(&pending) {
                pending.drain(..length);
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                    break;
                }
            }
        }
        self.closed.fetch_add(1, SeqCst);
    }
}

/// The length of the whole request at the beginning of `bytes`, as the gateway frames requests.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let find = |what: &[u8], from: usize| {
        bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at + what.len())
    };
    let head = find(b"\r\n\r\n", 0)?;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        if !bytes.ends_with(b"\r\n\r\n") {
            // Looking for more would take long in a large body.
            return None;
        }
        // Trailers are the end of the line of nothing, fields, and an empty line.
        return find(b"\r\n0\r\n", head - 2).and_then(|last| find(b"\r\n\r\n", last - 2));
    }
    let length = text
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.lines().next().unwrap().parse::<usize>().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

/// A gateway before an endpoint that keeps what it is sent.
pub(crate) struct Recorded {
    pub(crate) gateway: Running,
    pub(crate) seen: Seen,
    endpoint: JoinHandle<()>,
    _probed: Endpoint,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.endpoint.abort();
    }
}

impl Recorded {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let kept = seen.clone();
        let endpoint = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(kept.clone().record(stream));
            }
        });
        let probed = Endpoint::echo("pod-a-1").await;
        let table = routes(1, &[("a", ", default: true", &[spec(address, probed.admin)])]);
        Self { gateway: Running::on(&table).await, seen, endpoint, _probed: probed }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.gateway.service).await
    }
}

/// A connection whose bytes the test writes.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) async fn write(&mut self, bytes: &str) {
        soon("room to write", self.0.write_all(bytes.as_bytes())).await.unwrap();
    }

    /// Everything up to and with `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            let byte = soon(end, self.0.read_u8()).await;
            got.push(byte.unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&got))));
        }
        String::from_utf8(got).unwrap()
    }

    /// Everything to the end of the connection, which is no reset.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut got = String::new();
        soon("the end of the connection", self.0.read_to_string(&mut got)).await.unwrap();
        got
    }
}
