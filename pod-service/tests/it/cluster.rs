//! How a cluster is, as it says of itself.

use std::sync::Arc;

use fundbond_protocol::{ClusterId, ConnectionId, PodId, api::ClusterStatus};
use fundbond_store::{Housekeeping as _, Leases as _, MemoryStore, Registry as _};

use crate::{
    client::{TestPod, settings, within},
    troubled,
};

async fn status(pod: &TestPod) -> ClusterStatus {
    let answer = pod.get("/api/cluster/status").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    serde_json::from_value(answer.json()).unwrap()
}

fn home() -> ClusterId {
    ClusterId::parse("cluster1").unwrap()
}

#[tokio::test]
async fn a_cluster_shows_its_nodes_with_what_they_hold() {
    let store = Arc::new(MemoryStore::new());
    let pod = TestPod::with(settings(), store.clone()).await;
    let _stream = pod.listen("c", &[]).await;
    let gone = PodId::parse("pod-gone-1~aaaaaaaa").unwrap();
    store.heartbeat(&gone, &home()).await.unwrap();
    store.leave(&gone, &home()).await.unwrap();
    let shown = status(&pod).await;
    assert_eq!((shown.cluster_id, shown.last_sweep), (home(), None));
    assert!(!shown.breaker.open);
    let [node] = &shown.nodes[..] else { panic!("{:?}", shown.nodes) };
    let (holder, _) = store.holder(&ConnectionId::parse("c").unwrap()).await.unwrap().unwrap();
    assert_eq!((&node.pod_id, node.alive, node.streams), (&holder, true, 1));
    assert!(node.health_age_seconds.unwrap() < 11.0);
    let age = pod.get("/api/cluster/status").await.json()["nodes"][0]["healthAgeSeconds"].to_string();
    assert!(age.split_once('.').unwrap().1.len() <= 3, "to the millisecond, not {age}");
    let query = pod.get("/api/cluster/status?nodes=1").await;
    assert_eq!(query.status, 422);
    pod.stop().await;
}

#[tokio::test]
async fn a_pod_that_leads_says_so_and_how_its_sweeps_go() {
    let store = Arc::new(MemoryStore::new());
    // A lease that was given back is taken at once; one that never was is waited for.
    let lease = store.lease("cluster1-housekeeper");
    lease.write(None, fundbond_lease::Expected::Absent).await.unwrap();
    let pod = TestPod::with(settings(), store.clone()).await;
    let shown = within("a sweep", async {
        loop {
            let shown = status(&pod).await;
            if shown.last_sweep.is_some() {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(shown.leader, Some(shown.nodes[0].pod_id.to_string()));
    assert_eq!(shown.last_sweep.unwrap().buried, 0);
    assert!(pod.metrics().await.contains("fund_sweep_leads 1"), "{}", pod.metrics().await);
    pod.stop().await;
    assert_eq!(lease.read().await.unwrap().unwrap().holder, None, "a pod that ends gives the lease back");
    assert!(store.nodes(&home()).await.unwrap().nodes.is_empty());
}

#[tokio::test]
async fn a_cluster_whose_store_is_away_says_that() {
    let (pod, store) = troubled::pod().await;
    store.fail("nodes", usize::MAX);
    let answer = pod.get("/api/cluster/status").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["type"], "urn:fundbond:problem:store-unavailable");
}
