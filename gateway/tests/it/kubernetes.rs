//! Routes come from an API server.

use std::path::Path;

use fundbond_api_simulator::{Hand, Simulator};
use fundbond_crds::GatewayRoute;
use fundbond_gateway::{Config, Role, RouteSource, kubernetes::KubernetesRoutes};
use fundbond_protocol::api::APPLIED_ROUTES_PATH;
use http::{Method, Response};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use crate::support::{Endpoint, Running, connect, empty, get, next, piecewise, quick, request, soon};

const FUNDS: &str = "funds";

fn config(simulator: &Simulator, snapshot: Option<&Path>) -> Config {
    let routes = KubernetesRoutes {
        client: Some(simulator.client("gateway")),
        namespaces: Vec::new(),
        name: None,
        snapshot: snapshot.map(Path::to_owned),
    };
    quick(Config::new(Role::Gateway, RouteSource::Kubernetes(routes)))
}

fn route(name: &str, more: &Value) -> GatewayRoute {
    let mut spec = json!({
        "generation": 1, "match": {"value": name, "pathPrefix": "/"},
        "proxy": {"name": format!("{name}-proxy"), "port": 8080},
        "pods": [{"service": {"name": format!("{name}-pods"), "port": 9090}}],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "GatewayRoute",
        "metadata": {"name": name, "namespace": FUNDS}, "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// What the controller of slices writes for a proxy with this one pod.
fn slice(name: &str, pod: &Endpoint, ready: bool) -> EndpointSlice {
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-proxy-1"), "namespace": FUNDS, "labels": {
            "kubernetes.io/service-name": format!("{name}-proxy"),
            "app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/component": "proxy",
        }},
        "ports": [{"name": "http", "port": pod.address.port()}, {"name": "admin", "port": pod.admin.port()}],
        "endpoints": [{
            "addresses": [pod.address.ip().to_string()], "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "name": format!("{name}-proxy-abc")},
        }],
    });
    serde_json::from_value(object).unwrap()
}

fn serve(user: &Hand, name: &str, pod: &Endpoint) {
    user.create(&route(name, &json!({}))).unwrap();
    user.create(&slice(name, pod, true)).unwrap();
}

/// Waits until a request for `name` is answered so.
async fn answers(gateway: &Running, name: &str, status: u16) -> String {
    soon(&format!("{name} answers {status}"), async {
        loop {
            let got = get(gateway.service, "/x", &[("x-cluster-route", name)]).await;
            if got.status == status {
                return got.body;
            }
        }
    })
    .await
}

#[tokio::test]
async fn routes_come_and_go_and_move_with_what_is_behind_them() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let (one, two) = (Endpoint::echo("one").await, Endpoint::echo("two").await);
    serve(&user, "desk", &one);
    let gateway = Running::with(config(&simulator, None)).await;
    assert!(answers(&gateway, "desk", 200).await.contains("one"));
    answers(&gateway, "other", 404).await;

    serve(&user, "other", &two);
    assert!(answers(&gateway, "other", 200).await.contains("two"));
    user.replace(&slice("other", &two, false)).unwrap();
    answers(&gateway, "other", 503).await;
    user.replace(&slice("other", &one, true)).unwrap();
    assert!(answers(&gateway, "other", 200).await.contains("one"));
    user.delete::<GatewayRoute>(FUNDS, "other").unwrap();
    answers(&gateway, "other", 404).await;
    assert_eq!((one.probes(), two.probes()), (0, 0), "Kubernetes says who is ready");
}

#[tokio::test]
async fn a_route_that_cannot_be_is_refused_alone() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let pod = Endpoint::echo("one").await;
    serve(&user, "desk", &pod);
    let gateway = Running::with(config(&simulator, None)).await;
    user.merge::<GatewayRoute>(FUNDS, "desk", &json!({"spec": {"timeouts": {"idle": "0s"}}})).unwrap();
    serve(&user, "other", &pod);
    answers(&gateway, "other", 200).await;
    answers(&gateway, "desk", 200).await;
    let said = get(gateway.admin, "/routes", &[]).await.json();
    let error = said["lastError"].as_str().unwrap_or_default();
    assert!(error.contains("funds/desk") && error.contains("timeouts.idle"), "{said}");

    // It is said for as long as it is so, whatever else is applied.
    serve(&user, "third", &pod);
    answers(&gateway, "third", 200).await;
    let said = get(gateway.admin, "/routes", &[]).await.json();
    assert!(
        said["refused"]["funds/desk"].as_str().is_some_and(|why| why.contains("timeouts.idle")),
        "{said}"
    );
    let metrics = get(gateway.admin, "/metrics", &[]).await.body;
    assert!(metrics.contains("fund_gateway_routes_refused 1"), "{metrics}");
    user.merge::<GatewayRoute>(FUNDS, "desk", &json!({"spec": {"timeouts": {"idle": "30s"}}})).unwrap();
    soon("nothing is refused", async {
        while get(gateway.admin, "/routes", &[]).await.json()["refused"] != json!({}) {}
    })
    .await;
}

