//! The charts as Helm installs them on a real server: the operator has every right it needs by what it is given there, an upgrade
//! changes what it says, and the definitions outlive everything.

use std::{path::Path, time::Duration};

use clap::Parser as _;
use fundbond_operator::{Operator, Program, Surroundings};
use fundbond_service_runtime::Shutdown;
use fundbond_test_api_server::{ApiServer, ask, shared};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    charts,
    programs::{self, run},
};

/// What is expected to happen has happened by then, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_mins(1);

/// Helm with a kubeconfig; what it printed.
#[track_caller]
fn helm(kubeconfig: &Path, arguments: &[&str]) -> String {
    let output = run(programs::helm().arg("--kubeconfig").arg(kubeconfig).args(arguments));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn chart(name: &str) -> String {
    charts().join(name).to_str().unwrap().to_owned()
}

async fn get(server: &ApiServer, path: &str) -> (u16, Value) {
    let answer = ask(&server.client(), Method::GET, path, None).await;
    (answer.code, answer.body)
}

fn deployment(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}

/// Asks until the answer is what `so` looks for.
async fn eventually(server: &ApiServer, path: &str, so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (code, found) = get(server, path).await;
        if code == 200 && so(&found) {
            return found;
        }
        assert!(began.elapsed() < SOON, "{path} is not so: {found:#}");
        // sleep-ok: the server is another process; the deadline is above.
        sleep(Duration::from_millis(50)).await;
    }
}

/// The operator's own configuration, as its pod would read it: each variable as the flag it stands for.
fn configured(deployment: &Value) -> fundbond_operator::Config {
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let mut arguments = vec!["operator".to_owned()];
    for variable in variables {
        let flag = variable["name"]
            .as_str()
            .unwrap()
            .strip_prefix("FUND_")
            .unwrap()
            .to_lowercase()
            .replace('_', "-");
        let value = variable["value"].as_str().unwrap_or("a-pod");
        arguments.push(format!("--{flag}={value}"));
    }
    // Ports of this machine are everybody's, and there is no name of a Service here: nobody answers there.
    let here = ["--host=127.0.0.1", "--admin-port=0", "--proxy-address=http://127.0.0.1:1"];
    arguments.extend(here.map(str::to_owned));
    Program::try_parse_from(arguments).unwrap().config
}

/// Runs the operator of a release as its account until a FundCluster in `namespace` is what it should be, and no longer.
async fn operate(server: &ApiServer, release: &str, home: &str, namespace: &str) {
    let (_, installed) = get(server, &deployment(home, &format!("{release}-operator"))).await;
    let account = installed["spec"]["template"]["spec"]["serviceAccountName"].as_str().unwrap();
    let user = server.service_account(home, account).await;
    let config = configured(&installed);
    let surroundings = Surroundings::of(&config, user.config()).unwrap();
    let operator = Operator::bind(config, surroundings).await.unwrap();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(operator.run(shutdown.clone()));

    let clusters = format!("/apis/fundbond.dev/v1alpha1/namespaces/{namespace}/fundclusters");
    let cluster = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster", "metadata": {"name": "one"},
        "spec": {"route": {"value": format!("one.{namespace}")}, "redis": {"url": "redis://redis:6379"},
                 "pods": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}},
    });
    let made = ask(&server.client(), Method::POST, &clusters, Some(&cluster)).await;
    assert_eq!(made.code, 201, "{made:#?}");
    eventually(server, &format!("{clusters}/one"), |cluster| cluster["status"]["conditions"].is_array())
        .await;
    let pods = eventually(server, &deployment(namespace, "one-pods"), |_| true).await;
    let image = &pods["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "registry.example.com/fundbond/pod-service:9.9.9");

    shutdown.begin();
    running.await.unwrap().unwrap();
    // The lease is given back last.
    let is_last = |entry: &fundbond_test_api_server::Entry| {
        entry.user == user.name() && entry.resource == "leases" && entry.verb == "update"
    };
    server.audit().until(SOON, |entries| entries.iter().filter(|entry| is_last(entry)).count() > 1).await;
    let refused: Vec<String> = server
        .audit()
        .of(&user)
        .iter()
        .filter(|entry| entry.is_forbidden())
        .map(ToString::to_string)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Whether the gateway of a release may list something in a namespace.
async fn may_list(
    server: &ApiServer,
    account: (&str, &str),
    group: &str,
    resource: &str,
    namespace: &str,
) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": format!("system:serviceaccount:{}:{}", account.0, account.1), "resourceAttributes":
            {"verb": "list", "group": group, "resource": resource, "namespace": namespace}},
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = ask(&server.client(), Method::POST, path, Some(&review)).await;
    answer.body["status"]["allowed"].as_bool().unwrap()
}

