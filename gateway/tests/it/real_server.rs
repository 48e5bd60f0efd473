//! Routes of a real API server, and gateways as processes: how soon a change is applied by all of them, and what they do
//! without it. Figures are for whoever asks for them:
//!
//! ```text
//! FUNDBOND_ROUTES=5000 FUNDBOND_CHANGES=500 FUNDBOND_GATEWAY=target/release/gateway \
//!     cargo xtask test -p fundbond-gateway -- real_server --nocapture
//! ```

#![allow(clippy::print_stdout, reason = "figures are for whoever asks for them")]

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use fundbond_crds::GatewayRoute;
use fundbond_protocol::api::APPLIED_ROUTES_PATH;
use fundbond_service_runtime::exit::chain;
use fundbond_test_api_server::{ApiServer, Options};
use futures::{StreamExt as _, future::join_all, stream};
use http::{Method, StatusCode, header};
use hyper::client::conn::http1::SendRequest;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{Body, connect, empty, get, request, soon, whole};

/// A number that the environment may say.
fn size(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// A gateway as a process, ended with the test.
struct Gateway {
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may be dead already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    async fn start(name: &str, namespace: &str, kubeconfig: &Path, snapshot: &Path) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gateway-{namespace}-{name}.log"));
        // Figures are those of a release build.
        let program =
            std::env::var_os("FUNDBOND_GATEWAY").unwrap_or_else(|| env!("CARGO_BIN_EXE_gateway").into());
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--routes", "kubernetes"])
            .args(["--watch-namespaces", namespace, "--log-format", "json"])
            .arg("--route-snapshot")
            .arg(snapshot)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let admin = || {
            let log = std::fs::read_to_string(&log).unwrap();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find_map(|line| Some(line["admin"].as_str()?.parse().unwrap()))
        };
        let admin = soon("a gateway says where it is", async {
            loop {
                if let Some(admin) = admin() {
                    return admin;
                }
                // sleep-ok: another process; the deadline is around it.
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        Self { child, log, admin }
    }

    async fn until_ready(&self, patience: Duration) {
        let ready = async {
            while get(self.admin, "/readyz", &[]).await.status != 200 {
                // sleep-ok: another process; the deadline is around it.
                sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(patience, ready).await;
        in_time.unwrap_or_else(|_| panic!("{}", std::fs::read_to_string(&self.log).unwrap()));
    }

    fn resident_kilobytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Begins to ask which routes it has applied.
    async fn follow(&self) -> Follower {
        Follower { admin: connect(self.admin).await, tag: String::new() }
    }
}

/// Who hears of a gateway which routes are applied, over one connection and as the operator does: an answer says something
/// only where something changed.
struct Follower {
    admin: SendRequest<Body>,
    tag: String,
}

impl Follower {
    /// When the gateway first says that it has applied this generation of a route, which is a change.
    async fn applied(&mut self, object: &str, generation: i64) -> Instant {
        // Looked for in the text: 5,000 routes are 150 kB, and reading all of them would be what is measured.
        let sought = [format!("\"{object}\":{generation},"), format!("\"{object}\":{generation}}}")];
        loop {
            let known = [("if-none-match", self.tag.as_str())];
            let question = request(Method::GET, APPLIED_ROUTES_PATH, &known, empty());
            // The connection notices the end of the answer before when it gets to it.
            self.admin.ready().await.unwrap();
            let answer = self.admin.send_request(question).await;
            let answer = answer.unwrap_or_else(|error| panic!("asking for {object}: {}", chain(&error)));
            if answer.status() == StatusCode::OK {
                let now = Instant::now();
                let answer = whole(answer).await;
                answer.headers[header::ETAG].to_str().unwrap().clone_into(&mut self.tag);
                if sought.iter().any(|sought| answer.body.contains(sought)) {
                    return now;
                }
            }
            // sleep-ok: another process, which is not to be kept busy with answers; the deadline is around it.
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn route(number: usize, generation: i64) -> GatewayRoute {
    let name = format!("r{number}");
    let object = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "GatewayRoute", "metadata": {"name": name},
        "spec": {
            "generation": generation, "match": {"value": name, "pathPrefix": "/api"},
            "proxy": {"name": format!("{name}-proxy"), "port": 8080},
            "pods": [{"service": {"name": format!("{name}-pods"), "port": 9090}}],
        },
    });
    serde_json::from_value(object).unwrap()
}

/// Two proxies, at addresses that nobody has.
fn slice(number: usize) -> EndpointSlice {
    let address = |last: usize| format!("10.{}.{}.{last}", number / 256, number % 256);
    let endpoint = |last: usize| {
        json!({
            "addresses": [address(last)], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": format!("r{number}-proxy-6c9f7d5b8-{last:05}")},
        })
    };
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("r{number}-proxy-abc"), "labels": {
            "kubernetes.io/service-name": format!("r{number}-proxy"),
            "app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/component": "proxy",
        }},
        "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 18080}],
        "endpoints": [endpoint(1), endpoint(2)],
    });
    serde_json::from_value(object).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_applied_by_all_gateways_and_without_a_server_the_snapshot_serves() {
    let (many, changes) = (size("FUNDBOND_ROUTES", 20), size("FUNDBOND_CHANGES", 20));
    let server = ApiServer::start(Options { audit: false, ..Options::default() });
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let routes: Api<GatewayRoute> = Api::namespaced(server.client(), &namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(server.client(), &namespace);
    stream::iter(0..many)
        .for_each_concurrent(8, async |number| {
            slices.create(&PostParams::default(), &slice(number)).await.unwrap();
            routes.create(&PostParams::default(), &route(number, 1)).await.unwrap();
        })
        .await;

    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = server.admin().kubeconfig();
    let snapshot = folder.path().join("a");
    let began = Instant::now();
    let gateways = [
        Gateway::start("a", &namespace, &kubeconfig, &snapshot).await,
        Gateway::start("b", &namespace, &kubeconfig, &folder.path().join("b")).await,
    ];
    for gateway in &gateways {
        gateway.until_ready(Duration::from_mins(2)).await;
    }
    let [a, b] = &gateways;
    println!(
        "{many} routes with two endpoints each: ready after {:.1} s, {} and {} kB",
        began.elapsed().as_secs_f64(),
        a.resident_kilobytes(),
        b.resident_kilobytes()
    );

    let mut followers = [a.follow().await, b.follow().await];
    let (mut sent, mut stored) = (Vec::new(), Vec::new());
    for change in 0..changes {
        let number = change * 7 % many;
        let generation = i64::try_from(2 + change * 7 / many + change).unwrap();
        let object = format!("{namespace}/r{number}");
        let patch = Patch::Merge(json!({"spec": {"generation": generation, "timeouts": {"idle": "45s"}}}));
        let begin = Instant::now();
        let applied = join_all(followers.iter_mut().map(|follower| follower.applied(&object, generation)));
        let patched = async {
            routes.patch(&format!("r{number}"), &PatchParams::default(), &patch).await.unwrap();
            Instant::now()
        };
        let (applied, patched) = soon("all gateways have it", async { tokio::join!(applied, patched) }).await;
        let last = applied.into_iter().max().unwrap();
        sent.push(last - begin);
        stored.push(last.saturating_duration_since(patched));
    }
    for (from, took) in [("sending", &mut sent), ("the server's answer", &mut stored)] {
        took.sort_unstable();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        println!(
            "{changes} changes, from {from} to both gateways: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
            at(50),
            at(99),
            at(100)
        );
    }
    println!("afterwards: {} and {} kB", a.resident_kilobytes(), b.resident_kilobytes());

    // The snapshot has the last change as well.
    let applied = get(a.admin, APPLIED_ROUTES_PATH, &[]).await.json();
    soon("a snapshot of now", async {
        let text = async || tokio::fs::read_to_string(snapshot.join("routes.json")).await.unwrap_or_default();
        while !is_of(&text().await, &applied) {
            // sleep-ok: another process; the deadline is around it.
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    server.stop();
    let new = Gateway::start("new", &namespace, &kubeconfig, &snapshot).await;
    new.until_ready(Duration::from_mins(1)).await;
    for gateway in [a, b, &new] {
        assert_eq!(get(gateway.admin, "/readyz", &[]).await.status, 200);
        let said = get(gateway.admin, APPLIED_ROUTES_PATH, &[]).await.json();
        assert_eq!(said, applied, "what was known stays");
    }

    // And it goes on where the server does.
    server.start_again().await;
    let patch = Patch::Merge(json!({"spec": {"generation": 1_000_000}}));
    routes.patch("r0", &PatchParams::default(), &patch).await.unwrap();
    let object = format!("{namespace}/r0");
    let [of_a, of_b] = &mut followers;
    let mut of_new = new.follow().await;
    let all = [of_a, of_b, &mut of_new].map(|follower| follower.applied(&object, 1_000_000));
    soon("all gateways have heard of it", join_all(all)).await;
}

/// Whether a snapshot has the generations that are applied.
fn is_of(snapshot: &str, applied: &Value) -> bool {
    let Ok(snapshot) = serde_json::from_str::<Value>(snapshot) else { return false };
    let routes = snapshot["book"]["routes"].as_array().into_iter().flatten();
    let generations: serde_json::Map<_, _> = routes
        .map(|route| {
            let text = |part: &str| route["key"][part].as_str().unwrap();
            (format!("{}/{}", text("namespace"), text("name")), route["spec"]["generation"].clone())
        })
        .collect();
    applied["routes"] == Value::Object(generations)
}
