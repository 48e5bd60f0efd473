//! Which endpoint gets a request.

use std::sync::atomic::Ordering::SeqCst;

use crate::support::{Endpoint, Running, get, nowhere, routes, spec};

#[tokio::test]
async fn the_header_wins_over_the_query_and_the_query_over_the_default() {
    let (a, b, c) =
        (Endpoint::echo("pod-a-1").await, Endpoint::echo("pod-b-1").await, Endpoint::echo("pod-c-1").await);
    let gateway = Running::on(&routes(
        1,
        &[("a", "", &[a.spec()]), ("b", "", &[b.spec()]), ("c", ", default: true", &[c.spec()])],
    ))
    .await;
    let route = [("X-Cluster-Route", "a")];
    for (target, headers, expected) in [
        ("/api/x?cluster=b", &route[..], "a/pod-a-1"),
        ("/api/x?cluster=b", &[], "b/pod-b-1"),
        ("/api/x?lastEventId=7&cl%75ster=%62", &[], "b/pod-b-1"),
        ("/api/x?clusters=b", &[], "c/pod-c-1"),
        ("/api/x", &[], "c/pod-c-1"),
    ] {
        let got = get(gateway.service, target, headers).await;
        assert_eq!((got.status, got.header("x-routed-to")), (200, expected), "{target}");
        assert_eq!(got.json()["target"], target);
        // Both hops must read the same route.
        assert_eq!(got.json()["headers"]["x-cluster-route"], expected.split('/').next().unwrap());
    }
}

#[tokio::test]
async fn an_unknown_or_missing_route_is_a_404_that_names_header_and_known_values() {
    let a = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("b", "", &[]), ("a", "", &[a.spec()])])).await;
    for (target, headers, slug, detail) in [
        (
            "/",
            &[("x-cluster-route", "nope")][..],
            "unknown-route",
            r#"X-Cluster-Route is "nope", which no route has; known values: a, b"#,
        ),
        (
            "/",
            &[("x-cluster-route", "a,b")],
            "unknown-route",
            r#"X-Cluster-Route is "a,b", which no route has; known values: a, b"#,
        ),
        (
            "/",
            &[("x-cluster-route", "")],
            "unknown-route",
            r#"X-Cluster-Route is "", which no route has; known values: a, b"#,
        ),
        (
            "/?cluster=nope",
            &[],
            "unknown-route",
            r#"query parameter cluster is "nope", which no route has; known values: a, b"#,
        ),
        (
            "/",
            &[],
            "unnamed-route",
            "set the header X-Cluster-Route or the query parameter cluster; known values: a, b",
        ),
    ] {
        let got = get(gateway.service, target, headers).await;
        assert_eq!(got.is_problem(404, slug)["detail"], detail);
        assert_eq!(got.header("x-routed-to"), "");
    }
    assert_eq!(a.hits(), 0);
}

#[tokio::test]
async fn two_routes_in_one_request_are_refused() {
    let a = Endpoint::echo("pod-a-1").await;
    let gateway = Running::on(&routes(1, &[("a", "", &[a.spec()])])).await;
    let twice = [("x-cluster-route", "a"), ("X-Cluster-Route", "a")];
    let got = get(gateway.service, "/", &twice).await;
    assert_eq!(
        got.is_problem(400, "bad-request-head")["detail"],
        "X-Cluster-Route is given more than once; give it once"
    );
    get(gateway.service, "/?cluster=a&cluster=a", &[]).await.is_problem(400, "ambiguous-route");
    assert_eq!(a.hits(), 0);
}

#[tokio::test]
async fn the_path_must_lie_below_the_prefix_and_loses_what_is_stripped() {
    let a = Endpoint::echo("pod-a-1").await;
    let gateway =
        Running::on(&routes(1, &[("a", ", default: true, pathPrefix: /api, stripPrefix: 1", &[a.spec()])]))
            .await;
    for (target, seen) in
        [("/api/fund-api?x=%2F", "/fund-api?x=%2F"), ("/api", "/"), ("/api/a/b/", "/a/b/"), ("/api/", "/")]
    {
        assert_eq!(get(gateway.service, target, &[]).await.json()["target"], seen, "{target}");
    }
    for target in ["/apis", "/", "/API/x"] {
        let problem = get(gateway.service, target, &[]).await.is_problem(404, "unknown-path");
        assert_eq!(problem["detail"], format!("route a takes /api and what lies below it, not {target}"));
    }
}

#[tokio::test]
async fn ready_endpoints_take_turns_and_one_that_turns_unready_gets_nothing() {
    let pods =
        [Endpoint::echo("pod-a-1").await, Endpoint::echo("pod-b-1").await, Endpoint::echo("pod-c-1").await];
    let specs: Vec<_> = pods.iter().map(Endpoint::spec).collect();
    let gateway = Running::on(&routes(1, &[("a", ", default: true", &specs)])).await;
    for _ in 0..30 {
        assert_eq!(get(gateway.service, "/", &[]).await.status, 200);
    }
    assert!(
        pods.iter().all(|pod| pod.hits() == 10),
        "{:?}",
        pods.iter().map(Endpoint::hits).collect::<Vec<_>>()
    );

    pods[1].ready.store(false, SeqCst);
    wait_for_ready(&gateway, 2).await;
    for _ in 0..20 {
        assert_eq!(get(gateway.service, "/", &[]).await.status, 200);
    }
    assert_eq!(pods.iter().map(Endpoint::hits).collect::<Vec<_>>(), [20, 10, 20]);

    pods[1].ready.store(true, SeqCst);
    wait_for_ready(&gateway, 3).await;
    for _ in 0..3 {
        get(gateway.service, "/", &[]).await;
    }
    assert_eq!(pods[1].hits(), 11);
}

pub(crate) async fn wait_for_ready(gateway: &Running, count: usize) {
    crate::support::soon("readiness", async {
        loop {
            let table = get(gateway.admin, "/routes", &[]).await.json();
            let endpoints = table["routes"][0]["endpoints"].as_array().unwrap().clone();
            if endpoints.iter().filter(|e| e["ready"] == true).count() == count {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_gateway_is_not_ready_before_every_endpoint_answered_and_stays_ready_after() {
    let a = Endpoint::echo("pod-a-1").await;
    a.ready.store(false, SeqCst);
    let gateway = Running::unready(crate::support::config(&routes(1, &[("a", "", &[a.spec()])]))).await;
    let verbose = get(gateway.admin, "/readyz?verbose", &[]).await;
    assert_eq!(verbose.status, 503);
    let got = get(gateway.service, "/", &[("x-cluster-route", "a")]).await;
    got.is_problem(503, "no-ready-endpoint");
    a.ready.store(true, SeqCst);
    gateway.until_ready().await;
    a.ready.store(false, SeqCst);
    wait_for_ready(&gateway, 0).await;
    assert_eq!(get(gateway.admin, "/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_never_answers_holds_readiness_up_only_for_a_while() {
    let gone = nowhere().await;
    let mut config = crate::support::config(&routes(1, &[("a", "", &[spec(gone, gone)])]));
    config.first_sync_wait = std::time::Duration::from_millis(50);
    let gateway = Running::with(config).await;
    let verbose = get(gateway.admin, "/readyz?verbose", &[]).await.body;
    assert!(verbose.contains(&format!("[+] endpoints: without {gone}, which never answered")), "{verbose}");
}
