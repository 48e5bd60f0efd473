//! The admin server over a real socket.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use fundbond_service_runtime::{
    Health, Shutdown,
    admin::Admin,
    prometheus_client::{metrics::counter::Counter, registry::Registry},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

async fn call(address: SocketAddr, path: &str) -> String {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(PATIENCE, exchange).await.unwrap()
}

async fn bind(health: &Health) -> Admin {
    let mut registry = Registry::with_prefix("fund");
    let counter: Counter = Counter::default();
    counter.inc();
    registry.register("seen", "Things seen", counter);
    let extra = Router::new().route("/more", get(async || "more\n"));
    Admin::bind(([127, 0, 0, 1], 0).into(), health.clone(), Arc::new(registry), extra).await.unwrap()
}

#[tokio::test]
async fn probes_follow_the_health_and_liveness_depends_on_nothing() {
    let health = Health::waiting_for(&["store"]);
    let (admin, stop) = (bind(&health).await, Shutdown::new());
    let address = admin.address();
    let serving = tokio::spawn(admin.serve(stop.clone()));
    assert!(call(address, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(call(address, "/startupz").await.starts_with("HTTP/1.1 503"));
    health.started();
    assert!(call(address, "/startupz").await.starts_with("HTTP/1.1 200"));
    let unready = call(address, "/readyz?verbose").await;
    assert!(unready.starts_with("HTTP/1.1 503") && unready.contains("[-] store: not yet"), "{unready}");
    health.set("store", true, "reachable");
    let ready = call(address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.ends_with("ok\n"), "{ready}");
    health.degrade("store", "refused");
    let degraded = call(address, "/readyz").await;
    assert!(degraded.starts_with("HTTP/1.1 200") && degraded.ends_with("\n\r\ndegraded\n"), "{degraded}");
    let degraded = call(address, "/readyz?verbose").await;
    assert!(degraded.contains("[~] store: degraded: refused\n"), "{degraded}");
    let metrics = call(address, "/metrics").await;
    assert!(metrics.contains("fund_seen_total 1\n"), "{metrics}");
    for (state, value) in [("ok", 0), ("degraded", 1), ("failing", 0)] {
        let line = format!("fund_condition{{condition=\"store\",state=\"{state}\"}} {value}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(metrics.ends_with("\n# EOF\n") && metrics.matches("# EOF").count() == 1, "{metrics}");
    assert!(call(address, "/more").await.ends_with("more\n"));
    stop.begin();
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_probe_that_keeps_its_connection_does_not_keep_the_process() {
    let health = Health::default();
    let (admin, stop) = (bind(&health).await, Shutdown::new());
    let mut idle = TcpStream::connect(admin.address()).await.unwrap();
    let serving = tokio::spawn(admin.serve(stop.clone()));
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: admin\r\n\r\nGET /li").await.unwrap();
    assert!(timeout(PATIENCE, idle.read_u8()).await.unwrap().is_ok());
    stop.begin();
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let health = Health::default();
    let first = bind(&health).await;
    let taken = Admin::bind(first.address(), health, Arc::default(), Router::new()).await;
    let error = taken.unwrap_err().to_string();
    assert!(error.contains(&first.address().to_string()) && error.contains("admin"), "{error}");
}

#[tokio::test]
async fn a_child_shutdown_follows_its_parent_and_not_the_other_way_round() {
    let parent = Shutdown::new();
    let (one, two) = (parent.child(), parent.child());
    one.begin();
    assert!(one.has_begun() && !parent.has_begun() && !two.has_begun());
    parent.begin();
    timeout(PATIENCE, two.begun()).await.unwrap();
}