#[tokio::test]
async fn who_asks_which_routes_are_applied_hears_only_what_is_new() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let (one, two) = (Endpoint::echo("one").await, Endpoint::echo("two").await);
    serve(&user, "desk", &one);
    let gateway = Running::with(config(&simulator, None)).await;
    answers(&gateway, "desk", 200).await;
    let first = get(gateway.admin, APPLIED_ROUTES_PATH, &[]).await;
    assert_eq!(first.json(), json!({"routes": {"funds/desk": 1}, "refused": {}}));
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let again = async || get(gateway.admin, APPLIED_ROUTES_PATH, &[("if-none-match", &tag)]).await;

    // What is behind a route is no change of the route.
    user.replace(&slice("desk", &two, true)).unwrap();
    soon("the other pod answers", async {
        while !get(gateway.service, "/x", &[("x-cluster-route", "desk")]).await.body.contains("two") {}
    })
    .await;
    let unchanged = again().await;
    assert_eq!((unchanged.status, &*unchanged.body), (304, ""));

    user.merge::<GatewayRoute>(FUNDS, "desk", &json!({"spec": {"generation": 2}})).unwrap();
    soon("the new generation", async {
        loop {
            let said = again().await;
            if said.status == 200 {
                assert_eq!(said.json()["routes"], json!({"funds/desk": 2}));
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_open_stream_outlives_the_pod_that_is_not_named_any_more() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let (feed, body) = piecewise();
    let body = std::sync::Mutex::new(Some(body));
    let pod = Endpoint::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    })
    .await;
    serve(&user, "desk", &pod);
    let gateway = Running::with(config(&simulator, None)).await;
    let mut client = connect(gateway.service).await;
    let request = request(Method::GET, "/x", &[("x-cluster-route", "desk")], empty());
    let mut stream = soon("a stream", client.send_request(request)).await.unwrap().into_body();
    feed.send(Ok("one".into())).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), "one");
    user.replace(&slice("desk", &pod, false)).unwrap();
    answers(&gateway, "desk", 503).await;
    feed.send(Ok("two".into())).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), "two");
}

#[tokio::test]
async fn while_the_server_is_away_routing_goes_on_and_a_restart_serves_what_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let pod = Endpoint::echo("one").await;
    serve(&user, "desk", &pod);
    let gateway = Running::with(config(&simulator, Some(folder.path()))).await;
    answers(&gateway, "desk", 200).await;
    let snapshot = folder.path().join("routes.json");
    crate::support::until("a snapshot", || snapshot.exists()).await;
    simulator.away(true);
    answers(&gateway, "desk", 200).await;

    let new = Running::unready(config(&simulator, Some(folder.path()))).await;
    let readiness = get(new.admin, "/readyz?verbose", &[]).await;
    assert_eq!(readiness.status, 503, "{readiness:?}");
    new.until_ready().await;
    assert_eq!(get(new.service, "/x", &[("x-cluster-route", "desk")]).await.status, 200);
    simulator.away(false);
    user.create(&route("other", &json!({}))).unwrap();
    for gateway in [&gateway, &new] {
        answers(gateway, "other", 503).await;
    }
}

