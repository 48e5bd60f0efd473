//! `status`, on a real API server.

use fundbond_test_api_server::shared;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    fundctl::{command, fundctl},
    kubernetes::{Live, status, text},
};

#[tokio::test]
async fn fund_clusters_are_listed_with_those_first_that_need_somebody() {
    let server = shared();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let file = text(&server.admin().kubeconfig());
    let run = fundctl(&["status", "-n", &namespace, "--kubeconfig", &file]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{run:?}");
    assert!(run.err.contains(&format!("no FundClusters in namespace {namespace}")), "{run:?}");

    let calm = Live::create(server.client(), &namespace, "apple").await;
    calm.says(status(1, "True", "AllReady", &[])).await;
    let run = fundctl(&["status", "-n", &namespace, "--kubeconfig", &file]).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");

    let ill = Live::create(server.client(), &namespace, "pension").await;
    ill.says(status(1, "False", "PodsMissing", &[("Degraded", "True")])).await;
    let run = fundctl(&["status", "-n", &namespace, "--kubeconfig", &file]).await;
    assert_eq!(run.code, Some(4), "{run:?}");
    let lines: Vec<Vec<&str>> = run.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["NAME", "READY", "PODS", "STREAMS", "BACKLOG", "ROUTE", "GATEWAYS", "REASON", "AGE"]
    );
    assert_eq!(lines[1][..3], ["pension", "False", "0/2"]);
    assert_eq!(lines[2][..3], ["apple", "True", "2/2"]);
    assert!(
        run.err.contains(&format!("next: fundctl --kubeconfig {file} status pension -n {namespace}")),
        "{run:?}"
    );

    let run = fundctl(&["status", "-A", "-o", "ndjson", "--kubeconfig", &file]).await;
    let all: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own: Vec<_> = all.iter().filter(|it| it["namespace"] == namespace.as_str()).collect();
    assert_eq!((&own[0]["name"], &own[0]["reason"]), (&"pension".into(), &"PodsMissing".into()));
    assert_eq!(own[1]["pods"]["ready"], 2);
}

#[tokio::test]
async fn one_is_told_with_its_conditions_and_what_happened_to_it() {
    let server = shared();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let file = text(&server.admin().kubeconfig());
    let live = Live::create(server.client(), &namespace, "desk").await;
    live.says(status(1, "False", "PodsFailing", &[("Stalled", "True")])).await;
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "desk.1"}, "type": "Warning", "reason": "PodsFailing", "message": "quota exceeded",
        "involvedObject": {"kind": "FundCluster", "name": "desk", "namespace": namespace},
        "lastTimestamp": "2026-11-22T10:00:00Z",
    }))
    .unwrap();
    let events: Api<Event> = Api::namespaced(server.client(), &namespace);
    events.create(&PostParams::default(), &event).await.unwrap();
    let run = fundctl(&["status", "desk", "-n", &namespace, "--kubeconfig", &file]).await;
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.out.starts_with(&format!("{namespace}/desk is not ready: PodsFailing\n")), "{run:?}");
    assert!(run.out.contains("Stalled") && run.out.contains("quota exceeded"), "{run:?}");
    let run = fundctl(&["status", "desk", "-n", &namespace, "-o", "yaml", "--kubeconfig", &file]).await;
    assert!(
        run.out.contains("reason: PodsFailing") && run.out.contains("message: quota exceeded"),
        "{run:?}"
    );

    let run = fundctl(&["status", "dezk", "-n", &namespace, "--kubeconfig", &file]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert_eq!(
        run.err,
        format!(
            "error: there is no FundCluster dezk in namespace {namespace}\n\
             next: fundctl --kubeconfig {file} status -A shows those there are\n"
        )
    );
}

#[tokio::test]
async fn who_may_not_look_is_told_which_right_is_missing() {
    let server = shared();
    server.install_definitions().await;
    let file = text(&server.user("eve").kubeconfig());
    let run = fundctl(&["status", "-A", "--kubeconfig", &file]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.err.starts_with("error: may not list fundclusters.fundbond.dev: "), "{run:?}");
    let next = format!("next: kubectl --kubeconfig {file} auth can-i list fundclusters.fundbond.dev -A\n");
    assert!(run.err.ends_with(&next), "{run:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_kubeconfig_is_told() {
    let nowhere = command(&["status"]).env("HOME", "/nonexistent").output().await.unwrap();
    let err = String::from_utf8(nowhere.stderr).unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err.starts_with("error: no Kubernetes is known here") && err.contains("--kubeconfig"), "{err}");

    let file = text(&shared().admin().kubeconfig());
    let run = fundctl(&["status", "--context", "prod", "--kubeconfig", &file]).await;
    assert!(
        run.err.contains("has no context prod; it has: test\nnext: name one of them with --context"),
        "{run:?}"
    );

    let run = fundctl(&["status", "--kubeconfig", "/nonexistent/config"]).await;
    assert!(run.err.starts_with("error: cannot use /nonexistent/config: "), "{run:?}");
}

#[tokio::test]
async fn a_plugin_of_kubectl_calls_itself_so() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-fund");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fundctl"), &plugin).unwrap();
    let server = shared();
    server.install_definitions().await;
    let file = text(&server.admin().kubeconfig());
    let mut command = tokio::process::Command::new(plugin);
    command.args(["status", "dezk", "-n", "funds", "--kubeconfig", &file]);
    let said = String::from_utf8(command.output().await.unwrap().stderr).unwrap();
    assert!(
        said.ends_with(&format!("next: kubectl fund --kubeconfig {file} status -A shows those there are\n")),
        "{said}"
    );
}
