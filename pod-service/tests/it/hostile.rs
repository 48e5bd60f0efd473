//! Whatever arrives: the right problem, and a pod that goes on as if nothing had been.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::client::{TestPod, within};

/// Sends bytes as they are and reads to the end.
async fn raw(pod: &TestPod, bytes: &[u8]) -> String {
    let mut socket = within("a connection", TcpStream::connect(pod.address)).await.unwrap();
    // The pod may answer and close before it has read everything: that is its right.
    let _ = within("a request to be taken", socket.write_all(bytes)).await;
    let mut answer = Vec::new();
    let _ = within("the end of an answer", socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request in bytes, so that nothing is tidied up on its way.
fn request(method: &str, target: &[u8], headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} ").into_bytes();
    bytes.extend_from_slice(target);
    let length = body.len();
    let head =
        format!(" HTTP/1.1\r\nhost: pod\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

const JSON: &str = "content-type: application/json\r\n";

/// Status, headers and problem of an answer.
fn parts(answer: &str) -> (u16, String, Value) {
    let status = answer.get(9..12).and_then(|text| text.parse().ok()).unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

async fn expect_problem(pod: &TestPod, bytes: &[u8], status: u16, slug: &str) -> Value {
    let answer = raw(pod, bytes).await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let (found, head, problem) = parts(&answer);
    assert_eq!(found, status, "{shown}: {answer}");
    assert_eq!(problem["type"], format!("urn:fundbond:problem:{slug}"), "{shown}: {answer}");
    assert!(head.contains("content-type: application/problem+json"), "{shown}: {head}");
    let id = problem["instance"].as_str().unwrap_or_default();
    assert!(!id.is_empty() && head.contains(&format!("x-request-id: {id}")), "{shown}: {head}");
    problem
}

async fn expect_alive(pod: &TestPod) {
    assert_eq!(pod.get("/api/tasks?limit=1").await.status, 200);
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused_by_kind() {
    let pod = TestPod::start().await;
    let nested = |open: &str, close: &str, times: usize| [open.repeat(times), close.repeat(times)].concat();
    let bomb = format!(r#"{{"correlationId":"t","kind":"steps","count":{}}}"#, nested("[", "]", 1_000_000));
    let object_bomb = nested(r#"{"a":"#, "}", 200_000);
    for (body, status, slug) in [
        (&b""[..], 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (br#"{"correlationId":"t","#, 400, "malformed-json"),
        (br#"{"correlationId":"t"}}"#, 400, "malformed-json"),
        (b"\xef\xbb\xbf{}", 400, "malformed-json"),
        (b"{\"correlationId\":\"\xff\"}", 400, "malformed-json"),
        (br#"{"correlationId":"t","kind":"steps","count":NaN}"#, 400, "malformed-json"),
        (br#"{"correlationId":"t","kind":"steps","count":Infinity}"#, 400, "malformed-json"),
        (br#"{"correlationId":"t","kind":"steps","count":1e999}"#, 400, "malformed-json"),
        (bomb.as_bytes(), 400, "malformed-json"),
        (object_bomb.as_bytes(), 400, "malformed-json"),
        (b"null", 422, "invalid-request"),
        (b"[]", 422, "invalid-request"),
        (b"7", 422, "invalid-request"),
        (b"\"t\"", 422, "invalid-request"),
        (br#"{"correlationId":"t","kind":"steps","count":99999999999999999999}"#, 422, "invalid-request"),
        (br#"{"correlationId":"t","kind":"steps","count":1.5}"#, 422, "invalid-request"),
    ] {
        for path in ["/api/fund-api", "/api/fund-events"] {
            // A stream's request has no such fields: it is refused, too, for whatever comes first.
            let bytes = request("POST", path.as_bytes(), JSON, body);
            if path == "/api/fund-api" {
                expect_problem(&pod, &bytes, status, slug).await;
            } else {
                let (found, ..) = parts(&raw(&pod, &bytes).await);
                assert!([400, 413, 422].contains(&found), "{found}");
            }
        }
    }
    assert_eq!(pod.get("/api/tasks/t").await.status, 404, "nothing was started");
    expect_alive(&pod).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_while_it_arrives() {
    let pod = TestPod::start().await;
    let body = vec![b' '; 12 << 20];
    let answer =
        pod.post("/api/fund-api", &json!({"correlationId": "t", "kind": "x".repeat(12 << 20)})).await;
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (413, Some("urn:fundbond:problem:body-too-large"))
    );
    // In chunks, with no length said beforehand.
    let mut chunked = b"POST /api/fund-api HTTP/1.1\r\nhost: pod\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    chunked.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let (status, ..) = parts(&raw(&pod, &chunked).await);
    // The connection may be cut while the rest of the body is on its way, which can cost the client the answer.
    assert!([0, 413].contains(&status), "{status}");
    expect_alive(&pod).await;
}

#[tokio::test]
async fn ids_and_fields_that_are_none_are_named() {
    let pod = TestPod::start().await;
    let long = "x".repeat(65);
    for id in ["", "a:b", "a b", "a\r\nb", "\0", "\u{e9}", "\u{1f4a5}", "\u{202e}a", long.as_str()] {
        let body = json!({"correlationId": id, "kind": "steps", "count": 1}).to_string();
        let bytes = request("POST", b"/api/fund-api", JSON, body.as_bytes());
        let problem = expect_problem(&pod, &bytes, 422, "invalid-request").await;
        assert_eq!(problem["errors"][0]["field"], "correlationId", "{id:?}: {problem}");
        let body = json!({"connectionId": id}).to_string();
        let bytes = request("POST", b"/api/fund-events", JSON, body.as_bytes());
        let problem = expect_problem(&pod, &bytes, 422, "invalid-request").await;
        assert_eq!(problem["errors"][0]["field"], "connectionId", "{id:?}: {problem}");
    }
    let bytes = request("POST", b"/api/fund-events", JSON, br#"{"connectionId":"c","color":"red"}"#);
    let problem = expect_problem(&pod, &bytes, 422, "invalid-request").await;
    assert!(problem["detail"].as_str().unwrap().contains("color"), "{problem}");
    let twice = br#"{"connectionId":"c","connectionId":"d"}"#;
    let problem =
        expect_problem(&pod, &request("POST", b"/api/fund-events", JSON, twice), 422, "invalid-request")
            .await;
    assert!(problem["detail"].as_str().unwrap().contains("duplicate"), "{problem}");
    let twice = br#"{"correlationId":"t","kind":"steps","count":1,"count":2}"#;
    let problem =
        expect_problem(&pod, &request("POST", b"/api/fund-api", JSON, twice), 422, "invalid-request").await;
    assert_eq!(problem["errors"][0]["field"], "count", "{problem}");
    expect_alive(&pod).await;
}

#[tokio::test]
async fn paths_and_queries_in_broken_text_are_problems() {
    let pod = TestPod::start().await;
    for (target, status, slug) in [
        (&b"/api/tasks/%FF"[..], 422, "invalid-request"),
        (b"/api/tasks/%00", 422, "invalid-request"),
        (b"/api/tasks/%0d%0a", 422, "invalid-request"),
        (b"/api/tasks/%zz", 422, "invalid-request"),
        (b"/api/tasks/a%2Fb", 422, "invalid-request"),
        (b"/api/tasks?status=%FF", 422, "invalid-request"),
        (b"/api/tasks?limit=", 422, "invalid-request"),
        (b"/api/tasks?limit=1e3", 422, "invalid-request"),
        (b"/api/tasks?limit=99999999999999999999999", 422, "invalid-request"),
        (b"/api/tasks?limit=-1", 422, "invalid-request"),
        (b"/api/tasks?limit=1&limit=2", 422, "invalid-request"),
        (b"/api/tasks?=&&&==", 422, "invalid-request"),
        (b"/api/tasks/x/rows?cursor=one", 422, "invalid-request"),
        (b"/api/tasks/nobody", 404, "no-such-task"),
        (b"/", 404, "no-such-path"),
        (b"/api", 404, "no-such-path"),
        (b"//api//tasks", 404, "no-such-path"),
        (b"/api/tasks/../../etc/passwd", 404, "no-such-path"),
    ] {
        expect_problem(&pod, &request("GET", target, "", b""), status, slug).await;
    }
    expect_alive(&pod).await;
}

#[tokio::test]
async fn heads_that_are_no_http_end_the_connection_and_nothing_else() {
    let pod = TestPod::start().await;
    let many = "x: y\r\n".repeat(500);
    let long = format!("x: {}\r\n", "y".repeat(64 * 1024));
    for bytes in [
        b"\0\x01\x02\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /api/tasks HTTP/9.9\r\n\r\n".to_vec(),
        request("GET", b"/api/tasks/\xff", "", b""),
        request("GET", b"/api/tasks", &many, b""),
        request("GET", b"/api/tasks", &long, b""),
        request("GET", b"/api/tasks", "bad header\r\n", b""),
        b"POST /api/fund-api HTTP/1.1\r\nhost: pod\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /api/fund-api HTTP/1.1\r\nhost: pod\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
            .to_vec(),
    ] {
        let (status, ..) = parts(&raw(&pod, &bytes).await);
        assert!(
            status == 0 || (400..500).contains(&status),
            "{status}: {:?}",
            String::from_utf8_lossy(&bytes[..60.min(bytes.len())])
        );
        expect_alive(&pod).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing() {
    let pod = TestPod::start().await;
    for _ in 0..20 {
        let mut socket = TcpStream::connect(pod.address).await.unwrap();
        let head =
            format!("POST /api/fund-api HTTP/1.1\r\nhost: pod\r\n{JSON}content-length: 1000\r\n\r\n{{");
        socket.write_all(head.as_bytes()).await.unwrap();
    }
    expect_alive(&pod).await;
    assert_eq!(pod.get("/api/tasks").await.json()["items"], json!([]));
    // Nothing of it holds up the end.
    tokio::time::timeout(Duration::from_secs(30), pod.stop()).await.unwrap();
}
