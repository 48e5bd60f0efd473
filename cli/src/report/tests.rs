//! What must not leave the machine does not, and what is needed stays.

use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use super::*;

#[test]
fn what_looks_like_a_secret_is_taken_out_of_a_text() {
    for (text, want) in [
        ("redis://app:hunter2@redis:6379/1", "redis://REDACTED@redis:6379/1"),
        ("redis://:p@ss/word@redis:6379", "redis://REDACTED@redis:6379"),
        (
            "GET https://hooks.example.com/x?token=abc&n=1",
            "GET https://hooks.example.com/x?token=REDACTED&n=1",
        ),
        ("authorization: Bearer abc.def-123", "authorization: Bearer REDACTED"),
        ("Authorization=Basic dXNlcjpwYXNz", "Authorization=Basic REDACTED"),
        ("got eyJhbGciOi.eyJzdWIiOi.c2ln from", "got REDACTED from"),
        (r#"{"msg":"x","password":"hunter2","n":1}"#, r#"{"msg":"x","password":"REDACTED","n":1}"#),
        (r#"{"body":"{\"apiKey\":\"k-1\",\"n\":1}"}"#, r#"{"body":"{\"apiKey\":\"REDACTED\",\"n\":1}"}"#),
        ("FUND_STORE_PASSWORD='hunter 2' pod", "FUND_STORE_PASSWORD='REDACTED' pod"),
        ("started with --redis-password hunter2 --port 1", "started with --redis-password REDACTED --port 1"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key REDACTED used"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nmore", "REDACTED\nmore"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "REDACTED"),
    ] {
        assert_eq!(Redactor::new(false).text(text), want);
    }
}

#[test]
fn what_is_needed_stays() {
    for text in [
        "the token of the service account is missing",
        "secret redis-auth not found",
        "FUND_LEASE_NAME=cluster1-housekeeper",
        "http://cluster1-proxy.funds.svc:8080/api/cluster/status",
        r#"{"level":"info","msg":"leads","taskId":"t1","userId":"maria","tradeId":"T-7"}"#,
        "automountServiceAccountToken: false",
        "image ghcr.io/fundbond/pod-service@sha256:0a1b2c",
    ] {
        let redactor = Redactor::new(false);
        assert_eq!(redactor.text(text), text);
        assert_eq!(redactor.count(), 0);
    }
}

#[test]
fn an_object_loses_what_its_names_say_and_keeps_where_secrets_are() {
    let object = json!({
        "metadata": {
            "name": "desk", "managedFields": [{"manager": "kubectl"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"password\":1}", "note": "redis://a:b@c"},
        },
        "spec": {
            "credentialsSecret": {"name": "redis-auth"}, "automountServiceAccountToken": true,
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [{
                "env": [
                    {"name": "FUND_PORT", "value": "9090"},
                    {"name": "WEBHOOK_TOKEN", "value": "planted-1"},
                    {"name": "LICENSE_KEY", "value": "planted-2"},
                    {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "redis-auth", "key": "password"}}},
                ],
                "args": ["--api-key", "planted-3", "--port", "1", "--token=planted-4"],
            }],
        },
        "data": {"db.password": "planted-5", "FUND_STORE": "redis://u:planted-6@redis:6379", "pin": 1234},
    });
    let redactor = Redactor::new(false);
    let redacted = redactor.object(object);
    let text = redacted.to_string();
    assert!(
        !text.contains("planted") && !text.contains("managedFields") && !text.contains("last-applied"),
        "{text}"
    );
    assert_eq!(redacted["spec"]["credentialsSecret"]["name"], "redis-auth");
    assert_eq!(redacted["spec"]["imagePullSecrets"][0]["name"], "registry");
    assert_eq!(redacted["spec"]["automountServiceAccountToken"], true);
    let container = &redacted["spec"]["containers"][0];
    assert_eq!(container["env"][0]["value"], "9090");
    assert_eq!(
        container["env"][3]["valueFrom"]["secretKeyRef"],
        json!({"name": "redis-auth", "key": "password"})
    );
    assert_eq!(container["args"], json!(["--api-key", REDACTED, "--port", "1", "--token=REDACTED"]));
    assert_eq!(redacted["data"]["FUND_STORE"], "redis://REDACTED@redis:6379");
    assert_eq!(redacted["data"]["pin"], REDACTED);
    assert_eq!(redacted["metadata"]["annotations"]["note"], "redis://REDACTED@c");
    assert_eq!(redactor.count(), 8);
}

#[test]
fn users_are_others_where_that_is_asked_for_and_the_same_throughout() {
    let redactor = Redactor::new(true);
    let line = redactor.text(r#"{"msg":"opened","userId":"maria","path":"/api/sse/connect/maria?x=1"}"#);
    assert!(!line.contains("maria"), "{line}");
    let of = |line: &str| line.split("user-").nth(1).map(|rest| rest[..16].to_owned());
    let other = of(&line).unwrap();
    assert_eq!(line.matches(&other).count(), 2, "one user is one other: {line}");
    assert!(redactor.text("user-id: maria").contains(&other));
    assert!(!redactor.text("user_id=joseph").contains(&other));
    assert_ne!(of(&Redactor::new(true).text("userId=maria")), Some(other), "another report has others");
}

#[test]
fn an_archive_is_for_its_owner_and_never_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.zip");
    let mut archive = Archive::create(&path).unwrap();
    archive.add("a/b.txt", "a text", "hello").unwrap();
    assert_eq!(archive.taken()[0], Taken { file: "a/b.txt".into(), what: "a text".into(), bytes: 5 });
    assert!(matches!(Archive::create(&path), Err(ArchiveError::Open { .. })), "what is there is left alone");
    archive.finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut zip = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    let mut text = String::new();
    zip.by_name("a/b.txt").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");

    let half = folder.path().join("half.zip");
    drop(Archive::create(&half).unwrap());
    assert!(!half.exists());
}
