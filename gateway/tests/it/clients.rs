//! What honest clients send passes the guard unchanged.

use std::{fmt::Write as _, sync::atomic::Ordering::SeqCst};

use crate::recorder::Recorded;

const OK: &str = "\r\n\r\nok";

#[tokio::test]
async fn a_thousand_requests_pass_over_one_connection() {
    let recorded = Recorded::start().await;
    let mut client = recorded.client().await;
    for n in 0..1_000 {
        let request = match n % 3 {
            0 => format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{n:03}"),
            _ => format!(
                "POST /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{n:04}\r\n0\r\n\r\n"
            ),
        };
        client.write(&request).await;
        assert!(client.read_until(OK).await.starts_with("HTTP/1.1 200 OK\r\n"), "{n}");
    }
    assert_eq!((recorded.seen.heads(), recorded.seen.opened.load(SeqCst)), (1_000, 1));
}

#[tokio::test]
async fn requests_that_come_together_are_all_answered_in_turn() {
    let recorded = Recorded::start().await;
    let mut client = recorded.client().await;
    let mut all = String::new();
    for n in 0..300 {
        let padding = "x".repeat(n);
        write!(all, "POST /{n} HTTP/1.1\r\nHost: a\r\nX: {padding}\r\nContent-Length: {n}\r\n\r\n{padding}")
            .unwrap();
    }
    // More than any buffer on the way, so that heads and bodies are cut anywhere.
    let (mut read, mut write) = client.0.split();
    let sent = tokio::io::AsyncWriteExt::write_all(&mut write, all.as_bytes());
    let got = async {
        let mut answers = String::new();
        let mut buffer = vec![0; 4096];
        while answers.matches(OK).count() < 300 {
            let length = tokio::io::AsyncReadExt::read(&mut read, &mut buffer).await.unwrap();
            assert!(length > 0, "{answers}");
            answers.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    let (sent, ()) = crate::support::soon("all answers", async { tokio::join!(sent, got) }).await;
    sent.unwrap();
    let text = recorded.seen.text();
    let order: Vec<usize> = (0..300).map(|n| text.find(&format!("POST /{n} HTTP")).unwrap()).collect();
    assert!(order.is_sorted());
}

#[tokio::test]
async fn chunks_with_extensions_and_trailers_arrive_as_the_body_they_are() {
    let recorded = Recorded::start().await;
    let mut client = recorded.client().await;
    client
        .write(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: Checksum, User-Id, Host\r\n\r\n\
             5;a=b;c=\"d e\"\r\nhello\r\n0006\r\n world\r\n0;last\r\nChecksum: 1\r\nUser-Id: root\r\nHost: evil\r\n\r\n",
        )
        .await;
    assert!(client.read_until(OK).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let text = recorded.seen.text();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{text}");
    assert_eq!(body, "5\r\nhello\r\n6\r\n world\r\n0\r\nchecksum: 1\r\n\r\n");
    // The connection goes on.
    client.write("GET /after HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.read_until(OK).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn old_and_unusual_clients_are_served() {
    let recorded = Recorded::start().await;
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://A/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS /x HTTP/1.1\r\nHost:a\r\nX:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut client = recorded.client().await;
        client.write(request).await;
        let answer = client.read_until(OK).await;
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n"), "{request:?}: {answer}");
    }
    // HEAD has a length and no body.
    let mut client = recorded.client().await;
    client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.read_until("\r\n\r\n").await.contains("content-length: 2\r\n"));
}
