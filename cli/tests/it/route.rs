//! `route`: admin ports one after the other, and through an API server.

use serde_json::{Value, json};

use crate::{
    fundctl::fundctl,
    kubernetes::{scripted, text},
    server::{Reply, Server},
};

fn forward(route: &str, endpoint: &str, more: Value) -> Value {
    let mut told = json!({
        "decision": "forward", "generation": 1, "route": route, "endpoint": endpoint, "endpointPath": "/api/x",
        "key": null, "group": null, "candidates": [{"endpoint": endpoint, "state": "ready", "underWay": 0}],
        "why": [format!("of the ready endpoints it is the turn of {endpoint}")],
    });
    told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    told
}

fn table(route: &str, strategy: &str, endpoint: &str, admin: &str) -> Value {
    let endpoint = json!({"name": endpoint, "address": "127.0.0.1:1", "adminAddress": admin, "ready": true});
    json!({"generation": 1, "lastError": null, "routes": [
        {"name": route, "header": "x-cluster-route", "value": route, "strategy": strategy, "endpoints": [endpoint]},
    ]})
}

/// The address of a gateway whose admin port that server has.
fn gateway_of(admin: &Server) -> String {
    let (_, port) = admin.url.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    format!("http://127.0.0.1:{}", port - 10_000)
}

#[tokio::test]
async fn a_request_is_followed_from_admin_port_to_admin_port() {
    let pod = Server::start(vec![("GET /explain", Reply::Empty(404))]).await;
    let behind = pod.url.trim_start_matches("http://").to_owned();
    let key = json!({"key": {"from": "header user-id", "value": "7"}, "group": "a"});
    let proxy = Server::start(vec![
        ("GET /explain", Reply::Json(200, forward("cluster1", "pod-a1", key))),
        ("GET /routes", Reply::Json(200, table("cluster1", "ShardGroups", "pod-a1", &behind))),
    ])
    .await;
    let next = proxy.url.trim_start_matches("http://").to_owned();
    let gateway = Server::start(vec![
        ("GET /explain", Reply::Json(200, forward("cluster1", "proxy-1", json!({})))),
        ("GET /routes", Reply::Json(200, table("cluster1", "RoundRobin", "proxy-1", &next))),
    ])
    .await;
    let server = gateway_of(&gateway);
    let arguments =
        ["route", "--user", "7", "--cluster", "cluster1", "--path", "/api/y", "--server", &server];
    let run =
        fundctl(&[&arguments[..], &["--header", "operation-type=write", "--method", "PUT"]].concat()).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.out.contains("1  gateway http://127.0.0.1:") && run.out.contains("2  cluster proxy http://"),
        "{run:?}"
    );
    assert!(
        run.out.contains("strategy  ShardGroups") && run.out.contains("shard: of the user's group"),
        "{run:?}"
    );
    assert!(run.out.ends_with("goes to pod pod-a1 of cluster1\n"), "{run:?}");
    let question = "method=PUT&cluster=cluster1&path=%2Fapi%2Fy&userId=7&headers=operation-type%3A%20write";
    assert_eq!(gateway.calls()[0], format!("GET /explain?{question}"));
    assert_eq!(
        proxy.calls()[0],
        format!("GET /explain?{}", question.replace("%2Fy", "%2Fx")),
        "as the proxy sees it"
    );
}

#[tokio::test]
async fn a_way_that_breaks_off_is_told_as_far_as_it_goes() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let gateway = Server::start(vec![
        ("GET /explain", Reply::Json(200, forward("cluster1", "proxy-1", json!({})))),
        ("GET /routes", Reply::Json(200, table("cluster1", "RoundRobin", "proxy-1", &closed))),
        ("GET /explain", Reply::Json(200, forward("cluster1", "proxy-1", json!({})))),
        ("GET /routes", Reply::Json(200, table("cluster1", "RoundRobin", "proxy-1", &closed))),
    ])
    .await;
    let server = gateway_of(&gateway);
    let run = fundctl(&["route", "--server", &server, "-o", "json"]).await;
    assert_eq!(run.code, Some(4), "{run:?}");
    let way: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&way["cluster"], &way["pod"]), (&"cluster1".into(), &Value::Null));
    assert!(way["lost"].as_str().unwrap().contains("connection refused"), "{way}");
    // Whoever names one admin server wants to hear that one.
    let run = fundctl(&["route", "--admin", &gateway.url]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("1  admin server http://") && !run.out.contains("2  "), "{run:?}");
}

