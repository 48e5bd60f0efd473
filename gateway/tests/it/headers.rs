//! What a request and its answer carry over both hops.

use fundbond_gateway::Role;
use http::{Method, Response};

use crate::support::{
    Endpoint, Running, config, empty, get, nowhere, request, routes, send_from, spec, text, whole,
};

/// A gateway in front of a cluster proxy in front of `pod`.
async fn two_hops(pod: &Endpoint) -> (Running, Running) {
    let mut inner = config(&routes(1, &[("cluster1", ", pathPrefix: /api", &[pod.spec()])]));
    inner.role = Role::ClusterProxy;
    inner.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let proxy = Running::with(inner).await;
    let outer = routes(1, &[("cluster1", "", &[spec(proxy.service, proxy.admin)])]);
    (Running::on(&outer).await, proxy)
}

#[tokio::test]
async fn over_two_hops_ids_are_kept_and_the_pod_is_named() {
    let pod = Endpoint::echo("pod-a-9090").await;
    let (gateway, _proxy) = two_hops(&pod).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let sent = [("x-request-id", "desk-7"), ("traceparent", &parent), ("tracestate", "a=1")];
    // By query: the second hop is told by header.
    let got = get(gateway.service, "/api/x?cluster=cluster1", &sent).await;
    assert_eq!((got.status, got.header("x-routed-to")), (200, "cluster1/pod-a-9090"));
    assert_eq!(got.header("x-request-id"), "desk-7");
    assert_eq!(got.header("x-pod-id"), "");
    let seen = &got.json()["headers"];
    assert_eq!(seen["x-request-id"], "desk-7");
    assert_eq!(seen["tracestate"], "a=1");
    assert_eq!(seen["x-cluster-route"], "cluster1");
    assert_eq!(seen["host"], "gateway.test");
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1, 127.0.0.1");
    assert_eq!(seen["x-real-ip"], "127.0.0.1");
    assert_eq!(seen["x-forwarded-host"], "gateway.test");
    let span = seen["traceparent"].as_str().unwrap();
    assert!(span.starts_with(&format!("00-{trace}-")) && span.ends_with("-01") && span != parent, "{span}");
}

#[tokio::test]
async fn without_ids_a_request_gets_them() {
    let pod = Endpoint::echo("pod-a-9090").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[pod.spec()])])).await;
    let bad = [("x-request-id", "a b"), ("traceparent", "nonsense"), ("tracestate", "a=1")];
    let got = get(gateway.service, "/", &bad).await;
    let seen = &got.json()["headers"];
    assert_eq!(got.header("x-request-id").len(), 32);
    assert_eq!(seen["x-request-id"], got.header("x-request-id"));
    assert_eq!(seen["traceparent"].as_str().unwrap().len(), 55);
    assert_eq!(seen["tracestate"], serde_json::Value::Null);
}

#[tokio::test]
async fn spoofed_and_hop_by_hop_headers_do_not_pass() {
    let pod = Endpoint::echo("pod-a-9090").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[pod.spec()])])).await;
    let got = get(
        gateway.service,
        "/",
        &[
            (
                "connection",
                "keep-alive, x-private, authorization, user-id, x-cluster-route, x-request-id, traceparent, \
                 x-forwarded-for, x-real-ip, host, content-length",
            ),
            ("user-id", "u1"),
            ("x-private", "1"),
            ("authorization", "Bearer x"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("proxy-authorization", "Basic x"),
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-prefix", "/evil"),
            ("x-real-ip", "6.6.6.6"),
        ],
    )
    .await;
    let seen = got.json()["headers"].as_object().unwrap().clone();
    let mut names: Vec<_> = seen.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "authorization",
        "host",
        "traceparent",
        "user-id",
        "x-cluster-route",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    ];
    assert_eq!(names, expected);
    assert_eq!((&seen["x-forwarded-for"], &seen["x-real-ip"]), (&"127.0.0.1".into(), &"127.0.0.1".into()));
}

// Every address of 127/8 is this machine's.
#[tokio::test]
async fn an_address_that_a_client_makes_up_is_not_shown_to_a_hop_that_would_believe_it() {
    let pod = Endpoint::echo("pod-a-9090").await;
    let mut inner = config(&routes(1, &[("a", ", default: true", &[pod.spec()])]));
    inner.role = Role::ClusterProxy;
    inner.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxy = Running::with(inner).await;
    let mut outer = config(&routes(1, &[("a", ", default: true", &[spec(proxy.service, proxy.admin)])]));
    outer.trusted_proxies = vec!["127.0.0.5/32".parse().unwrap()];
    let gateway = Running::with(outer).await;
    // A load balancer adds the address of a client in the same network to what that client said.
    let said = request(Method::GET, "/", &[("x-forwarded-for", "6.6.6.6, 127.0.0.9")], empty());
    let got = whole(send_from("127.0.0.5", gateway.service, said).await).await;
    assert_eq!(got.json()["headers"]["x-forwarded-for"], "127.0.0.9, 127.0.0.5, 127.0.0.1");
}

#[tokio::test]
async fn hop_by_hop_headers_of_an_answer_do_not_pass() {
    let pod = Endpoint::start(|_| async {
        let answer = Response::builder()
            .header("connection", "x-private")
            .header("x-private", "1")
            .header("keep-alive", "timeout=1")
            .header("x-kept", "1");
        answer.body(text("ok")).unwrap()
    })
    .await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[pod.spec()])])).await;
    let got = get(gateway.service, "/", &[]).await;
    assert_eq!((got.body.as_str(), got.header("x-kept")), ("ok", "1"));
    assert!(!got.headers.contains_key("x-private") && !got.headers.contains_key("keep-alive"), "{got:?}");
    // No pod said its name.
    assert_eq!(got.header("x-routed-to"), "a");
}

#[tokio::test]
async fn an_error_of_the_second_hop_passes_the_first_as_it_is() {
    let pod = Endpoint::echo("pod-a-9090").await;
    let (gateway, _proxy) = two_hops(&pod).await;
    let route = [("x-cluster-route", "cluster1"), ("x-request-id", "r-1")];
    let got = get(gateway.service, "/elsewhere", &route).await;
    got.is_problem(404, "unknown-path");
    assert_eq!((got.header("x-request-id"), got.header("x-routed-to")), ("r-1", "cluster1"));
}

#[tokio::test]
async fn an_answer_of_its_own_names_the_cluster_and_the_request() {
    let gone = nowhere().await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[spec(gone, gone)])]));
    config.first_sync_wait = std::time::Duration::ZERO;
    let gateway = Running::with(config).await;
    let got = get(gateway.service, "/", &[("x-request-id", "r-1")]).await;
    let problem = got.is_problem(503, "no-ready-endpoint");
    assert_eq!((&problem["instance"], got.header("x-routed-to")), (&"r-1".into(), "a"));
    assert_eq!(got.header("retry-after"), "1");
}
