//! An answer that comes before the end of an upload reaches a client that is still sending.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::{
    recorder::{Client, Recorded},
    support::{Running, config, metric, nowhere, routes, soon, spec},
};

const MIB: usize = 1024 * 1024;

/// Sends all of an upload before it reads anything, as simple clients do; the answer.
async fn upload(gateway: &Running, head: &str, mebibytes: usize, is_chunked: bool) -> String {
    let mut client = Client::connect(gateway.service).await;
    let framing = if is_chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", mebibytes * MIB)
    };
    client.write(&format!("{head}\r\nHost: a\r\n{framing}\r\n\r\n")).await;
    let piece = "x".repeat(MIB);
    for _ in 0..mebibytes {
        if is_chunked {
            client.write(&format!("{MIB:x}\r\n{piece}\r\n")).await;
        } else {
            client.write(&piece).await;
        }
    }
    if is_chunked {
        client.write("0\r\n\r\n").await;
    }
    client.read_to_end().await
}

async fn connections(gateway: &Running) -> f64 {
    metric(gateway.admin, "fund_gateway_connections_open").await.unwrap()
}

#[tokio::test]
async fn an_upload_that_is_too_large_or_goes_nowhere_gets_its_answer() {
    let recorded = Recorded::start().await;
    let elsewhere = "POST / HTTP/1.1\r\nX-Cluster-Route: nowhere";
    let refused = "POST / HTTP/1.1\r\nX_y: 1";
    for is_chunked in [false, true] {
        for (head, mebibytes, status, slug) in [
            ("POST / HTTP/1.1", 12, 413, "body-too-large"),
            (elsewhere, 6, 404, "unknown-route"),
            (refused, 6, 400, "bad-request-head"),
        ] {
            let answer = upload(&recorded.gateway, head, mebibytes, is_chunked).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{slug} {is_chunked}: {answer:?}");
            assert!(answer.contains(slug), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn an_upload_to_no_endpoint_gets_its_503() {
    let gone = nowhere().await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[spec(gone, gone)])]));
    config.first_sync_wait = Duration::ZERO;
    let gateway = Running::with(config).await;
    for is_chunked in [false, true] {
        let answer = upload(&gateway, "POST / HTTP/1.1", 6, is_chunked).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("no-ready-endpoint"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_upload_without_end_is_not_read_for_ever() {
    let recorded = Recorded::start().await;
    let mut client = recorded.client().await;
    client
        .write(
            "POST / HTTP/1.1\r\nX-Cluster-Route: nowhere\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n",
        )
        .await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 404 "));
    let (piece, mut sent) = (vec![0; MIB], 0);
    while soon("the gateway to read or to close", client.0.write_all(&piece)).await.is_ok() {
        sent += 1;
        assert!(sent < 40, "the gateway reads on");
    }
    assert!(sent >= 15, "{sent}");
}

#[tokio::test]
async fn a_client_that_neither_sends_nor_leaves_is_left_after_two_seconds() {
    let recorded = Recorded::start().await;
    let before = connections(&recorded.gateway).await;
    let mut client = recorded.client().await;
    client.write("POST / HTTP/1.1\r\nX-Cluster-Route: nowhere\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await;
    let begun = Instant::now();
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 404 "));
    // The answer and its end come at once; the connection is kept for what the client may still send.
    assert!(connections(&recorded.gateway).await > before);
    while connections(&recorded.gateway).await > before {
        assert!(begun.elapsed() < Duration::from_secs(15));
        // sleep-ok: between two looks at a condition that has a deadline
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on_only_where_its_body_is_wanted() {
    let recorded = Recorded::start().await;
    let head = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut client = recorded.client().await;
    client.write(&format!("POST / HTTP/1.1\r\n{head}")).await;
    assert_eq!(client.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write("body").await;
    assert!(client.read_until("\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(recorded.seen.text().ends_with("\r\n\r\nbody"));

    let mut client = recorded.client().await;
    client.write(&format!("POST / HTTP/1.1\r\nX-Cluster-Route: nowhere\r\n{head}")).await;
    let mut status = [0; 12];
    soon("an answer", client.0.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
}
