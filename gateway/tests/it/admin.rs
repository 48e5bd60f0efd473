//! The admin pages.

use std::sync::atomic::Ordering::SeqCst;

use serde_json::json;

use crate::support::{Endpoint, Running, empty, get, metric, request, routes, send, soon, whole};

#[tokio::test]
async fn the_applied_table_is_shown_with_what_probes_say() {
    let a = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(7, &[("a", ", pathPrefix: /api, stripPrefix: 1", &[a.spec()])])).await;
    let shown = get(gateway.admin, "/routes", &[]).await.json();
    let expected = json!({
        "generation": 7,
        "reloadFailures": 0,
        "lastError": null,
        "refused": {},
        "routes": [{
            "name": "a",
            "header": "x-cluster-route",
            "value": "a",
            "pathPrefix": "/api",
            "stripPrefix": 1,
            "default": false,
            "strategy": "RoundRobin",
            "timeouts": {"connect": "2s", "requestBody": "30s", "responseHeaders": "1m", "idle": "30s"},
            "rateLimit": null,
            "limits": {},
            "endpoints": [{
                "name": a.address.to_string(),
                "address": a.address.to_string(),
                "adminAddress": a.admin.to_string(),
                "ready": true,
                "hasAnswered": true,
                "failedProbes": 0,
                "breaker": "closed",
                "underWay": 0,
                "idleConnections": 0,
            }],
        }],
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn the_table_is_a_page_for_people() {
    let (a, b) = (Endpoint::echo("pod-a-1").await, Endpoint::echo("pod-b-1").await);
    let gateway = Running::on(&routes(7, &[("a", ", pathPrefix: /<api>", &[a.spec(), b.spec()])])).await;
    b.ready.store(false, SeqCst);
    let not_ready = format!("<li class=\"bad\">{} ", b.address);
    let got = soon("a probe has noticed", async {
        loop {
            let got = get(gateway.admin, "/", &[]).await;
            if got.body.contains(&not_ready) {
                return got;
            }
            // sleep-ok: between two looks; the deadline is around it.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(got.status, 200);
    assert_eq!(got.headers["content-type"], "text/html; charset=utf-8");
    for part in [
        "<title>Fundbond gateway</title>",
        "1 route, 1 with a ready cluster; table 7.",
        "<code>x-cluster-route: a</code>",
        // What is in a table is text, whatever it looks like.
        "<code>/&lt;api&gt;</code>",
        &format!("<li class=\"ok\">{} ", a.address),
    ] {
        assert!(got.body.contains(part), "{part}: {}", got.body);
    }
}

#[tokio::test]
async fn a_decision_is_explained_and_costs_nobody_a_turn() {
    let (a, b) = (Endpoint::echo("pod-a-1").await, Endpoint::echo("pod-b-1").await);
    let gateway =
        Running::on(&routes(1, &[("a", ", pathPrefix: /api, stripPrefix: 1", &[a.spec(), b.spec()])])).await;
    let explain = async |query: &str| get(gateway.admin, &format!("/explain?{query}"), &[]).await.json();
    for _ in 0..3 {
        let told = explain("cluster=a&path=/api/x&method=POST").await;
        assert_eq!(
            told,
            json!({
                "decision": "forward",
                "generation": 1,
                "route": "a",
                "endpoint": a.address.to_string(),
                "endpointPath": "/x",
                "key": null,
                "group": null,
                "candidates": [
                    {"endpoint": a.address.to_string(), "state": "ready", "underWay": 0},
                    {"endpoint": b.address.to_string(), "state": "ready", "underWay": 0},
                ],
                "why": [
                    "header x-cluster-route is a: route a",
                    "/api/x lies below /api",
                    format!("of the ready endpoints it is the turn of {}", a.address),
                ],
            })
        );
    }
    let told = explain("cluster=a").await;
    assert_eq!((&told["decision"], &told["why"][1]), (&"forward".into(), &"/api lies below /api".into()));
    let told = explain("path=/api").await;
    assert_eq!(told["decision"], "refused");
    assert_eq!(told["why"][0], "nothing names a route and there is no default; known values: a");
    let told = explain("cluster=b").await;
    assert_eq!(told["why"][0], r#"X-Cluster-Route is "b", which no route has; known values: a"#);
    let told = explain("cluster=a&path=/other").await;
    assert_eq!(told["why"][0], "route a takes only /api and what lies below it");
    assert_eq!(get(gateway.admin, "/explain?path=x", &[]).await.status, 400);

    a.ready.store(false, SeqCst);
    b.ready.store(false, SeqCst);
    soon("no endpoint to be ready", async {
        while explain("cluster=a&path=/api").await["decision"] != "noReadyEndpoint" {}
    })
    .await;
}

#[tokio::test]
async fn requests_are_counted_by_bounded_labels() {
    let a = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &[a.spec()])])).await;
    get(gateway.service, "/", &[]).await;
    get(gateway.service, "/", &[("x-cluster-route", "whatever")]).await;
    let invented = http::Method::from_bytes(b"BREW").unwrap();
    whole(send(gateway.service, request(invented, "/", &[], empty())).await).await;
    let count =
        async |labels: &str| metric(gateway.admin, &format!("fund_gateway_requests_total{{{labels}}}")).await;
    assert_eq!(count(r#"route="a",method="GET",class="2xx""#).await, Some(1.0));
    assert_eq!(count(r#"route="none",method="GET",class="4xx""#).await, Some(1.0));
    assert_eq!(count(r#"route="a",method="OTHER",class="2xx""#).await, Some(1.0));
    let text = get(gateway.admin, "/metrics", &[]).await.body;
    assert!(!text.contains("whatever") && !text.contains("BREW"), "{text}");
    for series in [
        r#"fund_gateway_request_duration_seconds_count{route="a"} 2"#,
        r#"fund_gateway_endpoints{route="a",state="ready"} 1"#,
        r#"fund_gateway_endpoints{route="a",state="unready"} 0"#,
        "fund_gateway_route_generation 1",
        "fund_gateway_route_reloads_total 1",
    ] {
        assert!(text.lines().any(|line| line == series), "{series} is not in\n{text}");
    }
}

#[tokio::test]
async fn probes_of_the_gateway_itself_answer() {
    let gateway = Running::on("generation: 1\nroutes: []").await;
    for path in ["/livez", "/startupz", "/readyz"] {
        assert_eq!(get(gateway.admin, path, &[]).await.status, 200, "{path}");
    }
    let verbose = get(gateway.admin, "/readyz?verbose", &[]).await.body;
    assert_eq!(verbose, "[+] started\n[+] endpoints: every endpoint has answered\nok\n");
    // The admin pages are not on the service port.
    get(gateway.service, "/livez", &[]).await.is_problem(404, "unnamed-route");
}
