//! What a test is promised of its server.

use std::{collections::BTreeSet, time::Duration};

use fundbond_test_api_server::{ApiServer, Options, Rule, Stage, User, shared};
use k8s_openapi::api::{
    core::v1::ConfigMap,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

/// Lets a user do `verbs` with config maps.
async fn allow(namespace: &str, user: &User, verbs: &[&str]) {
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "tested"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}],
    }))
    .unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "tested"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tested"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name()}],
    }))
    .unwrap();
    let client = shared().client();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &role).await.unwrap();
    Api::namespaced(client, namespace).create(&PostParams::default(), &binding).await.unwrap();
}

fn is_forbidden<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.is_forbidden())
}

#[tokio::test]
async fn a_user_may_do_what_is_allowed_and_nothing_else() {
    let server = shared();
    let namespace = server.namespace().await;
    for user in [server.user("tester"), server.service_account(&namespace, "operator").await] {
        let maps: Api<ConfigMap> = Api::namespaced(user.client(), &namespace);
        assert!(is_forbidden(maps.list(&ListParams::default()).await), "{}", user.name());
    }
    let user = server.user("tester");
    allow(&namespace, &user, &["list"]).await;
    let maps: Api<ConfigMap> = Api::namespaced(user.client(), &namespace);
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 0);
    assert!(is_forbidden(maps.create(&PostParams::default(), &config_map("a")).await));
}

#[tokio::test]
async fn a_kubeconfig_speaks_for_its_user() {
    let server = shared();
    let namespace = server.namespace().await;
    let account = server.service_account(&namespace, "operator").await;
    for (user, allowed) in [(server.admin(), true), (account, false)] {
        let file = Kubeconfig::read_from(user.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), &namespace);
        assert_eq!(maps.list(&ListParams::default()).await.is_ok(), allowed, "{}", user.name());
    }
}

#[tokio::test]
async fn the_definitions_are_served_once_they_are_installed() {
    let server = shared();
    let namespace = server.namespace().await;
    tokio::join!(server.install_definitions(), server.install_definitions());
    let kind = GroupVersionKind::gvk("fundbond.dev", "v1alpha1", "FundCluster");
    let api: Api<DynamicObject> =
        Api::namespaced_with(server.client(), &namespace, &ApiResource::from_gvk(&kind));
    let cluster = serde_json::from_value(json!({
        "apiVersion": "fundbond.dev/v1alpha1",
        "kind": "FundCluster",
        "metadata": {"name": "cluster1"},
        "spec": {"route": {"value": "cluster1"}, "redis": {"url": "redis://redis:6379"}},
    }))
    .unwrap();
    let made = api.create(&PostParams::default(), &cluster).await.unwrap();
    assert_eq!(made.data["spec"]["pods"]["replicas"], 2, "defaults are the server's");
}

#[tokio::test]
async fn the_audit_log_tells_who_asked_for_what_and_what_came_of_it() {
    let server = shared();
    let namespace = server.namespace().await;
    let user = server.user("auditor");
    allow(&namespace, &user, &["create", "watch"]).await;
    let maps: Api<ConfigMap> = Api::namespaced(user.client(), &namespace);
    maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
    maps.create(&PostParams { dry_run: true, ..PostParams::default() }, &config_map("tried")).await.unwrap();
    assert!(is_forbidden(maps.get("kept").await));
    assert!(is_forbidden(maps.get_status("kept").await));
    let watch = maps.watch(&WatchParams::default(), "0").await.unwrap();
    let seen = |verb: &str, stage| {
        let audit = server.audit();
        let verb = verb.to_owned();
        async move {
            let so = |entry: &&fundbond_test_api_server::Entry| {
                entry.user == "auditor" && entry.verb == verb && entry.stage == stage
            };
            let entries = audit.until(DEADLINE, |entries| entries.iter().any(|entry| so(&entry))).await;
            entries.iter().find(so).unwrap().clone()
        }
    };
    let watched = seen("watch", Stage::ResponseStarted).await;
    drop(watch);
    assert_eq!(seen("watch", Stage::ResponseComplete).await.id, watched.id);
    let refused = seen("get", Stage::ResponseComplete).await;
    assert!(refused.is_forbidden() && !refused.is_write());
    let entries = server.audit().of(&user);
    let written: Vec<_> = entries.iter().filter(|entry| entry.is_write()).collect();
    let [written] = &written[..] else { panic!("{entries:#?}") };
    assert_eq!(
        (&*written.namespace, &*written.name, written.code, &*written.group),
        (&*namespace, "kept", 201, "")
    );
    assert!(written.received <= written.at);
    let rule = |resource: &str, verb: &str| Rule {
        group: String::new(),
        resource: resource.into(),
        verb: verb.into(),
    };
    let rules = [
        rule("configmaps", "create"),
        rule("configmaps", "get"),
        rule("configmaps", "watch"),
        rule("configmaps/status", "get"),
    ];
    assert_eq!(server.audit().rules(&user), BTreeSet::from(rules));
}

#[tokio::test]
async fn a_server_that_was_stopped_comes_back_with_what_was_written() {
    let server = ApiServer::start(Options { audit: true, ..Options::default() });
    let namespace = server.namespace().await;
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), &namespace);
    maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
    let url = server.url().to_owned();
    server.stop();
    let refused = maps.get("kept").await.unwrap_err();
    assert!(matches!(refused, kube::Error::HyperError(_) | kube::Error::Service(_)), "{refused:?}");
    server.start_again().await;
    assert_eq!(server.url(), url);
    maps.get("kept").await.unwrap();
    let entries =
        server.audit().until(DEADLINE, |entries| entries.iter().any(|e| e.verb == "get" && e.name == "kept"));
    assert!(entries.await.iter().any(|entry| entry.verb == "create"), "the log of before is still there");
}

#[tokio::test]
async fn a_frozen_server_answers_nothing_until_it_goes_on() {
    let server = ApiServer::start(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    maps.list(&ListParams::default()).await.unwrap();
    server.freeze();
    let parameters = ListParams::default();
    let mut asked = std::pin::pin!(maps.list(&parameters));
    // Long for an answer on loopback.
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut asked).await.is_err());
    server.thaw();
    tokio::time::timeout(DEADLINE, asked).await.unwrap().unwrap();
}
