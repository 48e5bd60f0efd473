//! The lease in Kubernetes, with the real program.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use axum::{Router, extract::Request, http::StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStderr, Command},
    sync::mpsc,
};

use crate::client::within;

/// A Redis that is not there: whether there is a lease does not depend on one.
const STORE: &str = "redis://127.0.0.1:1";

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    home: tempfile::TempDir,
}

impl Program {
    /// Starts `pod-service` with a lease in the Kubernetes of `kubeconfig`, and in no pod.
    fn start(kubeconfig: Option<SocketAddr>, cluster: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("kubeconfig");
        if let Some(server) = kubeconfig {
            let config = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": format!("http://{server}")}}],
                "users": [{"name": "u", "user": {"token": "a-token"}}],
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "desk"}}],
            });
            std::fs::write(&file, config.to_string()).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_pod-service"))
            .args(["--host", "127.0.0.1", "--port", "0", "--log-format", "json", "--lease", "kubernetes"])
            .args(["--store", STORE, "--cluster-id", cluster])
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("HOME", home.path())
            .env("KUBECONFIG", &file)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, home }
    }

    /// The first line in which `so` holds.
    async fn line(&mut self, so: impl Fn(&Value) -> bool) -> Value {
        within("the line", async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap();
                if so(&line) {
                    return line;
                }
            }
            panic!("the program ended before it said so");
        })
        .await
    }
}

/// A server that allows nothing, and tells what was asked for.
async fn forbidding() -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let (tell, told) = mpsc::channel(100);
    let tell = Arc::new(tell);
    let refuse = move |request: Request| {
        let tell = tell.clone();
        async move {
            let token =
                request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let asked = (format!("{} {}", request.method(), request.uri()), token.unwrap_or_default());
            // Nobody listens to more than the first few.
            let _ = tell.try_send(asked);
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "leases is forbidden: u may not", "metadata": {},
            });
            (StatusCode::FORBIDDEN, status.to_string())
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await.unwrap() });
    (address, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_may_not_have_the_lease_serves_and_says_what_is_missing() {
    let (server, mut told) = forbidding().await;
    let mut program = Program::start(Some(server), "desk.bonds");
    let line = program
        .line(|line| line["msg"].as_str().unwrap().starts_with("an attempt on the lease failed"))
        .await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("may not get the lease bonds-housekeeper in namespace desk"), "{error}");
    assert!(error.contains("let a Role there allow get, create and update"), "{error}");
    assert!(error.contains("leases is forbidden: u may not"), "{error}");
    let (asked, token) = within("a request", told.recv()).await.unwrap();
    assert_eq!(asked, "GET /apis/coordination.k8s.io/v1/namespaces/desk/leases/bonds-housekeeper");
    assert_eq!(token, "Bearer a-token");
    within("another attempt", told.recv()).await.unwrap();
    assert_eq!(program.child.try_wait().unwrap(), None, "it goes on");
    assert!(program.home.path().exists());
}

#[tokio::test]
async fn a_lease_without_any_kubernetes_is_one_clear_line() {
    let mut program = Program::start(None, "bonds");
    let line = within("what it says", program.lines.next_line()).await.unwrap().unwrap();
    assert!(line.contains("--lease kubernetes cannot be: no Kubernetes is known here"), "{line}");
    assert_eq!(within("the exit", program.child.wait()).await.unwrap().code(), Some(64));
}
