//! The route file changes under a running gateway.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use fundbond_gateway::{Config, LoadError, Role, RouteSource, RunError, bind};
use http::{Method, Response};
use tempfile::TempDir;

use crate::support::{
    Endpoint, Got, Running, connect, empty, get, metric, next, piecewise, quick, request, routes, send, soon,
    text, whole,
};

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Replaces the file in one step, as careful writers do.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    write(&beside, text);
    std::fs::rename(beside, path).unwrap();
}

pub(crate) async fn watching(path: PathBuf) -> Running {
    Running::with(quick(Config::new(Role::Gateway, RouteSource::File(path)))).await
}

pub(crate) async fn applied(gateway: &Running, generation: u64) -> Got {
    soon(&format!("generation {generation}"), async {
        loop {
            let got = get(gateway.admin, "/routes", &[]).await;
            if got.json()["generation"] == generation {
                return got;
            }
        }
    })
    .await
}

async fn refused(gateway: &Running) -> String {
    soon("the refusal", async {
        loop {
            if let Some(error) = get(gateway.admin, "/routes", &[]).await.json()["lastError"].as_str() {
                return error.to_owned();
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_edit_is_applied_however_the_file_is_written() {
    let (a, b) = (Endpoint::echo("pod-a-1").await, Endpoint::echo("pod-b-1").await);
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    let table = |generation, pod: &Endpoint| routes(generation, &[("a", ", default: true", &[pod.spec()])]);
    write(&path, &table(1, &a));
    let gateway = watching(path.clone()).await;
    assert_eq!(get(gateway.service, "/", &[]).await.json()["name"], "pod-a-1");

    write(&path, &table(2, &b));
    applied(&gateway, 2).await;
    gateway_serves(&gateway, "pod-b-1").await;

    replace(&path, &table(3, &a));
    applied(&gateway, 3).await;
    gateway_serves(&gateway, "pod-a-1").await;

    std::fs::remove_file(&path).unwrap();
    assert!(refused(&gateway).await.contains("cannot read the route file"));
    write(&path, &table(4, &b));
    applied(&gateway, 4).await;
    gateway_serves(&gateway, "pod-b-1").await;
}

/// The new endpoint was asked before the swap: there is no moment without one.
async fn gateway_serves(gateway: &Running, name: &str) {
    let got = get(gateway.service, "/", &[]).await;
    assert_eq!((got.status, got.json()["name"].as_str()), (200, Some(name)));
}

#[tokio::test]
async fn an_edit_that_leaves_the_endpoints_leaves_their_probes() {
    let a = Endpoint::echo("pod-a-1").await;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    let table = |generation, prefix: &str| {
        routes(generation, &[("a", &format!(", default: true, pathPrefix: {prefix}"), &[a.spec()])])
    };
    write(&path, &table(1, "/"));
    let gateway = watching(path.clone()).await;
    for (generation, prefix) in [(2, "/a"), (3, "/a/b")] {
        replace(&path, &table(generation, prefix));
        applied(&gateway, generation).await;
        for (ready, status) in [(false, 503), (true, 200)] {
            a.ready.store(ready, SeqCst);
            soon("the probe to be heard", async {
                while get(gateway.service, "/a/b", &[]).await.status != status {}
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_config_map_that_swaps_its_links_is_an_edit() {
    let a = Endpoint::echo("pod-a-1").await;
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let version = |name: &str, generation| {
        std::fs::create_dir(root.join(name)).unwrap();
        write(&root.join(name).join("routes.yaml"), &routes(generation, &[("a", "", &[a.spec()])]));
    };
    version("..2026_1", 1);
    symlink("..2026_1", root.join("..data")).unwrap();
    symlink("..data/routes.yaml", root.join("routes.yaml")).unwrap();
    let gateway = watching(root.join("routes.yaml")).await;
    version("..2026_2", 2);
    symlink("..2026_2", root.join("..data_tmp")).unwrap();
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    applied(&gateway, 2).await;
}

#[tokio::test]
async fn an_invalid_edit_keeps_the_table_and_is_told() {
    let a = Endpoint::echo("pod-a-1").await;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    let good = routes(1, &[("a", ", default: true", &[a.spec()])]);
    write(&path, &good);
    let gateway = watching(path.clone()).await;
    let half = &good[..good.find("- match").unwrap()];
    for (failures, bad, why) in [
        (1, "", "missing field `generation`"),
        (2, half, "routes: invalid type: unit value, expected a list"),
        (
            3,
            "generation: 2\nroutes:\n- {match: {value: 'a b'}, name: a, endpoints: []}\n",
            "routes[0].match.value: has the character ' '",
        ),
    ] {
        // At once: a file that is written in place may be read before it is whole, and refused once more.
        replace(&path, bad);
        let counted = "fund_gateway_route_reload_failures_total";
        soon("the failure to be counted", async {
            while metric(gateway.admin, counted).await != Some(f64::from(failures)) {}
        })
        .await;
        let error = refused(&gateway).await;
        assert!(error.contains(why), "{error}");
        let shown = get(gateway.admin, "/routes", &[]).await.json();
        assert_eq!((&shown["generation"], &shown["reloadFailures"]), (&1.into(), &failures.into()));
        assert_eq!(get(gateway.service, "/", &[]).await.status, 200);
    }
    write(&path, &good.replace("generation: 1", "generation: 2"));
    assert!(applied(&gateway, 2).await.json()["lastError"].is_null());
}

#[tokio::test]
async fn a_gateway_does_not_start_without_a_valid_table() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    let start = async || {
        bind(quick(Config::new(Role::Gateway, RouteSource::File(path.clone())))).await.err().unwrap()
    };
    let error = start().await;
    assert!(matches!(error, RunError::Routes(LoadError::Read { .. })) && error.is_bad_config(), "{error:?}");
    write(&path, "generation: 1");
    let error = start().await;
    assert!(matches!(error, RunError::Routes(LoadError::Invalid { .. })), "{error:?}");
}

/// The edits of the test below. Each is applied before the next is made.
const EDITS: u64 = 1000;

/// Those of them, the last, for which the file is not replaced, but written anew: it may be read before it is whole.
const IN_PLACE: u64 = EDITS / 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_edits_under_load_lose_no_request_and_no_stream() {
    let pods = [pod("pod-a-1").await, pod("pod-b-1").await, pod("pod-c-1").await];
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    // Every edit drops another pod, brings one back, and renames a second route.
    let table = |generation: u64| {
        let without = usize::try_from(generation % 3).unwrap();
        let kept: Vec<_> =
            pods.iter().enumerate().filter(|(i, _)| *i != without).map(|(_, pod)| pod.spec()).collect();
        routes(generation, &[("a", ", default: true", &kept), (&format!("other{generation}"), "", &[])])
    };
    write(&path, &routes(1, &[("a", ", default: true", &pods.each_ref().map(Endpoint::spec))]));
    let gateway = watching(path.clone()).await;

    let mut streams = Vec::new();
    for _ in 0..12 {
        let mut body = send(gateway.service, request(Method::GET, "/stream", &[], empty())).await.into_body();
        streams.push(tokio::spawn(async move {
            let mut events = 0_u64;
            loop {
                match next(&mut body).await {
                    Some(Ok(text)) => events += text.len() as u64,
                    None => return Ok(events),
                    Some(Err(error)) => return Err(format!("after {events} events: {error}")),
                }
            }
        }));
    }

    let stop = Arc::new(AtomicBool::new(false));
    let (sent, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(Vec::new())));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (stop, sent, failed, address) = (stop.clone(), sent.clone(), failed.clone(), gateway.service);
            tokio::spawn(async move {
                let mut client = connect(address).await;
                while !stop.load(SeqCst) {
                    let asked = request(Method::POST, "/task", &[], text("{}"));
                    match client.send_request(asked).await {
                        Ok(response) => {
                            let got = whole(response).await;
                            if got.status != 200 {
                                failed.lock().unwrap().push(got.body);
                            }
                        }
                        Err(error) => {
                            failed.lock().unwrap().push(error.to_string());
                            client = connect(address).await;
                        }
                    }
                    sent.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();

    for generation in 2..EDITS + 2 {
        let text = table(generation);
        if generation < EDITS + 2 - IN_PLACE {
            replace(&path, &text);
        } else {
            write(&path, &text);
        }
        soon("the edit", async {
            while metric(gateway.admin, "fund_gateway_route_generation").await != Some(generation as f64) {}
        })
        .await;
        if generation == EDITS + 1 - IN_PLACE {
            let refused = metric(gateway.admin, "fund_gateway_route_reload_failures_total").await;
            assert_eq!(refused, Some(0.0), "of files that were whole");
        }
    }
    stop.store(true, SeqCst);
    for worker in load {
        worker.await.unwrap();
    }
    let failed = std::mem::take(&mut *failed.lock().unwrap());
    assert!(
        failed.is_empty(),
        "{} of {} requests failed: {:?}",
        failed.len(),
        sent.load(SeqCst),
        failed.first()
    );
    assert!(sent.load(SeqCst) > 1000, "{}", sent.load(SeqCst));
    assert_eq!(metric(gateway.admin, "fund_gateway_route_reloads_total").await, Some((EDITS + 1) as f64));
    // What was read before it was whole was refused, and nobody noticed.
    let refused = metric(gateway.admin, "fund_gateway_route_reload_failures_total").await.unwrap();
    assert!(refused < IN_PLACE as f64, "{refused} of {IN_PLACE} edits in place were read half");
    assert_eq!(metric(gateway.admin, "fund_gateway_streams_open{route=\"a\"}").await, Some(12.0));
    for stream in &streams {
        assert!(!stream.is_finished(), "a stream was dropped");
    }
    // The pods end their streams themselves: whole, after all those edits.
    for pod in &pods {
        pod.ready.store(false, SeqCst);
    }
    for stream in streams {
        assert!(soon("the end of a stream", stream).await.unwrap().unwrap() > 0);
    }
}

/// Answers at once, or with a stream that beats until readiness is taken from it.
async fn pod(name: &'static str) -> Endpoint {
    let open = Arc::new(std::sync::OnceLock::<Arc<AtomicBool>>::new());
    let ready = open.clone();
    let endpoint = Endpoint::start(move |request| {
        let ready = ready.clone();
        async move {
            if request.uri().path() != "/stream" {
                return Response::builder().header("x-pod-id", name).body(text("{}")).unwrap();
            }
            let (feed, body) = piecewise();
            tokio::spawn(async move {
                let mut beat = tokio::time::interval(Duration::from_millis(20));
                while ready.get().is_some_and(|ready| ready.load(SeqCst)) {
                    beat.tick().await;
                    if feed.send(Ok(Bytes::from_static(b"x"))).await.is_err() {
                        return;
                    }
                }
            });
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    })
    .await;
    open.set(endpoint.ready.clone()).unwrap();
    endpoint
}
