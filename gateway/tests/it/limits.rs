//! How much is taken at a time: of one client, of a route, of the gateway, and of repetitions.

use std::{sync::Arc, time::Duration};

use fundbond_gateway::{Config, Role, RouteSource};
use http::{Method, Response};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpListener, sync::Semaphore, time::Instant};

use crate::support::{
    Endpoint, Running, config, empty, get, metric, next, piecewise, post, quick, request, routes, send, soon,
    spec, text, until, whole,
};

/// `table` with one more line in each route.
fn with(table: &str, line: &str) -> String {
    table.replace("  endpoints", &format!("  {line}\n  endpoints"))
}

async fn limited(gateway: &Running, limit: &str) -> Option<f64> {
    metric(gateway.admin, &format!("fund_gateway_limited_total{{route=\"a\",limit=\"{limit}\"}}")).await
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
    let endpoint = Endpoint::echo("pod-a-1").await;
    let table = routes(1, &[("a", ", default: true", &[endpoint.spec()])]);
    let mut config = config(&with(&table, "rateLimit: {requestsPerSecond: 1, burst: 3}"));
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let gateway = Running::with(config).await;
    let begun = Instant::now();
    let one = [("x-forwarded-for", "203.0.113.1")];
    let mut taken = 0;
    let refused = soon("a refusal", async {
        loop {
            let got = get(gateway.service, "/", &one).await;
            if got.status != 200 {
                return got;
            }
            taken += 1;
        }
    })
    .await;
    refused.is_problem(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "1");
    // One more each second that this took.
    assert!(taken >= 3 && taken <= 4 + begun.elapsed().as_secs(), "{taken}");
    assert_eq!(endpoint.hits() as u64, taken);
    // Somebody else has a bucket of their own, and what they make up before it changes nothing.
    let other = get(gateway.service, "/", &[("x-forwarded-for", "203.0.113.1, 203.0.113.2")]).await;
    assert_eq!(other.status, 200);
    assert!(limited(&gateway, "rate").await >= Some(1.0));
    soon("the next token", async { while get(gateway.service, "/", &one).await.status != 200 {} }).await;

    // A stream beyond it is told to come back, in a way that its client understands.
    let shed = soon("a stream that is shed", async {
        loop {
            let stream = get(gateway.service, "/api/sse/connect/u", &one).await;
            assert_eq!(stream.status, 200);
            if stream.header("content-type") == "text/event-stream" {
                return stream;
            }
        }
    })
    .await;
    assert!(shed.body.starts_with("retry: ") && shed.body.contains("rate-limited"), "{}", shed.body);
}

/// An endpoint whose answers wait for a permit each; below `/api/fund-events` it opens streams that last.
async fn waiting() -> (Endpoint, Arc<Semaphore>) {
    let released = Arc::new(Semaphore::new(0));
    let waits = released.clone();
    let endpoint = Endpoint::start(move |request| {
        let waits = waits.clone();
        async move {
            if request.uri().path().starts_with("/api/fund-events") {
                let (feed, body) = piecewise();
                feed.send(Ok("first".into())).await.unwrap();
                tokio::spawn(async move { feed.closed().await });
                return Response::builder().header("content-type", "text/event-stream").body(body).unwrap();
            }
            waits.acquire().await.unwrap().forget();
            Response::new(text("done"))
        }
    })
    .await;
    (endpoint, released)
}

