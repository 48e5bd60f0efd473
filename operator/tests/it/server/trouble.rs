//! Operators that are stopped and killed, and a server that goes away.

use std::time::Duration;

use fundbond_crds::{FundCluster, GatewayRoute};
use fundbond_test_api_server::{ApiServer, Entry, Options, User, shared};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Service, ServiceAccount},
    },
    jiff::Timestamp,
};
use kube::api::ListParams;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::size;

use super::{
    harness::{Desk, Running, eventually, names},
    process::Process,
    rights::entitled,
};

/// Who leads, by the name of the node.
async fn leader(desk: &Desk) -> Option<String> {
    let lease = desk.api::<Lease>().get_opt("fundbond-operator").await.unwrap()?;
    let holder = lease.spec?.holder_identity?;
    Some(holder.split('_').next().unwrap().to_owned())
}

async fn leads(desk: &Desk, node: &str) {
    eventually(&format!("{node} leads"), async || {
        (leader(desk).await.as_deref() == Some(node)).then_some(())
    })
    .await;
}

/// What a user wrote, but for leases.
fn writes(user: &User) -> Vec<Entry> {
    let mut entries = shared().audit().of(user);
    entries.retain(|entry| entry.is_write() && entry.resource != "leases");
    entries
}

/// Waits until a FundCluster and all that it has is there.
async fn whole(desk: &Desk, name: &str) {
    desk.told(name, "Ready", "False", "PodsStarting").await;
}

#[tokio::test]
async fn a_leader_that_was_stopped_writes_nothing_when_it_wakes() {
    let desk = Desk::open_idle(shared()).await;
    let (first, second) = (entitled(&desk, "first").await, entitled(&desk, "second").await);
    let stopped = Process::start(&first.kubeconfig(), &desk.namespace, "first");
    leads(&desk, "first").await;
    let _standby = Process::start(&second.kubeconfig(), &desk.namespace, "second");
    // In the middle of its work.
    let busy: Vec<String> = (0..10).map(|number| format!("busy{number}")).collect();
    for name in &busy {
        desk.create(name, json!({})).await;
    }
    eventually("the first has begun", async || (!writes(&first).is_empty()).then_some(())).await;
    stopped.signal(Signal::STOP);
    leads(&desk, "second").await;
    for name in &busy {
        whole(&desk, name).await;
    }
    for name in &busy {
        desk.edit(name, json!({"pods": {"replicas": 3}})).await;
    }
    for name in &busy {
        whole(&desk, name).await;
    }
    let taken = Timestamp::now();
    stopped.signal(Signal::CONT);
    // Awake, it would have finished its work long before this.
    desk.create("last", json!({})).await;
    whole(&desk, "last").await;
    // sleep-ok: it is about what does not happen.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(leader(&desk).await.as_deref(), Some("second"));
    let late: Vec<_> = writes(&first).into_iter().filter(|entry| entry.received > taken).collect();
    assert!(late.is_empty(), "{late:#?}");
    // One after the other, never both.
    let ended = writes(&first).iter().map(|entry| entry.received).max().unwrap();
    let began = writes(&second).iter().map(|entry| entry.received).min().unwrap();
    assert!(ended < began, "{ended} {began}");
    for name in &busy {
        let pods = desk.api::<Deployment>().get(&format!("{name}-pods")).await.unwrap();
        assert_eq!(pods.spec.unwrap().replicas, Some(3));
    }
}

/// `FUNDBOND_KILLS=20` and `FUNDBOND_KILL_CLUSTERS=60` for the long way. A leader that is killed keeps its lease for fifteen seconds.
#[tokio::test]
async fn whatever_moment_an_operator_is_killed_at_nothing_stays_half() {
    let (kills, clusters) = (size("FUNDBOND_KILLS", 2), size("FUNDBOND_KILL_CLUSTERS", 12));
    let seed = size("FUNDBOND_SEED", rand::random::<u64>() >> 1);
    println!("FUNDBOND_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let desk = Desk::open_idle(shared()).await;
    let admin = shared().admin();
    let mut made = 0;
    for kill in 0..kills {
        let operator = Process::start(&admin.kubeconfig(), &desk.namespace, &format!("kill{kill}"));
        leads(&desk, &format!("kill{kill}")).await;
        // A part of them with each operator; and it dies somewhere in the middle of the work.
        let until = clusters * (kill + 1) / kills;
        while made < until {
            desk.create(&format!("c{made}"), json!({})).await;
            made += 1;
        }
        // sleep-ok: a random moment is the point.
        sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        operator.kill();
    }
    let last = Process::start(&admin.kubeconfig(), &desk.namespace, "last");
    leads(&desk, "last").await;
    for number in 0..clusters {
        whole(&desk, &format!("c{number}")).await;
    }
    drop(last);
    let clusters = usize::try_from(clusters).unwrap();
    for (found, each) in [
        (names(&desk.api::<Deployment>()).await.len(), 2),
        (names(&desk.api::<GatewayRoute>()).await.len(), 1),
        (names(&desk.api::<Service>()).await.len(), 3),
        (names(&desk.api::<ConfigMap>()).await.len(), 2),
        (names(&desk.api::<ServiceAccount>()).await.len(), 2),
    ] {
        assert_eq!(found, clusters * each);
    }
}

/// `FUNDBOND_OUTAGE_SECONDS=150` for the long way.
#[tokio::test]
async fn a_server_that_was_away_is_served_at_once_when_it_is_back() {
    let away = Duration::from_secs(size("FUNDBOND_OUTAGE_SECONDS", 5));
    let server = ApiServer::start(Options::default());
    let desk = Desk::open_idle(&server).await;
    let operator = Running::start(&server.admin(), &desk.namespace).await;
    desk.create("before", json!({})).await;
    whole(&desk, "before").await;
    server.stop();
    // sleep-ok: for so long there is nothing to wait for.
    sleep(away).await;
    server.start_again().await;
    let back = Instant::now();
    desk.edit("before", json!({"pods": {"replicas": 4}})).await;
    eventually("the edit is served", async || {
        let pods = desk.api::<Deployment>().get("before-pods").await.unwrap();
        (pods.spec.unwrap().replicas == Some(4)).then_some(())
    })
    .await;
    println!(
        "served {:.1} s after the server was ready, which was away for {away:?}",
        back.elapsed().as_secs_f64()
    );
    desk.create("after", json!({})).await;
    whole(&desk, "after").await;
    let clusters = desk.api::<FundCluster>().list(&ListParams::default()).await.unwrap();
    assert_eq!(clusters.items.len(), 2);
    operator.stop().await;
}
