//! What `/explain` says of each strategy that looks at a request.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use http::{Method, Response};
use serde_json::{Value, json};

use crate::{
    balance::streaming,
    routing::wait_for_ready,
    support::{Endpoint, Running, by_strategy, config, empty, get, request, send, until},
};

const NAMES: [&str; 3] = ["pod-a", "pod-b", "pod-c"];

fn specs(pods: &[Endpoint], groups: Option<[&str; 3]>) -> Vec<String> {
    let group = |pod: usize| groups.map_or_else(String::new, |groups| format!(", group: {}", groups[pod]));
    pods.iter().enumerate().map(|(pod, endpoint)| endpoint.named(NAMES[pod], &group(pod))).collect()
}

async fn echoes() -> Vec<Endpoint> {
    vec![Endpoint::echo("pod-a").await, Endpoint::echo("pod-b").await, Endpoint::echo("pod-c").await]
}

async fn explain(gateway: &Running, query: &str) -> Value {
    get(gateway.admin, &format!("/explain?{query}"), &[]).await.json()
}

fn order(told: &Value) -> Vec<String> {
    let candidates = told["candidates"].as_array().unwrap();
    candidates.iter().map(|candidate| candidate["endpoint"].as_str().unwrap().to_owned()).collect()
}

fn states(told: &Value) -> Vec<&str> {
    told["candidates"].as_array().unwrap().iter().map(|c| c["state"].as_str().unwrap()).collect()
}