#[tokio::test]
async fn what_helm_installs_is_what_an_operator_needs() {
    let server = shared();
    let kubeconfig = server.admin().kubeconfig();
    let helm = |arguments: &[&str]| helm(&kubeconfig, arguments);
    let (home, other, alone) = (server.namespace().await, server.namespace().await, server.namespace().await);

    // They are there already, as after `kubectl apply -f crds/`.
    server.install_definitions().await;
    helm(&["install", "definitions", &chart("fundbond-crds"), "--namespace", &home, "--take-ownership"]);

    // Who takes over a lease that was given back leads at once; who makes one waits for ten seconds.
    let image = "image.registry=registry.example.com,image.tag=9.9.9,operator.leaseName=leads";
    let notes = helm(&["install", "all", &chart("fundbond"), "--namespace", &home, "--set", image]);
    assert!(
        notes.contains("looks after FundClusters in all namespaces.") && !notes.contains("MISSING"),
        "{notes}"
    );
    operate(server, "all", &home, &other).await;
    let gateway = (home.as_str(), "all-gateway");
    assert!(may_list(server, gateway, "fundbond.dev", "gatewayroutes", &other).await);
    assert!(!may_list(server, gateway, "", "secrets", &home).await);

    // It is another one's turn, for one namespace.
    helm(&["uninstall", "all", "--namespace", &home]);
    let only = format!("{image},watchNamespaces={{{alone}}}");
    helm(&["install", "desk", &chart("fundbond"), "--namespace", &home, "--set", &only]);
    operate(server, "desk", &home, &alone).await;
    let gateway = (home.as_str(), "desk-gateway");
    assert!(may_list(server, gateway, "discovery.k8s.io", "endpointslices", &alone).await);
    assert!(!may_list(server, gateway, "discovery.k8s.io", "endpointslices", &other).await);

    let upgrade = |more: &'static str| {
        helm(&["upgrade", "desk", &chart("fundbond"), "--namespace", &home, "--reuse-values", "--set", more]);
    };
    upgrade("gateway.replicas=3,gateway.env[0].name=FUND_LOG,gateway.env[0].value=debug");
    let (_, changed) = get(server, &deployment(&home, "desk-gateway")).await;
    assert_eq!(changed["spec"]["replicas"], 3);
    let variables = changed["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let logs: Vec<&Value> = variables.iter().filter(|variable| variable["name"] == "FUND_LOG").collect();
    assert_eq!(logs, [&json!({"name": "FUND_LOG", "value": "debug"})]);

    for release in ["desk", "definitions"] {
        helm(&["uninstall", release, "--namespace", &home]);
    }
    let (code, _) = get(server, &deployment(&home, "desk-gateway")).await;
    assert_eq!(code, 404);
    for definition in ["fundclusters.fundbond.dev", "gatewayroutes.fundbond.dev"] {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}");
        let (code, found) = get(server, &path).await;
        // What is to be deleted stays while there are objects of its kind.
        let stays = code == 200 && found["metadata"]["deletionTimestamp"].is_null();
        assert!(stays, "{definition} went with its release");
    }
}
