//! Requests that two servers in a row could read differently reach no endpoint.

use std::sync::atomic::Ordering::SeqCst;

use fundbond_gateway::guard::Refusal;

use crate::{
    corpus::{CHUNKS, HEADS},
    recorder::{Client, Recorded},
    support::{Endpoint, Running, metric, piecewise, routes, until},
};

const GOOD: &str = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "\r\n\r\nok";
const CODED: &str = "POST /coded HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Checks that `answer` is one refusal by `rule` and nothing more.
fn is_refusal(answer: &str, rule: Refusal, what: &str) {
    let status = rule.status().as_u16();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what:?}: {answer:?}");
    assert_eq!(answer.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count(), 1, "{answer:?}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/problem+json\r\n"), "{what:?}: {answer:?}");
    assert!(head.contains("connection: close\r\n"), "{what:?}: {answer:?}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&problem["status"], &problem["detail"]),
        (&status.into(), &rule.to_string().into()),
        "{what:?}"
    );
}

#[tokio::test]
async fn a_hostile_head_gets_the_rule_it_breaks_and_no_endpoint_is_touched() {
    let recorded = Recorded::start().await;
    for (head, rule) in HEADS {
        let mut client = recorded.client().await;
        client.write(head).await;
        is_refusal(&client.read_to_end().await, *rule, head);
    }
    assert_eq!(recorded.seen.opened.load(SeqCst), 0);
}

#[tokio::test]
async fn a_hostile_head_behind_an_answered_request_is_refused_alone() {
    let recorded = Recorded::start().await;
    for (head, rule) in HEADS {
        recorded.seen.forget();
        let mut client = recorded.client().await;
        client.write(GOOD).await;
        assert!(client.read_until(OK).await.starts_with("HTTP/1.1 200 OK\r\n"));
        client.write(head).await;
        is_refusal(&client.read_to_end().await, *rule, head);
        assert_eq!(recorded.seen.heads(), 1, "{}", recorded.seen.text());
    }
}

#[tokio::test]
async fn a_hostile_head_in_one_write_with_a_good_one_is_answered_in_its_turn() {
    let recorded = Recorded::start().await;
    for (head, rule) in HEADS {
        recorded.seen.forget();
        let mut client = recorded.client().await;
        let body = "POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        client.write(&format!("{GOOD}{body}{head}{GOOD}")).await;
        for _ in 0..2 {
            assert!(client.read_until(OK).await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        is_refusal(&client.read_to_end().await, *rule, head);
        assert_eq!(recorded.seen.heads(), 2, "{}", recorded.seen.text());
    }
}

#[tokio::test]
async fn a_hostile_head_that_comes_byte_by_byte_is_refused_all_the_same() {
    let recorded = Recorded::start().await;
    for (head, rule) in HEADS.iter().step_by(7) {
        let mut client = recorded.client().await;
        let end = head.find("\r\n\r\n").map_or(head.len(), |end| end + 4);
        for at in 0..end {
            if !head.is_char_boundary(at) || !head.is_char_boundary(at + 1) {
                continue;
            }
            // Refused before its end, the rest is no longer read.
            client.write(&head[at..=at]).await;
            tokio::task::yield_now().await;
        }
        if head.is_ascii() {
            is_refusal(&client.read_to_end().await, *rule, head);
        }
    }
    assert_eq!(recorded.seen.opened.load(SeqCst), 0);
}

#[tokio::test]
async fn a_malformed_chunk_is_a_400_and_breaks_the_request_off_at_the_endpoint() {
    let recorded = Recorded::start().await;
    let seen = &recorded.seen;
    for (body, rule) in CHUNKS {
        for before in ["", GOOD] {
            seen.forget();
            let mut client = recorded.client().await;
            client.write(before).await;
            if !before.is_empty() {
                client.read_until(OK).await;
            }
            client.write(CODED).await;
            until("the head to arrive", || seen.text().contains("/coded")).await;
            client.write("4\r\ngood\r\n").await;
            client.write(body).await;
            let answer = client.read_to_end().await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{rule:?} {body:?}: {answer}");
            assert!(
                answer.contains("application/problem+json") && answer.contains("request-body-broken"),
                "{answer}"
            );
            until("the endpoint to be told", || seen.closed.load(SeqCst) == seen.opened.load(SeqCst)).await;
            assert!(!seen.text().ends_with("0\r\n\r\n"), "{body:?} {}", seen.text());
        }
    }
}

#[tokio::test]
async fn a_refusal_waits_for_the_stream_before_it() {
    let (feed, body) = piecewise();
    let body = std::sync::Mutex::new(Some(body));
    let endpoint =
        Endpoint::start(move |_| {
            let body = body.lock().unwrap().take().expect("one request");
            async move {
                http::Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
            }
        })
        .await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[endpoint.spec()])])).await;
    let mut client = Client::connect(gateway.service).await;
    client.write(GOOD).await;
    feed.send(Ok("one".into())).await.unwrap();
    client.read_until("one\r\n").await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    let refused = "fund_gateway_requests_refused_total{rule=\"not-one-host\"}";
    while metric(gateway.admin, refused).await != Some(1.0) {
        // sleep-ok: between two looks at a condition
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    feed.send(Ok("two".into())).await.unwrap();
    assert_eq!(client.read_until("two\r\n").await, "3\r\ntwo\r\n");
    drop(feed);
    assert_eq!(client.read_until("0\r\n\r\n").await, "0\r\n\r\n");
    is_refusal(&client.read_to_end().await, Refusal::Host, "the second");
    assert_eq!(endpoint.hits(), 1);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_431() {
    let recorded = Recorded::start().await;
    let many = "X: 1\r\n".repeat(100);
    let large = format!("X: {}\r\n", "x".repeat(16 * 1024));
    for (fields, rule, limit) in [
        (many, Refusal::TooManyFields, "more than 100 header lines"),
        (large, Refusal::HeadTooLarge, "larger than 16384 bytes"),
    ] {
        let mut client = recorded.client().await;
        client.write(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        let answer = client.read_to_end().await;
        is_refusal(&answer, rule, "a large head");
        assert!(answer.contains(limit), "{answer}");
    }
    assert_eq!(recorded.seen.opened.load(SeqCst), 0);
    // As large as allowed.
    let many = "X: 1\r\n".repeat(99);
    let large = format!("X: {}\r\n", "x".repeat(16 * 1024 - 17 - 8 - 5 - 3));
    for fields in [many, large] {
        let mut client = recorded.client().await;
        client.write(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert!(client.read_until(OK).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up_in_time() {
    let recorded = Recorded::start().await;
    for begun in ["GET / HTTP/1.1\r\nHost: a\r\nX: ", "", "\r\n"] {
        let mut client = recorded.client().await;
        client.write(begun).await;
        tokio::time::pause();
        assert_eq!(client.read_to_end().await, "");
        tokio::time::resume();
    }
    assert_eq!(recorded.seen.opened.load(SeqCst), 0);
}
