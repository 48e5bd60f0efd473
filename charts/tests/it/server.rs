//! What a real API server says to everything the charts make, to their pods where only restricted ones are taken, and to what
//! the notes tell people to paste.

use fundbond_test_api_server::{Client, ask, shared};
use http::Method;
use serde_json::{Value, json};

use crate::{
    charts,
    helm::{MAIN, RELEASE, objects, parse, template, value_files},
    programs::{self, run},
    rendered::pods,
};

/// As Helm 4 writes: a server-side apply.
const TRIED: &str = "dryRun=All&fieldValidation=Strict&fieldManager=helm";

/// Kinds of the Prometheus operator, which a bare server does not know. promtool reads the one, and the golden file shows both.
const FOREIGN: [&str; 2] = ["PodMonitor", "PrometheusRule"];

fn path(object: &Value) -> String {
    let api = object["apiVersion"].as_str().unwrap();
    let root = if api.contains('/') { "apis" } else { "api" };
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{api}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("/{root}/{api}/{plural}/{name}"),
    }
}

/// Has the server look at objects; what it says against them.
async fn refusals(client: &Client, objects: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for object in objects {
        let answer = ask(client, Method::PATCH, &format!("{}?{TRIED}", path(object)), Some(object)).await;
        // 200: another test has made it for good.
        if ![200, 201].contains(&answer.code) || !answer.warnings.is_empty() {
            let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
            wrong.push(format!(
                "{kind} {name}: {} {:?} {}",
                answer.code, answer.warnings, answer.body["message"]
            ));
        }
    }
    wrong
}

#[tokio::test]
async fn a_server_takes_everything_the_chart_makes() {
    let server = shared();
    let client = server.client();
    let (home, other) = (server.namespace().await, server.namespace().await);
    let mut foreign = Vec::new();
    for name in value_files("good") {
        let more = ["--set-json".to_owned(), format!("watchNamespaces=[\"{other}\"]")];
        let more: Vec<&str> =
            if name.ends_with("namespaces") { more.iter().map(String::as_str).collect() } else { Vec::new() };
        let mut made = objects(&name, &home, &more);
        made.retain(|object| {
            let kind = object["kind"].as_str().unwrap();
            let ours = !FOREIGN.contains(&kind);
            if !ours {
                foreign.push(kind.to_owned());
            }
            ours
        });
        assert!(made.len() > 5, "{name}: {}", made.len());
        let wrong = refusals(&client, &made).await;
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
    assert_eq!(foreign, FOREIGN);
}

#[tokio::test]
async fn pods_are_taken_where_only_restricted_ones_are() {
    let server = shared();
    let labels = ["enforce", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned()));
    let labels: Vec<(&str, &str)> =
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let namespace = server.namespace_with(&labels).await;
    let mut tried = 0;
    for name in value_files("good") {
        let made = objects(&name, &namespace, &[]);
        let pods: Vec<Value> = made
            .iter()
            .filter_map(|object| {
                let mut metadata = pods(object)?["metadata"].clone();
                metadata["name"] = object["metadata"]["name"].clone();
                metadata["namespace"] = namespace.as_str().into();
                Some(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pods(object)?["spec"]}))
            })
            .collect();
        let wrong = refusals(&server.client(), &pods).await;
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        tried += pods.len();
        // The same pod, were it careless.
        let mut careless = pods[0].clone();
        careless["spec"]["securityContext"]["runAsNonRoot"] = false.into();
        assert_eq!(refusals(&server.client(), &[careless]).await.len(), 1);
    }
    assert!(tried >= 8, "{tried}");
}

#[tokio::test]
async fn a_server_takes_the_definitions() {
    let server = shared();
    let made = parse(&template("fundbond-crds", "fundbond", &[]).unwrap());
    let client = server.client();
    // Other tests install the same: this one is tried under another name, where nobody else is.
    let (definitions, others): (Vec<_>, Vec<_>) =
        made.into_iter().partition(|object| object["kind"] == "CustomResourceDefinition");
    let wrong = refusals(&client, &others).await;
    assert!(!others.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
    for mut definition in definitions {
        let names = definition["spec"]["names"].clone();
        definition["spec"]["group"] = "tried.example.com".into();
        definition["metadata"]["name"] =
            format!("{}.tried.example.com", names["plural"].as_str().unwrap()).into();
        let wrong = refusals(&client, &[definition]).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// What people are told after an installation.
fn notes(values: &[&str]) -> String {
    let mut command = programs::helm();
    command.args(["install", RELEASE]).arg(charts().join(MAIN)).args([
        "--dry-run=client",
        "--namespace",
        "fb",
    ]);
    let output = run(command.args(values));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_once("\nNOTES:\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn what_the_notes_tell_people_to_paste_is_taken() {
    let server = shared();
    server.install_definitions().await;
    for (values, says) in [
        (vec!["--set", "devRedis.enabled=true"], "FOR DEVELOPMENT ONLY"),
        (vec!["--set", "watchNamespaces={funds}"], "looks after FundClusters in funds."),
        (vec!["--set", "test.cluster=desk-1"], "MISSING"),
    ] {
        let notes = notes(&values);
        assert!(notes.contains(says), "{notes}");
        let pasted = notes.split_once("<<END\n").unwrap().1.split_once("\nEND\n").unwrap().0;
        let mut cluster = parse(pasted).pop().unwrap();
        cluster["metadata"]["namespace"] = server.namespace().await.into();
        let wrong = refusals(&server.client(), &[cluster]).await;
        assert!(wrong.is_empty(), "{}\n{notes}", wrong.join("\n"));
    }
}
