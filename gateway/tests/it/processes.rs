//! The binaries: exit codes, and both hops as processes.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::support::{Endpoint, get, routes, soon, spec};

fn program(name: &str) -> Command {
    let path = match name {
        "gateway" => env!("CARGO_BIN_EXE_gateway"),
        _ => env!("CARGO_BIN_EXE_cluster-proxy"),
    };
    let mut command = Command::new(path);
    command.env_clear().env("FUND_HOST", "127.0.0.1").env("FUND_PORT", "0").stderr(Stdio::piped());
    command
}

#[test]
fn a_bad_configuration_is_one_clear_line_and_exit_code_64() {
    let directory = TempDir::new().unwrap();
    let routes = directory.path().join("routes.yaml");
    std::fs::write(&routes, "generation: 1\nroutes: [{match: {value: 'a b'}, name: a, endpoints: []}]")
        .unwrap();
    for (arguments, expected) in [
        (vec!["--routes", "/does/not/exist"], "gateway: cannot read the route file /does/not/exist: "),
        (
            vec!["--routes", routes.to_str().unwrap()],
            "is not valid: routes[0].match.value: has the character",
        ),
        (vec!["--routes", "r", "--idle-timeout", "soon"], "--idle-timeout"),
        (vec!["--routes", "r", "--log", "a=b=c"], "--log (FUND_LOG)"),
        (vec![], "--routes <FILE|kubernetes>"),
        (vec!["--routes", "kubernetes"], "neither a kubeconfig nor a pod's service account"),
        (vec!["--routes", "kubernetes", "--watch-namespaces", "a b"], "small letters"),
    ] {
        let output = program("gateway").args(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// A process of ours, ended with the test.
struct Process {
    child: Child,
    service: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    log: BufReader<std::process::ChildStderr>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(name: &str, routes: &std::path::Path, more: &[&str]) -> Self {
        let mut child = program(name).arg("--routes").arg(routes).args(more).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let serving = line_with(&mut log, "serving");
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        let (service, admin) = (address("address"), address("admin"));
        Self { child, service, admin, log }
    }
}

/// The next JSON log line whose message is `message`.
fn line_with(log: &mut impl BufRead, message: &str) -> serde_json::Value {
    let mut lines = log.lines();
    loop {
        let line = lines.next().unwrap_or_else(|| panic!("no line {message:?}")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if value["msg"] == message {
            return value;
        }
    }
}

#[tokio::test]
async fn both_hops_run_as_processes_log_each_request_and_end_on_sigterm() {
    let pod = Endpoint::echo("pod-a-9090").await;
    let directory = TempDir::new().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let inner = file("inner.yaml", routes(1, &[("cluster1", "", &[pod.spec()])]));
    let proxy = Process::start("cluster-proxy", &inner, &["--trusted-proxies=127.0.0.1"]);
    let outer = file("outer.json", routes(1, &[("cluster1", "", &[spec(proxy.service, proxy.admin)])]));
    let mut gateway = Process::start("gateway", &outer, &[]);
    soon("both hops to be ready", async { while get(gateway.admin, "/readyz", &[]).await.status != 200 {} })
        .await;

    let admin_port = gateway.admin.port().to_string();
    let healthcheck =
        || program("gateway").args(["--admin-port", &admin_port, "healthcheck"]).output().unwrap();
    assert_eq!(healthcheck().status.code(), Some(0));

    let route = [("x-cluster-route", "cluster1"), ("x-request-id", "r-1")];
    let got = get(gateway.service, "/api/x?secret=1", &route).await;
    assert_eq!((got.status, got.header("x-routed-to")), (200, "cluster1/pod-a-9090"));

    let line = line_with(&mut gateway.log, "request");
    assert_eq!((&line["requestId"], &line["path"]), (&"r-1".into(), &"/api/x".into()));
    assert_eq!((&line["method"], &line["route"]), (&"GET".into(), &"cluster1".into()));
    assert_eq!((&line["status"], &line["end"]), (&200.into(), &"complete".into()));
    assert_eq!(
        (&line["endpoint"], line["traceId"].as_str().unwrap().len()),
        (&proxy.service.to_string().into(), 32)
    );
    assert_eq!((&line["bytesOut"], &line["client"]), (&got.body.len().into(), &"127.0.0.1".into()));
    assert!(line["seconds"].as_f64().unwrap() > 0.0 && !line.to_string().contains("secret"), "{line}");

    let pid = gateway.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    line_with(&mut gateway.log, "drained");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    let gone = healthcheck();
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&gone.stderr).starts_with("gateway: no answer from 127.0.0.1:"),
        "{gone:?}"
    );
}
