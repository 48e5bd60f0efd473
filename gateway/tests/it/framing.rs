//! Bytes that two readers of one connection could count differently.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    Endpoint, Running, empty, get, piecewise, post, request, routes, send, soon, spec, text, until, whole,
};

/// A server that answers each head on a connection with `answer`, as it stands. Counts heads.
async fn parrot(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(AtomicUsize::new(0));
    let counted = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, SeqCst);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, heads)
}

/// A gateway in front of a parrot, and the endpoint that answers the probes.
async fn before(answer: &'static str) -> (Running, Arc<AtomicUsize>, Endpoint) {
    let probed = Endpoint::echo("pod-a-1").await;
    let (address, heads) = parrot(answer).await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[spec(address, probed.admin)])])).await;
    (gateway, heads, probed)
}

/// Sends `bytes` over a connection of their own and reads to its end.
async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the end of the connection", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn an_answer_with_a_length_beside_its_chunks_arrives_whole() {
    let (gateway, _, _probed) = before(
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n0\r\n\r\n",
    )
    .await;
    let got = get(gateway.service, "/", &[]).await;
    assert_eq!((got.status, got.body.as_str()), (200, "abcdefgh"));
}

#[tokio::test]
async fn an_answer_in_a_coding_that_is_not_passed_on_is_a_502() {
    for coding in ["gzip, chunked", "gzip"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: {coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        let (gateway, _, _probed) = before(Box::leak(answer.into_boxed_str())).await;
        get(gateway.service, "/", &[]).await.is_problem(502, "endpoint-invalid");
    }
}

#[tokio::test]
async fn what_follows_an_answer_uninvited_is_nobodys_answer() {
    let (gateway, _, _probed) = before(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmineHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nothers",
    )
    .await;
    for _ in 0..20 {
        let got = get(gateway.service, "/", &[]).await;
        assert_eq!((got.status, got.body.as_str()), (200, "mine"));
    }
}

#[tokio::test]
async fn a_header_that_some_servers_take_for_another_is_refused() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    for name in ["x_forwarded_for", "x_cluster_route", "user_id"] {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{name}: 6.6.6.6\r\n\r\n");
        let answer = raw(gateway.service, &head).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("underscore"), "{answer}");
    }
    assert_eq!(endpoint.hits(), 0);
}

#[tokio::test]
async fn no_head_that_can_be_sent_stops_a_gateway() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let table = routes(1, &[("a", ", default: true, stripPrefix: 2", &[endpoint.spec()])]);
    let gateway = Running::on(&table).await;
    for line in [
        "OPTIONS * HTTP/1.1",
        "GET // HTTP/1.1",
        "GET /a//b HTTP/1.1",
        "GET /\u{e9}\u{20ac}/x/\u{e9} HTTP/1.1",
        "GET /a/b?cluster=%ff%zz HTTP/1.1",
        "GET /a/b?cluster= HTTP/1.1",
        "GET ? HTTP/1.1",
        "GET http://a HTTP/1.1",
        "GET http://a?x=1 HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "\u{1} / HTTP/1.1",
        "POST / HTTP/1.1\r\ncontent-length: -1",
        "POST / HTTP/1.1\r\ncontent-length: +1",
        "POST / HTTP/1.1\r\ncontent-length: 18446744073709551615",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2",
        "POST / HTTP/1.0\r\ntransfer-encoding: chunked",
        "GET / HTTP/1.1\r\nconnection: \u{e9}, host, content-length, transfer-encoding",
        "GET / HTTP/1.1\r\ntraceparent: 00-\u{e9}",
        "GET / HTTP/1.1\r\nx-cluster-route: \u{e9}",
    ] {
        let head = format!("{line}\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = raw(gateway.service, &head).await;
        assert!(answer.starts_with("HTTP/1."), "{line}: {answer:?}");
    }
    assert_eq!(get(gateway.service, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_never_a_whole_one_at_the_endpoint() {
    let broken = Arc::new(AtomicUsize::new(0));
    let seen = broken.clone();
    let endpoint = Endpoint::start(move |request| {
        let seen = seen.clone();
        async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            assert!(body.is_err(), "{body:?}");
            seen.fetch_add(1, SeqCst);
            http::Response::new(empty())
        }
    })
    .await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    for head in ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let mut stream = TcpStream::connect(gateway.service).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{head}");
        stream.write_all(head.as_bytes()).await.unwrap();
        until("the request to arrive", || endpoint.hits() > broken.load(SeqCst)).await;
        drop(stream);
        let before = endpoint.hits();
        until("the end of the upload", || broken.load(SeqCst) == before).await;
    }
}

#[tokio::test]
async fn a_connection_that_its_endpoint_closed_takes_no_post_down_with_it() {
    // Answers without a word about closing, and closes.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, mut closings) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            drop(stream);
            let _ = closed.send(()).await;
        }
    });
    let probed = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[spec(address, probed.admin)])])).await;
    for _ in 0..200 {
        let got = post(gateway.service, "/", &[], text("body")).await;
        assert_eq!((got.status, got.body.as_str()), (200, "ok"));
        soon("the connection to close", closings.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_passes_and_the_connection_is_not_lent_again() {
    let (gateway, heads, _probed) =
        before("HTTP/1.1 422 Unprocessable Content\r\ncontent-length: 2\r\n\r\nno").await;
    let (feed, body) = piecewise();
    feed.send(Ok("first".into())).await.unwrap();
    let response = send(gateway.service, request(Method::POST, "/", &[], body)).await;
    assert_eq!(whole(response).await.status, 422);
    let before = heads.load(SeqCst);
    drop(feed);
    assert_eq!(get(gateway.service, "/", &[]).await.body, "no");
    assert_eq!(heads.load(SeqCst), before + 1, "the rest of the body went nowhere");
}

#[tokio::test]
async fn requests_in_one_write_are_answered_in_turn() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    let answer = raw(
        gateway.service,
        "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    let at =
        |path: &str| answer.find(&format!("\"target\":\"{path}\"")).unwrap_or_else(|| panic!("{answer}"));
    assert!(at("/1") < at("/2") && at("/2") < at("/3"));
}

#[tokio::test]
async fn a_stream_of_a_client_that_sent_more_than_its_request_ends_with_it() {
    let endpoint = Endpoint::start(|_| async {
        let (feed, body) = piecewise();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(std::time::Duration::from_millis(20));
            loop {
                beat.tick().await;
                if feed.send(Ok("x".into())).await.is_err() {
                    return;
                }
            }
        });
        http::Response::new(body)
    })
    .await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    let mut stream = TcpStream::connect(gateway.service).await.unwrap();
    let two = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(two.as_bytes()).await.unwrap();
    let mut buffer = [0; 512];
    assert!(soon("the stream", stream.read(&mut buffer)).await.unwrap() > 0);
    drop(stream);
    until("the stream to end", || endpoint.connections.load(SeqCst) == 0).await;
}
