//! What a person reads, of the answers of gateways.

use serde_json::{Value, json};

use super::*;
use crate::{golden, render::Style};

fn told(value: Value) -> Explanation {
    serde_json::from_value(value).unwrap()
}

fn table(strategy: &str) -> RouteTable {
    let route =
        json!({"name": "cluster1", "header": "x-cluster-route", "value": "cluster1", "strategy": strategy});
    serde_json::from_value(json!({"routes": [route]})).unwrap()
}

fn candidate(name: &str, state: &str, under_way: u32, most: Option<u32>) -> Value {
    json!({"endpoint": name, "state": state, "underWay": under_way, "most": most})
}

fn asked() -> Asked {
    Asked {
        cluster: Some("cluster1".into()),
        method: "POST".into(),
        path: Some("/api/fund-api".into()),
        user: Some("maria".into()),
        ..Asked::default()
    }
}

fn gateway() -> Hop {
    let told = told(json!({
        "decision": "forward", "generation": 3, "route": "cluster1", "endpoint": "cluster1-proxy-7d9f",
        "endpointPath": "/api/fund-api",
        "candidates": [candidate("cluster1-proxy-7d9f", "ready", 4, None), candidate("cluster1-proxy-x2x7", "ready", 9, None)],
        "why": ["header x-cluster-route is cluster1: route cluster1", "/api/fund-api lies below /api",
                "of two ready endpoints drawn at random, cluster1-proxy-7d9f has the fewest streams and requests"],
    }));
    Hop::new("gateway fundbond/fundbond-gateway-admin".into(), told, Some(&table("LeastStreams")))
}

fn proxy(strategy: &str, more: Value) -> Hop {
    let mut value = json!({
        "decision": "forward", "generation": 3, "route": "cluster1", "endpoint": "pod-b", "endpointPath": "/api/fund-api",
        "key": {"from": "header user-id", "value": "maria"},
        "candidates": [candidate("pod-c", "full", 2, Some(2)), candidate("pod-b", "ready", 1, Some(2))],
        "why": ["nothing names a route: cluster1 is the default", "pod-b is the first of them with room"],
    });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Hop::new("cluster proxy funds/cluster1-proxy".into(), told(value), Some(&table(strategy)))
}

#[test]
fn ways_are_told_hop_by_hop() {
    let refused = told(json!({
        "decision": "refused", "generation": 3,
        "why": ["header x-cluster-route is \"cluster9\", which no route has; known values: cluster1, cluster2"],
    }));
    let rejected = json!({
        "decision": "rejected", "endpoint": null, "candidates": [],
        "why": ["user maria is in no group, and the route refuses such users"],
    });
    let deserted = json!({
        "decision": "noReadyEndpoint", "endpoint": null, "group": "a",
        "candidates": [candidate("pod-a1", "notReady", 0, None), candidate("pod-a2", "notReady", 0, None)],
        "why": ["pod-a1 is not ready", "pod-a2 is not ready", "route cluster1, group a has no endpoint that is ready"],
    });
    let ways = [
        (Way::new(asked(), vec![gateway(), proxy("ConsistentHash", json!({}))], None), Exit::Ok),
        (
            Way::new(asked(), vec![Hop::new("gateway http://127.0.0.1:18000".into(), refused, None)], None),
            Exit::Error,
        ),
        (Way::new(asked(), vec![gateway(), proxy("ShardGroups", rejected)], None), Exit::Error),
        (Way::new(asked(), vec![gateway(), proxy("ShardGroups", deserted)], None), Exit::Degraded),
        (
            Way::new(
                asked(),
                vec![gateway()],
                Some("cannot reach http://10.0.0.7:18080: connection refused".into()),
            ),
            Exit::Degraded,
        ),
    ];
    let mut shown = String::new();
    for (way, exit) in &ways {
        assert_eq!(way.exit(), *exit, "{way:?}");
        let text = text(way, Some(80), Style::PLAIN);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        shown = format!("{shown}{text}-----\n");
    }
    golden::check("route.txt", &shown);
}

#[test]
fn why_it_is_that_endpoint_is_told_in_a_word() {
    let of = |strategy: &str, more| proxy(strategy, more).how;
    assert_eq!(gateway().how, Some(How::Fewest));
    assert_eq!(of("ConsistentHash", json!({})), Some(How::Spilled));
    assert_eq!(of("ConsistentHash", json!({"endpoint": "pod-c"})), Some(How::Hash));
    let down = [candidate("pod-c", "notReady", 0, None), candidate("pod-b", "ready", 0, None)];
    assert_eq!(of("ClientIP", json!({"candidates": down})), Some(How::Next));
    assert_eq!(of("ShardGroups", json!({"group": "b"})), Some(How::Shard));
    assert_eq!(of("ShardGroups", json!({})), Some(How::Fallback));
    assert_eq!(of("RoundRobin", json!({"key": null})), Some(How::Turn));
    assert_eq!(of("RoundRobin", json!({"endpoint": null, "decision": "noReadyEndpoint"})), None);
}

#[test]
fn the_question_escapes_what_is_in_it() {
    let asked = Asked {
        headers: vec![("operation-type".into(), "write".into()), ("x-a".into(), "b&c".into())],
        ..asked()
    };
    assert_eq!(
        asked.page(),
        "/explain?method=POST&cluster=cluster1&path=%2Fapi%2Ffund-api&userId=maria\
         &headers=operation-type%3A%20write%0Ax-a%3A%20b%26c"
    );
    let behind = asked.behind(&told(json!({"endpointPath": "/fund-api"})));
    assert_eq!(behind.path.as_deref(), Some("/fund-api"));
}