/// The sentences after the two about the route.
fn why(told: &Value) -> Vec<&str> {
    told["why"].as_array().unwrap().iter().skip(2).map(|why| why.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_client_is_explained_by_its_address() {
    let pods = echoes().await;
    let gateway = Running::on(&by_strategy(1, "{kind: ClientIP}", &specs(&pods, None))).await;
    let told = explain(&gateway, "ip=127.0.0.1").await;
    assert_eq!(told["key"], json!({"from": "client", "value": "127.0.0.1"}));
    let ranking = order(&told);
    assert_eq!(told["endpoint"], ranking[0]);
    assert_eq!(
        why(&told),
        [
            r#"client is "127.0.0.1": endpoints are asked in the order of their weight for it"#.to_owned(),
            format!("{} is the first of them that is ready", ranking[0]),
        ]
    );
    // It is what happens.
    assert_eq!(get(gateway.service, "/", &[]).await.json()["name"], ranking[0]);
    assert_eq!(order(&explain(&gateway, "ip=::ffff:127.0.0.1").await), ranking);

    let first = NAMES.iter().position(|name| *name == ranking[0]).unwrap();
    pods[first].ready.store(false, SeqCst);
    wait_for_ready(&gateway, 2).await;
    let told = explain(&gateway, "ip=127.0.0.1").await;
    assert_eq!((order(&told), states(&told)), (ranking.clone(), vec!["notReady", "ready", "ready"]));
    assert_eq!(told["endpoint"], ranking[1]);
    assert_eq!(
        why(&told)[1..],
        [
            format!("{} is not ready", ranking[0]),
            format!("{} is the first of them that is ready", ranking[1])
        ]
    );

    let asked = get(gateway.admin, "/explain?cluster=a", &[]).await;
    assert_eq!(
        (asked.status, &*asked.body),
        (400, "ip is needed: route a goes by the address of the client\n")
    );
    let asked = get(gateway.admin, "/explain?ip=me", &[]).await;
    assert_eq!((asked.status, &*asked.body), (400, "ip \"me\" is not an IP address\n"));
}

#[tokio::test]
async fn a_user_is_explained_by_the_header_and_by_who_is_full() {
    let pods = [streaming().await, streaming().await, streaming().await];
    let gateway = Running::on(&by_strategy(1, "{kind: ConsistentHash}", &specs(&pods, None))).await;
    let ranking = order(&explain(&gateway, "userId=u-1&method=POST").await);
    let open = async || {
        let asked = request(Method::POST, "/api/fund-events", &[("user-id", "u-1")], empty());
        send(gateway.service, asked).await
    };
    let _streams: [Response<_>; 2] = [open().await, open().await];
    let told = explain(&gateway, "userId=u-1&method=POST").await;
    assert_eq!(told["key"], json!({"from": "header user-id", "value": "u-1"}));
    // Two are open, and of three 1.25 thirds are 2, rounded up: each of the first two has one.
    assert_eq!(
        told["candidates"][0],
        json!({"endpoint": ranking[0], "state": "ready", "underWay": 1, "most": 2})
    );
    assert_eq!(
        told["candidates"][1],
        json!({"endpoint": ranking[1], "state": "ready", "underWay": 1, "most": 2})
    );
    let _third = open().await;
    let told = explain(&gateway, "userId=u-1&method=POST").await;
    assert_eq!((order(&told), states(&told)), (ranking.clone(), vec!["full", "ready", "ready"]));
    assert_eq!(told["endpoint"], ranking[1]);
    assert_eq!(
        why(&told),
        [
            r#"header user-id is "u-1": endpoints are asked in the order of their weight for it"#.to_owned(),
            format!(
                "{} is full: 2 requests and streams are under way there, and with this one its share is 2",
                ranking[0]
            ),
            format!("{} is the first of them with room", ranking[1]),
        ]
    );
    let path = explain(&gateway, "path=/api/sse/close/u-1&method=POST").await;
    assert_eq!(path["key"], json!({"from": "path", "value": "u-1"}));
    assert_eq!(order(&path), ranking);

    let told = explain(&gateway, "userId=u-1").await;
    assert_eq!((&told["key"], &told["candidates"][0]["most"]), (&Value::Null, &Value::Null));
    assert_eq!(order(&told), NAMES);
    assert_eq!(why(&told)[0], "GET is no write, and only writes are hashed: it goes round");
    let told = explain(&gateway, "method=POST").await;
    assert_eq!(why(&told)[0], "the request has no header user-id: it goes round");
    let told = explain(&gateway, "headers=user-id:%20u-1%0Aoperation-type:%20write").await;
    assert_eq!((order(&told), &told["key"]["value"]), (ranking, &"u-1".into()), "it says that it writes");
    let asked = get(gateway.admin, "/explain?headers=user-id", &[]).await;
    assert_eq!((asked.status, asked.body.as_str()), (400, "headers must be lines of `name: value`\n"));
}

#[tokio::test]
async fn the_user_of_a_question_is_the_value_of_whichever_header_is_hashed() {
    let pods = echoes().await;
    let strategy = "{kind: ConsistentHash, consistentHash: {header: x-desk, appliesTo: All}}";
    let gateway = Running::on(&by_strategy(1, strategy, &specs(&pods, None))).await;
    let told = explain(&gateway, "userId=rates").await;
    assert_eq!(told["key"], json!({"from": "header x-desk", "value": "rates"}));
    let got = get(gateway.service, "/", &[("x-desk", "rates")]).await;
    assert_eq!(got.json()["name"], told["endpoint"]);
    assert_eq!(
        why(&explain(&gateway, "cluster=a").await)[0],
        "the request has no header x-desk: it goes round"
    );
}

#[tokio::test]
async fn a_group_is_explained_by_its_user_and_a_refusal_by_its_absence() {
    let pods = echoes().await;
    let groups = "{kind: ShardGroups, shardGroups: {groups: [{name: low, users: {from: 0, to: 9}}, \
                  {name: high, users: {from: 10, to: 19}}], fallback: Reject}}";
    let list = specs(&pods, Some(["low", "high", "high"]));
    let gateway = Running::on(&by_strategy(1, groups, &list)).await;
    let told = explain(&gateway, "userId=12").await;
    assert_eq!(
        (&told["decision"], &told["group"], &told["endpoint"]),
        (&json!("forward"), &json!("high"), &json!("pod-b"))
    );
    assert_eq!(told["key"], json!({"from": "header user-id", "value": "12"}));
    assert_eq!(order(&told), NAMES[1..]);
    assert_eq!(
        why(&told),
        [
            r#"header user-id is "12", who belongs to group high"#,
            "of the ready endpoints of the group it is the turn of pod-b"
        ]
    );
    let told = explain(&gateway, "userId=20").await;
    assert_eq!((&told["decision"], &told["endpoint"]), (&json!("rejected"), &Value::Null));
    assert_eq!(why(&told), ["user 20 is in no group, and the route refuses such users"]);
    let told = explain(&gateway, "cluster=a").await;
    assert_eq!(order(&told), NAMES);
    assert_eq!(why(&told)[0], "the request names no user: it goes round");

    pods[0].ready.store(false, SeqCst);
    wait_for_ready(&gateway, 2).await;
    let told = explain(&gateway, "path=/api/sse/connect/3").await;
    assert_eq!((&told["decision"], &told["group"]), (&json!("noReadyEndpoint"), &json!("low")));
    assert_eq!(
        why(&told),
        [
            r#"path is "3", who belongs to group low"#,
            "pod-a is not ready",
            "route a (group low) has no endpoint that is ready"
        ]
    );

    pods[0].ready.store(true, SeqCst);
    let any = by_strategy(1, &groups.replace("Reject", "Any"), &list);
    let gateway = Running::on(&any).await;
    let told = explain(&gateway, "userId=20").await;
    assert_eq!((&told["decision"], &told["group"]), (&json!("forward"), &Value::Null));
    assert_eq!(why(&told)[0], r#"header user-id is "20", who is in no group: any endpoint will do"#);
}

#[tokio::test]
async fn a_breaker_that_is_open_is_a_reason_to_go_on() {
    let failing =
        async || Endpoint::start(|_| async { Response::builder().status(502).body(empty()).unwrap() }).await;
    let pods = [failing().await, failing().await, failing().await];
    let strategy = "{kind: ConsistentHash, consistentHash: {appliesTo: All}}";
    let mut config = config(&by_strategy(1, strategy, &specs(&pods, None)));
    config.breaker.consecutive_failures = 2;
    config.breaker.first_pause = Duration::from_mins(1);
    config.breaker.longest_pause = Duration::from_mins(1);
    let gateway = Running::with(config).await;
    let ranking = order(&explain(&gateway, "userId=u-1").await);
    for _ in 0..2 {
        assert_eq!(get(gateway.service, "/", &[("user-id", "u-1")]).await.status, 502);
    }
    until("the end of both", || pods.iter().map(Endpoint::hits).sum::<usize>() == 2).await;
    let told = explain(&gateway, "userId=u-1").await;
    assert_eq!((order(&told), states(&told)), (ranking.clone(), vec!["open", "ready", "ready"]));
    assert_eq!(
        why(&told)[1..],
        [
            format!("{} kept failing: its breaker is open", ranking[0]),
            format!("{} is the first of them with room", ranking[1])
        ]
    );
    for _ in 0..4 {
        get(gateway.service, "/", &[("user-id", "u-1")]).await;
    }
    let told = explain(&gateway, "userId=u-1").await;
    assert_eq!((&told["decision"], &told["endpoint"]), (&json!("endpointsFailing"), &Value::Null));
}
