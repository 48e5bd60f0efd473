//! Promise: the route header or query picks the cluster, and only its pods answer.

use std::collections::BTreeSet;

use crate::harness::{Fundbond, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_or_the_query_names_the_cluster_and_every_pod_of_it_takes_its_turn() {
    let fundbond = Fundbond::start().await;
    for cluster in ["cluster1", "cluster2"] {
        let by_header = || async { fundbond.get("/api/tasks", &[("x-cluster-route", cluster)]).await };
        let query = format!("/api/tasks?cluster={cluster}");
        let mut seen = BTreeSet::new();
        for _ in 0..4 {
            for answer in [by_header().await, fundbond.get(&query, &[]).await] {
                assert_eq!(answer.status, 200, "{answer:?}");
                let routed = answer.header("x-routed-to").to_owned();
                assert!(!answer.header("x-request-id").is_empty(), "{answer:?}");
                seen.insert(routed);
            }
        }
        let want: BTreeSet<String> =
            fundbond.pods(cluster).iter().map(|pod| format!("{cluster}/{pod}")).collect();
        assert_eq!(seen, want);
    }
    fundbond.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_wins_over_the_query() {
    let fundbond = Fundbond::start().await;
    let answer = fundbond.get("/api/tasks?cluster=cluster2", &[("x-cluster-route", "cluster1")]).await;
    assert!(answer.header("x-routed-to").starts_with("cluster1/"), "{answer:?}");
    fundbond.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_nobody_knows_or_names_is_a_problem_with_the_known_ones() {
    let fundbond = Fundbond::start().await;
    for (path, pairs) in [
        ("/api/tasks", &[("x-cluster-route", "cluster9")] as &[(&str, &str)]),
        ("/api/tasks?cluster=cluster9", &[]),
        ("/api/tasks", &[]),
    ] {
        let answer = fundbond.get(path, pairs).await;
        assert_eq!(answer.status, 404, "{path} {pairs:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("x-routed-to"), "", "nobody was reached");
        let problem = json(&answer);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("cluster1, cluster2"), "{problem}");
        assert_eq!(problem["instance"], answer.header("x-request-id"), "{problem}");
    }
    fundbond.stop().await;
}
