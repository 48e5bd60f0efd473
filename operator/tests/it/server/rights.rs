//! What the operator may do, what it does, and what it does not do when there is nothing to do.

use std::{collections::BTreeSet, time::Duration};

use fundbond_crds::{FundCluster, GatewayRoute};
use fundbond_operator::rights;
use fundbond_test_api_server::{Entry, Rule, User, shared};
use k8s_openapi::api::{
    core::v1::ConfigMap,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::harness::{Desk, Running, eventually, names};

/// A service account of the desk's namespace with exactly what the operator asks for.
pub(crate) async fn entitled(desk: &Desk, name: &str) -> User {
    let mut rules = rights::everywhere();
    rules.extend(rights::at_home("fundbond-operator"));
    let metadata = || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let role = Role { metadata: metadata(), rules: Some(rules) };
    desk.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
    let user = shared().service_account(&desk.namespace, name).await;
    let binding = RoleBinding {
        metadata: metadata(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.to_owned(),
            namespace: Some(desk.namespace.clone()),
            ..Subject::default()
        }]),
    };
    desk.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
    user
}

fn flat(rules: &[PolicyRule]) -> BTreeSet<Rule> {
    let mut flat = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                flat.extend(rule.verbs.iter().map(|verb| Rule {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    flat
}

/// Everything the operator ever does, from the first object to the last: deeds and rights are the same list.
#[tokio::test]
async fn the_operator_does_all_it_may_and_may_all_it_does() {
    shared().install_foreign_definitions().await;
    let desk = Desk::open_idle(shared()).await;
    let user = entitled(&desk, "operator").await;
    let operator = Running::start(&user, &desk.namespace).await;
    let everything = json!({
        "pods": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}},
        "exposure": {"httpRoute": {"enabled": true, "parentRefs": [{"name": "public"}]}},
        "monitoring": {"serviceMonitor": true, "rules": true},
    });
    desk.create("all", everything).await;
    desk.told("all", "Ready", "False", "PodsStarting").await;
    desk.roll_out("all-pods").await;
    desk.roll_out("all-proxy").await;
    desk.told("all", "Ready", "True", "AllReady").await;
    // One pod goes and comes back: what is said a second time is the first event once more.
    desk.pods("all-pods", 0).await;
    desk.told("all", "Ready", "False", "PodsMissing").await;
    desk.roll_out("all-pods").await;
    desk.told("all", "Ready", "True", "AllReady").await;
    // Without a garbage collector it is the operator that clears away, after a while.
    desk.api::<FundCluster>().delete("all", &DeleteParams::default()).await.unwrap();
    eventually("the route goes at once", async || {
        names(&desk.api::<GatewayRoute>()).await.is_empty().then_some(())
    })
    .await;
    let began = Instant::now();
    while names(&desk.api::<ConfigMap>()).await.contains(&"all".to_owned()) {
        assert!(began.elapsed() < Duration::from_mins(2), "the rest goes after half a minute");
        // sleep-ok: the server is another process; the deadline is above.
        sleep(Duration::from_millis(200)).await;
    }
    operator.stop().await;

    let audit = shared().audit();
    let forbidden: Vec<_> = audit.of(&user).into_iter().filter(Entry::is_forbidden).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    let done = audit.rules(&user);
    let mut may = flat(&rights::everywhere());
    may.extend(flat(&rights::at_home("fundbond-operator")));
    // Making by applying is recorded as applying.
    may.retain(|rule| rule.verb != "create" || matches!(rule.resource.as_str(), "events" | "leases"));
    let mut done = done;
    done.extend(flat(&rights::handed_on()));
    let unused: Vec<_> = may.difference(&done).collect();
    let lacking: Vec<_> = done.difference(&may).collect();
    assert!(unused.is_empty() && lacking.is_empty(), "never used: {unused:#?}\nnot granted: {lacking:#?}");
}

/// Neither while nothing happens nor after a restart.
#[tokio::test]
async fn nothing_is_written_where_nothing_is_to_change() {
    let desk = Desk::open_idle(shared()).await;
    let user = entitled(&desk, "operator").await;
    let operator = Running::start(&user, &desk.namespace).await;
    for name in ["one", "two", "three"] {
        desk.create(name, json!({"pods": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}})).await;
        desk.told(name, "Ready", "False", "PodsStarting").await;
        desk.roll_out(&format!("{name}-pods")).await;
        desk.roll_out(&format!("{name}-proxy")).await;
        desk.told(name, "Ready", "True", "AllReady").await;
    }
    for name in ["one", "two", "three"] {
        desk.asked(name).await;
    }
    operator.stop().await;
    let writes = || {
        let entries = shared().audit().of(&user);
        let writes = entries.into_iter().filter(|entry| entry.is_write() && entry.resource != "leases");
        writes.map(|entry| entry.to_string()).collect::<Vec<_>>()
    };
    let before = writes();
    let operator = Running::start(&user, &desk.namespace).await;
    let leases =
        Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(desk.client.clone(), &desk.namespace);
    eventually("it leads again", async || {
        let lease = leases.get("fundbond-operator").await.unwrap();
        lease.spec.unwrap().holder_identity.filter(|holder| !holder.is_empty())
    })
    .await;
    // sleep-ok: it is about what does not happen; a look at three FundClusters takes milliseconds.
    sleep(Duration::from_secs(3)).await;
    operator.stop().await;
    assert_eq!(writes()[before.len()..], [""; 0]);
}
