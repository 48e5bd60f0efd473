//! What a killed pod left on a real Redis goes, and what lives stays.

use fundbond_protocol::{
    ClusterId, ConnectionId, PodId,
    api::{CLUSTER_STATUS_PATH, ClusterStatus},
    keys,
};
use http::Method;
use tokio::time::timeout;

use crate::{
    harness::{DEADLINE, Fundbond},
    redis::{Keeps, Redis},
};

async fn status(system: &Fundbond) -> ClusterStatus {
    system.client(Some("cluster1")).call(Method::GET, CLUSTER_STATUS_PATH, None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_pod_left_on_a_redis_is_gone_and_who_lives_is_not_touched() {
    let redis = Redis::start(Keeps::Nothing).await;
    let cluster = ClusterId::parse("cluster1").unwrap();
    // As if the server had lived for long, and the last housekeeper had ended in order: else both are waited for.
    let lease = keys::lease("cluster1-housekeeper");
    redis.ask(&["HSET", &lease, "holder", "", "version", "1"]);
    let system = Fundbond::start_with(redis.system()).await;
    let state = keys::sweep_state(&cluster);
    timeout(DEADLINE, async {
        while redis.ask(&["HGET", &state, "run"]).is_empty() {
            status(&system).await;
        }
    })
    .await
    .expect("somebody looks at the nodes");
    redis.ask(&["HSET", &state, "since", "1"]);

    // What a pod leaves that is killed: its place among the nodes and its streams, and no health.
    let dead = PodId::parse("pod-killed-9090~aaaaaaaa").unwrap();
    for number in 0..120 {
        let stream = ConnectionId::parse(format!("left-{number}")).unwrap();
        redis.ask(&["SET", &keys::registration(&stream), &format!("{dead}:{cluster}")]);
        redis.ask(&["SADD", &keys::connections_of(&dead), stream.as_str()]);
    }
    // Last, so that nobody sweeps before all of it is there.
    redis.ask(&["ZADD", &keys::node_index(&cluster), "1", dead.as_str()]);
    let shown = timeout(DEADLINE, async {
        loop {
            let shown = status(&system).await;
            if shown.nodes.iter().all(|node| node.pod_id != dead) {
                return shown;
            }
        }
    })
    .await
    .expect("the dead pod is swept in time");
    assert_eq!(redis.ask(&["KEYS", &keys::registration(&ConnectionId::parse("left-1").unwrap())]), "");
    assert_eq!(redis.ask(&["KEYS", &format!("{}*", keys::CONNECTIONS_PREFIX)]), "");
    assert_eq!(redis.ask(&["EXISTS", &keys::connections_of(&dead), &keys::node_dead(&dead)]), "1");
    assert_eq!(shown.nodes.iter().filter(|node| node.alive).count(), 2);
    assert!(shown.leader.is_some_and(|leader| shown.nodes.iter().any(|node| node.pod_id.as_str() == leader)));
    system.stop().await;
    assert_eq!(redis.ask(&["HGET", &lease, "holder"]), "", "who ends gives the lease back");
}