#[tokio::test]
async fn a_refusal_is_an_error_and_a_question_that_lacks_something_says_what() {
    let refused = json!({"decision": "refused", "generation": 1, "why": ["header x-cluster-route is \"c9\", which no route has"]});
    let gateway = Server::start(vec![
        ("GET /explain", Reply::Json(200, refused)),
        ("GET /routes", Reply::Json(200, json!({"generation": 1, "routes": []}))),
        ("GET /explain", Reply::Text(400, "ip is needed: route cluster1 goes by the address of the client")),
    ])
    .await;
    let run = fundctl(&["route", "--cluster", "c9", "--admin", &gateway.url]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.out.ends_with("is refused: header x-cluster-route is \"c9\", which no route has\n"),
        "{run:?}"
    );
    let run = fundctl(&["route", "--admin", &gateway.url]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.err.contains("route cluster1 goes by the address of the client") && run.err.contains("--ip"),
        "{run:?}"
    );
    let run = fundctl(&["route", "--admin", &gateway.url, "-n", "funds"]).await;
    assert_eq!(run.code, Some(2), "directly or through Kubernetes: {run:?}");
}

#[tokio::test]
async fn through_an_api_server_services_are_asked() {
    let services = json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": [
        {"metadata": {"name": "fundbond-gateway", "namespace": "fundbond"}, "spec": {"ports": [{"name": "http", "port": 80}]}},
        {"metadata": {"name": "fundbond-gateway-admin", "namespace": "fundbond"},
         "spec": {"ports": [{"name": "admin", "port": 18000}]}},
    ]});
    let routes = json!({"apiVersion": "fundbond.dev/v1alpha1", "kind": "GatewayRouteList", "metadata": {}, "items": [{
        "metadata": {"name": "desk", "namespace": "funds", "creationTimestamp": "2026-11-22T10:00:00Z"},
        "spec": {"generation": 1, "match": {"value": "cluster1"}, "proxy": {"name": "desk-proxy", "port": 8080},
                 "pods": [{"service": {"name": "desk-pods", "port": 9090}}]},
    }]});
    let gateway = "/api/v1/namespaces/fundbond/services/fundbond-gateway-admin:admin/proxy";
    let proxy = "/api/v1/namespaces/funds/services/desk-proxy:admin/proxy";
    let (explained, its_table) = (format!("GET {gateway}/explain"), format!("GET {gateway}/routes"));
    let (behind, their_table) = (format!("GET {proxy}/explain"), format!("GET {proxy}/routes"));
    let replies = vec![
        ("GET /api/v1/services", Reply::Json(200, services)),
        (explained.as_str(), Reply::Json(200, forward("cluster1", "desk-proxy-1", json!({})))),
        (
            its_table.as_str(),
            Reply::Json(200, table("cluster1", "LeastStreams", "desk-proxy-1", "10.0.0.1:18080")),
        ),
        ("GET /apis/fundbond.dev/v1alpha1/gatewayroutes", Reply::Json(200, routes)),
        (behind.as_str(), Reply::Json(200, forward("cluster1", "desk-pods-1", json!({})))),
        (
            their_table.as_str(),
            Reply::Json(200, table("cluster1", "RoundRobin", "desk-pods-1", "10.0.0.2:19090")),
        ),
    ];
    let (server, file) = scripted(replies).await;
    let arguments = ["route", "--user", "7", "--cluster", "cluster1", "--kubeconfig", &text(file.path())];
    let run = fundctl(&arguments).await;
    assert_eq!(run.code, Some(0), "{run:?} {:?}", server.calls());
    assert!(run.out.contains("1  gateway fundbond/fundbond-gateway-admin"), "{run:?}");
    assert!(run.out.contains("2  cluster proxy funds/desk-proxy"), "{run:?}");
    assert!(run.out.ends_with("goes to pod desk-pods-1 of cluster1\n"), "{run:?}");
}
