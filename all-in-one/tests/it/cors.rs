//! What a browser is told that shows a page of another origin: through the gateway, and by a pod itself.

use fundbond::SystemConfig;
use fundbond_cli::client::{Answer, Client, ServerUrl};
use fundbond_pod_service::Settings;
use fundbond_protocol::headers;
use http::{Method, header};
use tokio::time::timeout;

use crate::harness::{DEADLINE, Fundbond, parse_stream, with};

const DESK: &str = "https://desk.example.com";
const EVIL: &str = "https://evil.example.com";

async fn system(origins: &str) -> Fundbond {
    let settings = Settings { cors_origins: origins.parse().unwrap(), ..Settings::default() };
    Fundbond::start_with(SystemConfig { settings, ..SystemConfig::ephemeral() }).await
}

/// A client of one pod, past every hop.
fn pod(system: &Fundbond) -> Client {
    Client::new(ServerUrl::of_address(system.pod_address("cluster1", 0)), None)
}

async fn ask(client: &Client, method: Method, path: &str, pairs: &[(&str, &str)], body: &str) -> Answer {
    let request = with(client.request(method, path).unwrap(), pairs, body);
    timeout(DEADLINE, client.send(request)).await.expect("an answer in time").unwrap()
}

fn preflight(origin: &str) -> [(&str, &str); 3] {
    [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,last-event-id,x-cluster-route"),
    ]
}

/// Every line about CORS, and what the answer varies by.
fn said(answer: &Answer) -> Vec<String> {
    let about = |name: &str| name.starts_with("access-control-") || name == "vary";
    let all = answer.headers.iter().filter(|(name, _)| about(name.as_str()));
    let mut lines: Vec<_> = all.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

fn allowed(origin: &str) -> Vec<String> {
    vec![
        "access-control-allow-credentials: true".to_owned(),
        format!("access-control-allow-origin: {origin}"),
        format!("access-control-expose-headers: {}", headers::EXPOSED),
        "vary: Origin".to_owned(),
    ]
}

fn permitted(origin: &str) -> Vec<String> {
    vec![
        "access-control-allow-credentials: true".to_owned(),
        "access-control-allow-headers: content-type,last-event-id,x-cluster-route".to_owned(),
        "access-control-allow-methods: GET, POST, PUT, DELETE, OPTIONS".to_owned(),
        format!("access-control-allow-origin: {origin}"),
        "access-control-max-age: 3600".to_owned(),
        "vary: Origin".to_owned(),
    ]
}

/// Each kind of answer there is, with its status: of the gateway itself, of a pod, streams and problems.
async fn every_kind(client: &Client, origin: &str) -> Vec<(u16, Answer)> {
    let task = r#"{"correlationId":"desk1-fund-1","kind":"steps","count":2}"#;
    let stream = "/api/fund-events/desk1?taskIds=desk1-fund-1&cluster=cluster1";
    let asked = [
        (202, Method::POST, "/api/fund-api?cluster=cluster1", task),
        (200, Method::GET, stream, ""),
        (200, Method::GET, "/api/tasks/desk1-fund-1?cluster=cluster1", ""),
        (200, Method::GET, "/api/openapi.json?cluster=cluster1", ""),
        (404, Method::GET, "/api/tasks/none?cluster=cluster1", ""),
        (405, Method::DELETE, "/api/fund-api?cluster=cluster1", ""),
        (422, Method::POST, "/api/fund-api?cluster=cluster1", "{}"),
    ];
    let mut answers = Vec::new();
    for (status, method, path, body) in asked {
        answers.push((status, ask(client, method, path, &[("origin", origin)], body).await));
    }
    let end = parse_stream(&answers[1].1.body).last().unwrap().id.clone();
    let again = [("origin", origin), ("last-event-id", &end)];
    answers.push((204, ask(client, Method::GET, stream, &again, "").await));
    answers
}

#[tokio::test]
async fn an_allowed_page_may_read_every_answer_and_another_none() {
    let system = system(DESK).await;
    for (client, hop) in [(system.client(None), "through the gateway"), (pod(&system), "of a pod")] {
        for (origin, want) in [(DESK, allowed(DESK)), (EVIL, vec!["vary: Origin".to_owned()])] {
            for (status, answer) in every_kind(&client, origin).await {
                assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
                assert_eq!(said(&answer), want, "{hop}, {status} for {origin}");
            }
        }
        let plain = ask(&client, Method::GET, "/api/tasks?cluster=cluster1", &[], "").await;
        assert_eq!(said(&plain), ["vary: Origin"], "{hop}, of no page: caches are told all the same");
    }
    // The gateway's own problems, too.
    let unnamed = system.get("/api/tasks", &[("origin", DESK)]).await;
    assert_eq!((unnamed.status.as_u16(), said(&unnamed)), (404, allowed(DESK)));
    system.stop().await;
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_first_hop_and_needs_no_route() {
    let system = system(DESK).await;
    for client in [system.client(None), pod(&system)] {
        for path in ["/api/fund-api", "/api/fund-events/desk1"] {
            let answer = ask(&client, Method::OPTIONS, path, &preflight(DESK), "").await;
            assert_eq!((answer.status.as_u16(), said(&answer)), (204, permitted(DESK)), "{path}");
            assert!(answer.body.is_empty() && answer.headers.contains_key(headers::X_REQUEST_ID));
            assert!(!answer.headers.contains_key(headers::X_ROUTED_TO), "no pod was reached");
            let refused = ask(&client, Method::OPTIONS, path, &preflight(EVIL), "").await;
            assert_eq!((refused.status.as_u16(), said(&refused)), (204, vec!["vary: Origin".to_owned()]));
        }
    }
    system.stop().await;
}

#[tokio::test]
async fn any_origin_is_echoed_where_any_may_call() {
    let system = system("any").await;
    for origin in ["http://localhost:4200", EVIL, "null"] {
        let answer = system.get("/api/tasks?cluster=cluster1", &[("origin", origin)]).await;
        assert_eq!((answer.status.as_u16(), said(&answer)), (200, allowed(origin)));
        let answer = system.call(Method::OPTIONS, "/api/fund-api", &preflight(origin), "").await;
        assert_eq!((answer.status.as_u16(), said(&answer)), (204, permitted(origin)));
    }
    system.stop().await;
}

#[tokio::test]
async fn by_default_no_hop_says_a_word_and_no_page_of_another_origin_gets_in() {
    let system = Fundbond::start().await;
    for client in [system.client(None), pod(&system)] {
        for (status, answer) in every_kind(&client, DESK).await {
            assert_eq!((answer.status.as_u16(), said(&answer)), (status, vec![]));
        }
        let options = preflight(DESK);
        let answer = ask(&client, Method::OPTIONS, "/api/fund-api?cluster=cluster1", &options, "").await;
        assert_eq!((answer.status.as_u16(), said(&answer)), (405, vec![]));
        assert_eq!(answer.headers[header::ALLOW], "POST");
    }
    system.stop().await;
}
