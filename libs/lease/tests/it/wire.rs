//! Over sockets: how often a request is made, and that one nobody waits for ends.

use std::{sync::Arc, time::Duration};

use fundbond_lease::{
    Expected, LeaseStore, Written,
    kubernetes::{Kubernetes, KubernetesLeases},
};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Config;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::server::{Server, Trouble};

const DEADLINE: Duration = Duration::from_secs(20);

/// A server at an address, and a way to a lease there.
struct Wire {
    server: Server,
    lease: KubernetesLeases,
    /// One for each connection that ended.
    ended: Arc<Semaphore>,
}

impl Wire {
    async fn new() -> Self {
        let server = Server::new();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(Semaphore::new(0));
        tokio::spawn(accept(listener, server.clone(), ended.clone()));
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let kubernetes = Kubernetes::of(config).unwrap();
        assert_eq!(kubernetes.namespace().as_str(), "default");
        let lease = kubernetes.lease(&"desk".parse().unwrap(), &"k-housekeeper".parse().unwrap());
        Self { server, lease, ended }
    }
}

/// A client that tries again by itself would do so for minutes.
async fn within<T>(attempt: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, attempt).await.expect("an answer in time")
}

async fn accept(listener: TcpListener, server: Server, ended: Arc<Semaphore>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (server, ended) = (server.clone(), ended.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let server = server.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    server.answer(Request::from_parts(parts, body)).await
                }
            });
            // A connection that the server breaks off, or the client, has ended as well.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            ended.add_permits(1);
        });
    }
}

#[tokio::test]
async fn an_attempt_is_one_request_whatever_the_answer() {
    let wire = Wire::new().await;
    let Written::Done(version) = wire.lease.write(Some("a"), Expected::Absent).await.unwrap() else {
        panic!("there was none")
    };
    wire.server.seen();
    let later = |code, reason| Trouble::Refused(code, reason, "later", "leases");
    for trouble in [
        later(429, "TooManyRequests"),
        later(500, "InternalError"),
        later(503, "ServiceUnavailable"),
        later(504, "Timeout"),
        Trouble::Lost,
    ] {
        wire.server.always(Some(trouble.clone()));
        within(wire.lease.read()).await.unwrap_err();
        assert_eq!(wire.server.seen().len(), 1, "{trouble:?}");
        wire.server.always(None);
        // Known again, the renewal is all that is asked for.
        let now = wire.lease.read().await.unwrap().unwrap().version;
        assert_eq!(wire.server.seen().len(), 1);
        wire.server.next(Some(Method::PUT), trouble.clone());
        within(wire.lease.write(Some("a"), Expected::Version(now))).await.unwrap_err();
        assert_eq!(wire.server.seen().len(), 1, "{trouble:?}");
    }
    assert!(wire.lease.read().await.unwrap().unwrap().version > version, "one of them was done");
}

#[tokio::test]
async fn an_attempt_that_is_given_up_is_not_made_again_and_its_connection_ends() {
    let wire = Wire::new().await;
    wire.server.next(None, Trouble::Hang);
    let attempt = wire.lease.read();
    // Until the server has it; then nobody waits any more.
    let arrived = async {
        while wire.server.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = attempt => panic!("{answer:?}"),
        () = arrived => {}
    }
    let ended = tokio::time::timeout(DEADLINE, wire.ended.acquire()).await;
    ended.expect("the server sees the connection end").unwrap().forget();
    assert_eq!(wire.server.seen().len(), 0);
    assert_eq!(wire.lease.read().await.unwrap(), None, "another attempt has another connection");
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_is_cut() {
    let wire = Wire::new().await;
    assert_eq!(wire.lease.read().await.unwrap(), None);
    let ended = tokio::time::timeout(DEADLINE, wire.ended.acquire()).await;
    ended.expect("it does not stay until it is needed, and dead by then").unwrap().forget();
    assert_eq!(wire.lease.read().await.unwrap(), None);
}

#[tokio::test]
async fn kubernetes_is_spoken_to_in_a_way_that_can_be_made_safe() {
    // Nobody speaks TLS there; without anything to speak it with, this would end in another way.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::new(format!("https://{address}").parse().unwrap());
    config.accept_invalid_certs = true;
    let lease = Kubernetes::of(config).unwrap().lease(&"desk".parse().unwrap(), &"l".parse().unwrap());
    let greeted = async {
        use tokio::io::AsyncReadExt as _;
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut first = [0; 3];
        socket.read_exact(&mut first).await.unwrap();
        first
    };
    let (answer, first) = tokio::join!(lease.read(), greeted);
    assert!(answer.is_err());
    assert_eq!(first[0], 0x16, "a handshake, and no request in the clear");
}
