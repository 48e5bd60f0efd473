//! `report`: what was planted is nowhere in it, and what is needed is.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::{
    fundctl::fundctl,
    kubernetes::{scripted, text},
    server::Reply,
};

/// Whatever has this in it must not be in a report.
const PLANTED: &str = "s3cr3t";

fn list(kind: &str, items: Value) -> Reply {
    Reply::Json(
        200,
        json!({"apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {}, "items": items}),
    )
}

fn meta(name: &str, namespace: &str) -> Value {
    json!({"name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"),
           "labels": {"app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/managed-by": "fundbond-operator"},
           "managedFields": [{"manager": "fundbond-operator"}]})
}

fn pod() -> Value {
    json!([{
        "metadata": meta("desk-pods-1", "funds"),
        "spec": {"containers": [{
            "name": "pod-service", "image": "pod-service:1", "ports": [{"name": "admin", "containerPort": 19090}],
            "args": ["--redis-password", PLANTED],
            "env": [{"name": "WEBHOOK_TOKEN", "value": PLANTED}, {"name": "FUND_PORT", "value": "9090"},
                    {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "redis-auth", "key": "password"}}}],
        }]},
        "status": {"containerStatuses": [{"name": "pod-service", "image": "", "imageID": "", "ready": true, "restartCount": 1}]},
    }])
}

const LOG: &str = "2026-11-22T10:00:00Z {\"level\":\"info\",\"msg\":\"opened\",\"userId\":\"maria\"}\n\
                   2026-11-22T10:00:01Z {\"level\":\"warn\",\"error\":\"cannot reach redis://app:s3cr3t@redis:6379\"}\n\
                   2026-11-22T10:00:02Z authorization: Bearer s3cr3t.s3cr3t\n";

fn replies() -> Vec<(&'static str, Reply)> {
    let version = || {
        Reply::Json(
            200,
            json!({"major": "1", "minor": "36", "gitVersion": "v1.36.4", "gitCommit": "",
        "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
        )
    };
    let clusters = || {
        let mut metadata = meta("desk", "funds");
        let copy = format!("{{\"password\":\"{PLANTED}\"}}");
        metadata["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": copy});
        list(
            "FundCluster",
            json!([{
                "metadata": metadata,
                "spec": {"route": {"value": "desk"},
                         "redis": {"url": "redis://redis:6379", "credentialsSecret": {"name": "redis-auth"}}},
            }]),
        )
    };
    let settings = json!([{
        "metadata": meta("desk", "funds"),
        "data": {"FUND_STORE": format!("redis://:{PLANTED}@redis:6379"), "api-key": PLANTED, "FUND_PORT": "9090"},
    }]);
    let events = json!([
        {"metadata": {"name": "desk.1", "namespace": "funds"}, "involvedObject": {"kind": "FundCluster", "name": "desk"},
         "message": format!("password={PLANTED} refused")},
        {"metadata": {"name": "other.1", "namespace": "funds"}, "involvedObject": {"kind": "Pod", "name": "somebody-elses"},
         "message": "nobody's business"},
    ]);
    vec![
        ("GET /version", version()),
        ("GET /version", version()),
        ("GET /apis/fundbond.dev/v1alpha1/fundclusters", clusters()),
        ("GET /apis/fundbond.dev/v1alpha1/fundclusters", clusters()),
        ("GET /apis/fundbond.dev/v1alpha1/gatewayroutes", list("GatewayRoute", json!([]))),
        ("GET /apis/fundbond.dev/v1alpha1/gatewayroutes", list("GatewayRoute", json!([]))),
        ("GET /api/v1/configmaps", list("ConfigMap", settings)),
        ("GET /api/v1/pods", list("Pod", pod())),
        ("GET /api/v1/pods", list("Pod", pod())),
        ("GET /api/v1/namespaces/funds/events", list("Event", events)),
        ("GET /api/v1/namespaces/funds/pods/desk-pods-1/log", Reply::Text(200, LOG)),
        ("GET /api/v1/namespaces/funds/pods/desk-pods-1/log", Reply::Text(200, "the one before\n")),
        (
            "GET /api/v1/namespaces/funds/pods/desk-pods-1:19090/proxy/metrics",
            Reply::Text(200, "fund_streams 7\n"),
        ),
    ]
}

/// Every file of the zip with its text.
fn unzip(path: &str) -> Vec<(String, String)> {
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let files = (0..zip.len()).map(|index| {
        let mut file = zip.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (file.name().unwrap().into_owned(), text)
    });
    files.collect()
}

#[tokio::test]
async fn a_report_has_what_is_needed_and_nothing_that_is_secret() {
    let (server, file) = scripted(replies()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = text(&folder.path().join("report.zip"));
    let kubeconfig = text(file.path());
    let arguments =
        ["report", "--kubeconfig", &kubeconfig, "--file", &path, "--since", "1h", "--redact-users"];
    let run = fundctl(&arguments).await;
    // The script has no Deployments and others, so that these are missing.
    assert_eq!((run.code, run.out.as_str()), (Some(4), &*format!("{path}\n")), "{run:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let files = unzip(&path);
    for (name, text) in &files {
        assert!(!text.contains(PLANTED), "{name} has what was planted:\n{text}");
        assert!(!text.contains("maria") && !text.contains("nobody's business"), "{name}:\n{text}");
    }
    let of = |name: &str| {
        let found = files.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("{name} is in {files:#?}"), |(_, text)| text.as_str())
    };
    let log = of("logs/funds/desk-pods-1/pod-service.log");
    assert!(
        log.contains("cannot reach redis://REDACTED@redis:6379") && log.contains("\"userId\":\"user-"),
        "{log}"
    );
    assert_eq!(of("logs/funds/desk-pods-1/pod-service.previous.log"), "the one before\n");
    assert_eq!(of("admin/funds/desk-pods-1/metrics.txt"), "fund_streams 7\n");
    assert!(of("objects/configmaps.yaml").contains("FUND_PORT: '9090'"), "what is no secret stays");
    assert!(of("objects/fundclusters.yaml").contains("name: redis-auth"), "the name of a Secret is none");
    assert!(of("objects/events.yaml").contains("refused"));
    assert!(of("doctor.txt").contains("server") && of("versions.json").contains("v1.36.4"));

    let manifest: Value = serde_json::from_str(of("manifest.json")).unwrap();
    let missing: Vec<_> =
        manifest["missing"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert!(
        missing.contains(&"deployments") && missing.contains(&"/routes of funds/desk-pods-1"),
        "{missing:?}"
    );
    assert_eq!(manifest["taken"].as_array().unwrap().len() + 1, files.len());
    assert_eq!(manifest["users"], "replaced");
    assert_eq!(manifest["redacted"], 7, "{manifest}");
    let calls = server.calls();
    assert!(!calls.iter().any(|call| call.starts_with("GET /api/v1/secrets")), "{calls:?}");
    assert!(
        calls.iter().any(|call| call.contains("tailLines=2000") && call.contains("sinceSeconds=3600")),
        "{calls:?}"
    );

    let run = fundctl(&arguments).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "what is there is left alone: {run:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_no_file() {
    let (_server, file) = scripted(Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = text(&folder.path().join("report.zip"));
    let run = fundctl(&["report", "--kubeconfig", &text(file.path()), "--file", &path]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