#[tokio::test]
async fn a_restart_serves_what_a_refused_edit_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let pod = Endpoint::echo("one").await;
    serve(&user, "desk", &pod);
    let gateway = Running::with(config(&simulator, Some(folder.path()))).await;
    answers(&gateway, "desk", 200).await;
    user.merge::<GatewayRoute>(FUNDS, "desk", &json!({"spec": {"timeouts": {"idle": "0s"}}})).unwrap();
    let snapshot = folder.path().join("routes.json");
    let is_kept = || std::fs::read_to_string(&snapshot).is_ok_and(|text| text.contains("\"served\""));
    crate::support::until("a snapshot with the refused edit", is_kept).await;
    drop(gateway);

    let new = Running::with(config(&simulator, Some(folder.path()))).await;
    answers(&new, "desk", 200).await;
    let said = get(new.admin, "/routes", &[]).await.json();
    assert!(
        said["refused"]["funds/desk"].as_str().is_some_and(|why| why.contains("timeouts.idle")),
        "{said}"
    );
}

#[tokio::test]
async fn without_a_server_and_without_a_snapshot_nothing_is_ready() {
    let simulator = Simulator::new(1);
    simulator.away(true);
    let gateway = Running::unready(config(&simulator, None)).await;
    answers(&gateway, "desk", 404).await;
    let readiness = get(gateway.admin, "/readyz?verbose", &[]).await;
    assert!(readiness.status == 503 && readiness.body.contains("routes"), "{readiness:?}");
    simulator.away(false);
    gateway.until_ready().await;
}

/// `FUNDBOND_CHANGES=1000` for the long way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_under_load_break_no_request_and_no_stream() {
    const OTHERS: usize = 50;
    const STREAMS: usize = 50;
    let changes = std::env::var("FUNDBOND_CHANGES").map_or(200, |text| text.parse().unwrap());
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    let (pod, other) = (Endpoint::echo("one").await, Endpoint::echo("two").await);
    let (feed, _) = tokio::sync::broadcast::channel::<String>(16);
    let feeds = feed.clone();
    let streams = Endpoint::start(move |_| {
        let mut words = feeds.subscribe();
        let (send, body) = piecewise();
        tokio::spawn(async move {
            while let Ok(word) = words.recv().await {
                if send.send(Ok(word.into())).await.is_err() {
                    return;
                }
            }
        });
        async { Response::new(body) }
    })
    .await;
    serve(&user, "steady", &pod);
    serve(&user, "streams", &streams);
    for number in 0..OTHERS {
        serve(&user, &format!("r{number}"), &pod);
    }
    let gateway = Running::with(config(&simulator, None)).await;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let mut client = connect(gateway.service).await;
        let asked = request(Method::GET, "/x", &[("x-cluster-route", "streams")], empty());
        let body = soon("a stream", client.send_request(asked)).await.unwrap().into_body();
        open.push((client, body));
    }
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (over, service) = (over.clone(), gateway.service);
            tokio::spawn(async move {
                let mut client = connect(service).await;
                let mut answered = 0_usize;
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let asked = request(Method::GET, "/x", &[("x-cluster-route", "steady")], empty());
                    let got = crate::support::whole(client.send_request(asked).await.unwrap()).await;
                    assert_eq!(got.status, 200, "{}", got.body);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for change in 0..changes {
        let name = format!("r{}", change % OTHERS);
        match change % 3 {
            0 => {
                let behind = if change % 2 == 0 { &other } else { &pod };
                user.replace(&slice(&name, behind, true)).unwrap();
            }
            1 => {
                let spec = json!({"spec": {"generation": change + 2, "timeouts": {"idle": "45s"}}});
                user.merge::<GatewayRoute>(FUNDS, &name, &spec).unwrap();
            }
            // Their own as well: a generation is no other way.
            _ => {
                let spec = json!({"spec": {"generation": change + 2}});
                let name = if change % 2 == 0 { "steady" } else { "streams" };
                user.merge::<GatewayRoute>(FUNDS, name, &spec).unwrap();
            }
        }
        // sleep-ok: changes come one after the other, so that each is a table of its own.
        tokio::time::sleep(std::time::Duration::from_millis(4)).await;
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut answered = 0;
    for load in load {
        answered += load.await.unwrap();
    }
    feed.send("still here".to_owned()).unwrap();
    for (_, body) in &mut open {
        assert_eq!(soon("a word", next(body)).await.unwrap().unwrap(), "still here");
    }
    let applied = crate::support::metric(gateway.admin, "fund_gateway_route_reloads_total").await.unwrap();
    println!("{changes} changes in {applied} tables, {answered} requests, {STREAMS} streams: none broken");
    assert!(
        answered > changes && applied > f64::from(u32::try_from(changes).unwrap()) / 4.0,
        "{answered} {applied}"
    );
}