/// With room for one request and one stream: the second of each is told to come back, `slug` being why.
async fn check_room_for_one(
    gateway: Running,
    endpoint: &Endpoint,
    released: &Semaphore,
    slug: &str,
    which: &str,
) {
    let address = gateway.service;
    let first = tokio::spawn(async move { get(address, "/", &[]).await });
    until("the first request", || endpoint.hits() == 1).await;
    let got = get(gateway.service, "/", &[]).await;
    got.is_problem(503, slug);
    assert_eq!(got.header("retry-after"), "1");

    // Requests and streams do not take each other's room.
    let get_stream = || request(Method::GET, "/api/fund-events/c", &[], empty());
    let mut stream = send(gateway.service, get_stream()).await.into_body();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), "first");
    let shed = whole(send(gateway.service, get_stream()).await).await;
    assert_eq!((shed.status, shed.header("content-type")), (200, "text/event-stream"));
    assert!(shed.body.starts_with("retry: ") && shed.body.contains(slug), "{}", shed.body);
    assert_eq!(endpoint.hits(), 2);
    assert_eq!(limited(&gateway, &format!("{which}-requests")).await, Some(1.0));
    assert_eq!(limited(&gateway, &format!("{which}-streams")).await, Some(1.0));

    // What ends makes room.
    released.add_permits(100);
    assert_eq!(soon("the first request", first).await.unwrap().status, 200);
    soon("room for a request", async { while get(gateway.service, "/", &[]).await.status != 200 {} }).await;
    drop(stream);
    soon("room for a stream", async {
        loop {
            let mut stream = send(gateway.service, get_stream()).await.into_body();
            if next(&mut stream).await.unwrap().unwrap() == "first" {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_route_takes_as_much_at_a_time_as_it_says() {
    let (endpoint, released) = waiting().await;
    let table = routes(1, &[("a", ", default: true", &[endpoint.spec()])]);
    let gateway = Running::on(&with(&table, "limits: {concurrentRequests: 1, concurrentStreams: 1}")).await;
    check_room_for_one(gateway, &endpoint, &released, "route-busy", "route").await;
}

#[tokio::test]
async fn a_stream_is_what_is_one_where_its_endpoint_sees_it() {
    let (endpoint, released) = waiting().await;
    released.add_permits(100);
    let match_of = ", default: true, stripPrefix: 1";
    let table = routes(1, &[("a", match_of, &[endpoint.spec()])]);
    let gateway = Running::on(&with(&table, "limits: {concurrentStreams: 1}")).await;
    let get_stream = || request(Method::GET, "/desk/api/fund-events/c", &[], empty());
    let mut stream = send(gateway.service, get_stream()).await.into_body();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), "first");
    let shed = whole(send(gateway.service, get_stream()).await).await;
    assert_eq!((shed.status, shed.header("content-type")), (200, "text/event-stream"));
    assert!(shed.body.starts_with("retry: ") && shed.body.contains("route-busy"), "{}", shed.body);
    // What the gateway alone sees as one is none.
    assert_eq!(get(gateway.service, "/api/fund-events/c", &[]).await.body, "done");
}

#[tokio::test]
async fn a_gateway_takes_as_much_at_a_time_as_it_says() {
    let (endpoint, released) = waiting().await;
    let mut config = config(&routes(1, &[("a", ", default: true", &[endpoint.spec()])]));
    config.max_requests = 1;
    config.max_streams = 1;
    let gateway = Running::with(config).await;
    check_room_for_one(gateway, &endpoint, &released, "gateway-busy", "total").await;
}

#[tokio::test]
async fn repetitions_stop_when_their_budget_is_spent() {
    let alive = Endpoint::echo("pod-a-1").await;
    // It reads the request, and closes.
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = rude.local_addr().unwrap();
    let closing = tokio::spawn(async move {
        while let Ok((mut stream, _)) = rude.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
        }
    });
    let table = routes(1, &[("a", ", default: true", &[spec(address, alive.admin), alive.spec()])]);
    let mut config = config(&table);
    // Not what this is about.
    config.breaker.consecutive_failures = u32::MAX;
    config.breaker.minimum_requests = u32::MAX;
    let gateway = Running::with(config).await;
    let (mut sent, mut given_up) = (0_u32, 0_u32);
    while given_up < 5 {
        let got = get(gateway.service, "/", &[]).await;
        sent += 1;
        if got.status != 200 {
            got.is_problem(502, "endpoint-closed");
            given_up += 1;
        }
        assert!(sent < 200, "a budget that never ends");
    }
    let retries = metric(gateway.admin, "fund_gateway_connect_retries_total{route=\"a\"}").await.unwrap();
    assert!(retries >= 10.0 && retries <= 10.0 + f64::from(sent) / 5.0, "{retries} of {sent}");
    let exhausted = metric(gateway.admin, "fund_gateway_retry_budget_exhausted_total{route=\"a\"}").await;
    assert_eq!(exhausted, Some(f64::from(given_up)));
    closing.abort();
}

#[tokio::test]
async fn a_route_that_is_gone_leaves_no_series_behind() {
    let (endpoint, released) = waiting().await;
    released.add_permits(100);
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    let table = |generation, names: &[&str]| {
        let endpoints = [endpoint.spec()];
        routes(generation, &names.iter().map(|name| (*name, "", &endpoints[..])).collect::<Vec<_>>())
    };
    std::fs::write(&path, table(1, &["stays", "goes"])).unwrap();
    let gateway = Running::with(quick(Config::new(Role::Gateway, RouteSource::File(path.clone())))).await;
    for name in ["stays", "goes"] {
        let route = [("x-cluster-route", name)];
        assert_eq!(post(gateway.service, "/", &route, text("body")).await.status, 200);
    }
    let goes = [("x-cluster-route", "goes")];
    let open = request(Method::GET, "/api/fund-events/c", &goes, empty());
    let mut stream = send(gateway.service, open).await.into_body();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), "first");
    let metrics = || async { get(gateway.admin, "/metrics", &[]).await.body };
    assert!(metrics().await.contains("\"goes\""));

    let beside = path.with_extension("new");
    std::fs::write(&beside, table(2, &["stays"])).unwrap();
    std::fs::rename(beside, &path).unwrap();
    soon("the edit", async {
        while metric(gateway.admin, "fund_gateway_route_generation").await != Some(2.0) {}
    })
    .await;
    // Its stream goes on, and what it says at its end brings nothing back.
    drop(stream);
    until("the end of the stream", || endpoint.connections.load(std::sync::atomic::Ordering::SeqCst) <= 2)
        .await;
    soon("no series of the route", async {
        while metrics().await.contains("\"goes\"") {
            // sleep-ok: between two looks at a condition that has a deadline
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let all = metrics().await;
    assert!(all.contains("\"stays\"") && !all.contains("\"goes\""), "{all}");
}
