//! An endpoint that keeps failing is left alone, and comes back by one request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
    time::Duration,
};

use http::Response;
use tokio::sync::Semaphore;

use crate::support::{
    Endpoint, Running, config, empty, get, metric, nowhere, routes, soon, spec, text, until,
};

/// What the endpoint answers besides statuses: nothing until it is told to.
const HELD: u16 = 0;
/// A 503 that says when to come back; no status of its own.
const COMES_BACK: u16 = 999;

/// An endpoint that answers the status it is told, and one that says nothing until it is released.
async fn told(status: u16) -> (Endpoint, Arc<AtomicU16>, Arc<Semaphore>) {
    let (says, released) = (Arc::new(AtomicU16::new(status)), Arc::new(Semaphore::new(0)));
    let (told, waits) = (says.clone(), released.clone());
    let endpoint = Endpoint::start(move |_| {
        let (told, waits) = (told.clone(), waits.clone());
        async move {
            let mut status = told.load(SeqCst);
            if status == HELD {
                waits.acquire().await.unwrap().forget();
                status = 200;
            }
            let mut answer = Response::builder().status(status);
            if status == COMES_BACK {
                answer = Response::builder().status(503).header("retry-after", "1");
            }
            answer.body(text("from the endpoint")).unwrap()
        }
    })
    .await;
    (endpoint, says, released)
}

/// A gateway whose breakers open after three failures for `pause`.
async fn gateway(endpoints: &[String], pause: Duration) -> Running {
    let mut config = config(&routes(1, &[("a", ", default: true", endpoints)]));
    config.breaker.consecutive_failures = 3;
    config.breaker.first_pause = pause;
    config.breaker.longest_pause = pause;
    Running::with(config).await
}

async fn changes(gateway: &Running, endpoint: &Endpoint, state: &str) -> Option<f64> {
    let series = format!(
        "fund_gateway_breaker_changes_total{{route=\"a\",endpoint=\"{}\",state=\"{state}\"}}",
        endpoint.address
    );
    metric(gateway.admin, &series).await
}

#[tokio::test]
async fn after_failures_in_a_row_exactly_one_request_probes_and_its_success_closes() {
    let (endpoint, says, released) = told(502).await;
    let gateway = gateway(&[endpoint.spec()], Duration::from_millis(300)).await;
    for _ in 0..3 {
        let got = get(gateway.service, "/", &[]).await;
        assert_eq!((got.status, got.body.as_str()), (502, "from the endpoint"));
    }
    assert_eq!(changes(&gateway, &endpoint, "open").await, Some(1.0));

    // After the pause one request gets through, and hangs.
    says.store(HELD, SeqCst);
    let address = gateway.service;
    let probe = tokio::spawn(async move {
        loop {
            let got = get(address, "/", &[]).await;
            if got.status != 503 {
                return got;
            }
            assert_eq!(got.is_problem(503, "endpoints-failing")["status"], 503);
            assert_eq!(got.header("retry-after"), "1");
        }
    });
    until("the probe", || endpoint.hits() == 4).await;
    for _ in 0..10 {
        let got = get(gateway.service, "/", &[]).await;
        got.is_problem(503, "endpoints-failing");
        assert_eq!(got.header("retry-after"), "1");
    }
    assert_eq!(endpoint.hits(), 4, "one probe and nobody else");
    let breakers = "fund_gateway_breakers{route=\"a\",state=\"probing\"}";
    assert_eq!(metric(gateway.admin, breakers).await, Some(1.0));

    // A stream is not refused: its client would stay away for good.
    let stream = get(gateway.service, "/api/fund-events/c", &[]).await;
    assert_eq!((stream.status, stream.header("content-type")), (200, "text/event-stream"));
    assert!(
        stream.body.starts_with("retry: ") && stream.body.contains("endpoints-failing"),
        "{}",
        stream.body
    );

    says.store(200, SeqCst);
    released.add_permits(1);
    assert_eq!(soon("the end of the probe", probe).await.unwrap().status, 200);
    for _ in 0..5 {
        assert_eq!(get(gateway.service, "/", &[]).await.status, 200);
    }
    assert_eq!(endpoint.hits(), 9);
    assert_eq!(changes(&gateway, &endpoint, "probing").await, Some(1.0));
    assert_eq!(changes(&gateway, &endpoint, "closed").await, Some(1.0));
}

#[tokio::test]
async fn a_probe_that_fails_opens_again() {
    let (endpoint, ..) = told(504).await;
    let gateway = gateway(&[endpoint.spec()], Duration::from_millis(50)).await;
    soon("three failed probes", async {
        while changes(&gateway, &endpoint, "open").await.is_none_or(|opened| opened < 4.0) {
            get(gateway.service, "/", &[]).await;
        }
    })
    .await;
    assert_eq!(changes(&gateway, &endpoint, "closed").await, None);
}

#[tokio::test]
async fn the_others_serve_while_one_is_left_alone() {
    let (failing, ..) = told(503).await;
    let (serving, ..) = told(200).await;
    let gateway = gateway(&[failing.spec(), serving.spec()], Duration::from_mins(1)).await;
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(get(gateway.service, "/", &[]).await.status != 200);
    }
    assert_eq!((refused, failing.hits(), serving.hits()), (3, 3, 17));
}

#[tokio::test]
async fn an_answer_that_says_when_to_come_back_is_no_failure_and_neither_is_a_bad_request() {
    for status in [COMES_BACK, 500, 429] {
        let (endpoint, ..) = told(status).await;
        let gateway = gateway(&[endpoint.spec()], Duration::from_mins(1)).await;
        for _ in 0..10 {
            assert_eq!(get(gateway.service, "/", &[]).await.body, "from the endpoint");
        }
        assert_eq!(endpoint.hits(), 10);
    }
}

#[tokio::test]
async fn an_endpoint_that_came_back_from_being_away_begins_anew() {
    let (endpoint, says, _) = told(502).await;
    let gateway = gateway(&[endpoint.spec()], Duration::from_mins(10)).await;
    for _ in 0..3 {
        get(gateway.service, "/", &[]).await;
    }
    get(gateway.service, "/", &[]).await.is_problem(503, "endpoints-failing");
    endpoint.ready.store(false, SeqCst);
    soon("unready", async {
        while get(gateway.service, "/", &[]).await.json()["type"] != "urn:fundbond:problem:no-ready-endpoint"
        {
        }
    })
    .await;
    says.store(200, SeqCst);
    endpoint.ready.store(true, SeqCst);
    soon("ready", async { while get(gateway.service, "/", &[]).await.status != 200 {} }).await;
}

#[tokio::test]
async fn every_refused_connection_is_tried_elsewhere_as_long_as_there_are_endpoints() {
    let alive = Endpoint::start(|_| async { Response::new(empty()) }).await;
    let mut endpoints = Vec::new();
    for _ in 0..6 {
        endpoints.push(spec(nowhere().await, alive.admin));
    }
    endpoints.push(alive.spec());
    let mut config = config(&routes(1, &[("a", ", default: true", &endpoints)]));
    config.probe_interval = Duration::from_mins(1);
    let gateway = Running::with(config).await;
    assert_eq!(get(gateway.service, "/", &[]).await.status, 200);
    let retries = metric(gateway.admin, "fund_gateway_connect_retries_total{route=\"a\"}").await;
    assert_eq!((retries, alive.hits()), (Some(6.0), 1));
}
