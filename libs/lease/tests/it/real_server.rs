//! A real API server: what the other tests take for granted of one.

use std::{sync::Arc, time::Duration};

use fundbond_lease::{
    Elector, Expected, LeaseStore as _, Timing, Written,
    contract::a_lease_is_written_over_what_was_seen_and_nothing_else,
    kubernetes::{Kubernetes, KubernetesLeases},
};
use fundbond_test_api_server::{ApiServer, Options, User, shared};
use k8s_openapi::api::{
    coordination::v1::Lease,
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, api::PostParams};
use serde_json::json;

const NAME: &str = "k-housekeeper";

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

fn lease(user: &User, namespace: &str) -> KubernetesLeases {
    let kubernetes = Kubernetes::of(user.config()).unwrap();
    kubernetes.lease(&namespace.parse().unwrap(), &NAME.parse().unwrap())
}

/// Lets a user do with leases what the documentation says that a candidate needs, and nothing else.
async fn allow(user: &User, namespace: &str) {
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "candidate"},
        "rules": [{
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"],
        }],
    }))
    .unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "candidate"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "candidate"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name()}],
    }))
    .unwrap();
    let client = shared().client();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &role).await.unwrap();
    Api::namespaced(client, namespace).create(&PostParams::default(), &binding).await.unwrap();
}

#[tokio::test]
async fn of_a_real_server_a_lease_is_written_over_what_was_seen_and_nothing_else() {
    let server = shared();
    let namespace = server.namespace().await;
    let candidate = server.user("candidate");
    allow(&candidate, &namespace).await;
    let (one, other) = (lease(&candidate, &namespace), lease(&candidate, &namespace));
    let stored: Api<Lease> = Api::namespaced(server.client(), &namespace);
    a_lease_is_written_over_what_was_seen_and_nothing_else(&one, &other, async || {
        stored.delete(NAME, &kube::api::DeleteParams::default()).await.unwrap();
    })
    .await
    .unwrap();
    let asked = server.audit().of(&candidate);
    let forbidden: Vec<_> = asked.iter().filter(|entry| entry.is_forbidden()).collect();
    assert!(asked.len() > 10 && forbidden.is_empty(), "{forbidden:#?}");
}

#[tokio::test]
async fn who_may_not_is_told_what_is_missing() {
    let server = shared();
    let namespace = server.namespace().await;
    let lease = lease(&server.user("stranger"), &namespace);
    let read = std::error::Error::source(&lease.read().await.unwrap_err()).unwrap().to_string();
    assert!(read.contains("may not get the lease"), "{read}");
    let made = lease.write(Some("a"), Expected::Absent).await.unwrap_err();
    let made = std::error::Error::source(&made).unwrap().to_string();
    assert!(made.contains("may not create the lease"), "{made}");
}

#[tokio::test]
async fn what_others_wrote_into_a_lease_stays() {
    let server = shared();
    let namespace = server.namespace().await;
    let one = lease(&server.admin(), &namespace);
    let Written::Done(_) = one.write(Some("a"), Expected::Absent).await.unwrap() else {
        panic!("it is free")
    };
    let stored: Api<Lease> = Api::namespaced(server.client(), &namespace);
    let mut edited = stored.get(NAME).await.unwrap();
    edited.metadata.labels.get_or_insert_default().insert("team".into(), "funds".into());
    stored.replace(NAME, &PostParams::default(), &edited).await.unwrap();
    let version = one.read().await.unwrap().unwrap().version;
    let Written::Done(renewed) = one.write(Some("a"), Expected::Version(version)).await.unwrap() else {
        panic!("nothing stood in the way")
    };
    assert!(renewed > version);
    let kept = stored.get(NAME).await.unwrap();
    assert_eq!(kept.metadata.labels.unwrap().get("team").map(String::as_str), Some("funds"));
    assert_eq!(kept.spec.unwrap().holder_identity.as_deref(), Some("a"));
}

// Times are long enough for a machine that compiles, and short enough to wait for.
#[tokio::test]
async fn a_leader_whose_server_stops_or_freezes_stops_in_time_and_leads_again_when_it_is_back() {
    let server = ApiServer::start(Options::default());
    let timing = Timing {
        expire: Duration::from_secs(6),
        lead: Duration::from_secs(4),
        retry: Duration::from_millis(500),
        attempt: Duration::from_secs(1),
    };
    let store = Arc::new(lease(&server.admin(), "default"));
    let (elector, mut told) = Elector::new("a", timing, store);
    let running = tokio::spawn(elector.run(std::future::pending()));
    for trouble in ["stopped", "frozen"] {
        tokio::time::timeout(DEADLINE, told.wait_for(Option::is_some)).await.expect(trouble).unwrap();
        let before = told.borrow().unwrap().token;
        if trouble == "stopped" {
            server.stop();
        } else {
            server.freeze();
        }
        // Before anybody else could begin.
        tokio::time::timeout(timing.expire, told.wait_for(Option::is_none)).await.expect(trouble).unwrap();
        if trouble == "stopped" {
            server.start_again().await;
        } else {
            server.thaw();
        }
        tokio::time::timeout(DEADLINE, told.wait_for(Option::is_some)).await.expect(trouble).unwrap();
        assert!(told.borrow().unwrap().token > before, "{trouble}");
    }
    running.abort();
}
