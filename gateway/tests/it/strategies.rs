//! Which pod gets a request, by every strategy that looks at the request, over both hops.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::Ordering::SeqCst,
};

use fundbond_gateway::Role;
use http::{Method, Response};
use hyper::body::Incoming;
use tempfile::TempDir;

use crate::{
    balance::streaming,
    edits::{applied, replace, watching},
    routing::wait_for_ready,
    support::{
        Endpoint, Running, by_strategy, config, empty, get, metric, named, nowhere, post, request, routes,
        send, send_from, spec, text, whole,
    },
};

const NAMES: [&str; 5] = ["pod-a-9090", "pod-b-9090", "pod-c-9090", "pod-d-9090", "pod-e-9090"];

async fn pods() -> Vec<Endpoint> {
    let mut pods = Vec::new();
    for name in NAMES {
        pods.push(Endpoint::echo(name).await);
    }
    pods
}

fn specs(pods: &[Endpoint], more: impl Fn(usize) -> String) -> Vec<String> {
    pods.iter().enumerate().map(|(index, pod)| pod.named(NAMES[index], &more(index))).collect()
}

fn plain(_: usize) -> String {
    String::new()
}

/// A gateway in front of a cluster proxy that chooses among `endpoints` by `strategy`, and trusts 127.0.0.1 alone.
async fn two_hops(strategy: &str, endpoints: &[String]) -> (Running, Running) {
    let mut inner = config(&by_strategy(1, strategy, endpoints));
    inner.role = Role::ClusterProxy;
    inner.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let proxy = Running::with(inner).await;
    let gateway = Running::on(&in_front_of(&proxy)).await;
    (gateway, proxy)
}

fn in_front_of(proxy: &Running) -> String {
    routes(1, &[("a", ", default: true", &[spec(proxy.service, proxy.admin)])])
}

fn named_by(got: &crate::support::Got) -> String {
    assert_eq!(got.status, 200, "{got:?}");
    got.json()["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_client_goes_to_one_pod_however_many_hops_are_between_and_whatever_it_says_of_itself() {
    let pods = pods().await;
    let (gateway, proxy) = two_hops("{kind: ClientIP}", &specs(&pods, plain)).await;
    let ask = async |source: &str, to: &Running, method: Method, headers: &[(&str, &str)]| {
        named_by(&whole(send_from(source, to.service, request(method, "/x", headers, empty())).await).await)
    };
    let mut places = BTreeMap::new();
    for n in 2..42 {
        let source = format!("127.0.0.{n}");
        let place = ask(&source, &gateway, Method::GET, &[]).await;
        assert_eq!(ask(&source, &gateway, Method::POST, &[("user-id", "u-1")]).await, place, "{source}");
        // What a client says of itself is not believed by the first hop, and does not reach the second.
        let lies =
            [("x-forwarded-for", "10.1.2.3"), ("x-real-ip", "10.1.2.3"), ("forwarded", "for=10.1.2.3")];
        assert_eq!(ask(&source, &gateway, Method::GET, &lies).await, place, "{source}");
        places.insert(source, place);
    }
    let used: HashSet<_> = places.values().collect();
    assert_eq!(used.len(), NAMES.len(), "{places:?}");

    // Past the gateway, by a peer that the proxy does not trust: it is the client, whatever it says.
    for (source, place) in &places {
        assert_eq!(&ask(source, &proxy, Method::GET, &[("x-forwarded-for", "10.1.2.3")]).await, place);
    }
    // By one that it trusts: the client is who that one names, and IPv4 stays IPv4.
    for (client, place) in &places {
        for written in [client.clone(), format!("::ffff:{client}"), format!("6.6.6.6, {client}")] {
            let said = [("x-forwarded-for", &*written)];
            assert_eq!(&ask("127.0.0.1", &proxy, Method::GET, &said).await, place, "{written}");
        }
    }
}

const USERS: usize = 300;

/// Where the writes of each user go.
async fn places(to: &Running) -> Vec<String> {
    let mut connection = crate::support::connect(to.service).await;
    let mut places = Vec::new();
    for user in 0..USERS {
        let user = format!("u-{user}");
        let asked = request(Method::POST, "/api/fund-api", &[("user-id", &user)], text("{}"));
        let answer = crate::support::soon("an answer", connection.send_request(asked)).await.unwrap();
        places.push(named_by(&whole(answer).await));
    }
    places
}

/// Those who were on `pod` moved, nobody else did, and they were no more than may move.
fn check_moved(before: &[String], after: &[String], pod: &str) {
    let mut moved = 0;
    for (user, (before, after)) in before.iter().zip(after).enumerate() {
        assert_eq!(before == pod, before != after, "user {user}: {before}, then {after}");
        moved += usize::from(before != after);
    }
    assert!(moved > 0 && moved * 100 <= USERS * (100 / NAMES.len() + 5), "{moved} of {USERS} moved");
}

#[tokio::test]
async fn a_pod_that_leaves_moves_its_own_users_alone_and_has_them_back_when_it_returns() {
    let pods = pods().await;
    let (gateway, proxy) = two_hops("{kind: ConsistentHash}", &specs(&pods, plain)).await;
    let before = places(&gateway).await;
    assert_eq!(places(&gateway).await, before, "nobody moves without a reason");
    for (gone, name) in NAMES.iter().enumerate().take(2) {
        pods[gone].ready.store(false, SeqCst);
        wait_for_ready(&proxy, NAMES.len() - 1).await;
        check_moved(&before, &places(&gateway).await, name);
        pods[gone].ready.store(true, SeqCst);
        wait_for_ready(&proxy, NAMES.len()).await;
        assert_eq!(places(&gateway).await, before);
    }
}

#[tokio::test]
async fn an_edit_that_takes_a_pod_away_and_one_that_brings_it_back_at_another_place_are_the_same() {
    let pods = pods().await;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("routes.yaml");
    let write = |generation, endpoints: &[String]| {
        replace(&path, &by_strategy(generation, "{kind: ConsistentHash}", endpoints));
    };
    let mut list = specs(&pods, plain);
    write(1, &list);
    let proxy = watching(path.clone()).await;
    let before = places(&proxy).await;
    let gone = list.remove(1);
    write(2, &list);
    applied(&proxy, 2).await;
    check_moved(&before, &places(&proxy).await, NAMES[1]);
    list.push(gone);
    write(3, &list);
    applied(&proxy, 3).await;
    wait_for_ready(&proxy, NAMES.len()).await;
    assert_eq!(places(&proxy).await, before);
}

#[tokio::test]
async fn reads_go_round_and_so_do_writes_that_name_nobody() {
    let pods = pods().await;
    let (gateway, _proxy) = two_hops("{kind: ConsistentHash}", &specs(&pods, plain)).await;
    let mut reads = Vec::new();
    for _ in 0..NAMES.len() {
        reads.push(named_by(&get(gateway.service, "/api/tasks", &[("user-id", "u-1")]).await));
    }
    assert_eq!(reads, NAMES);
    let mut writes = Vec::new();
    for _ in 0..NAMES.len() {
        writes.push(named_by(&post(gateway.service, "/api/fund-api", &[], text("{}")).await));
    }
    assert_eq!(writes, NAMES);
    // A read that says it is a write is one.
    let said = [("user-id", "u-1"), ("operation-type", "write")];
    let place = named_by(&post(gateway.service, "/api/fund-api", &said[..1], text("{}")).await);
    for _ in 0..3 {
        assert_eq!(named_by(&get(gateway.service, "/api/tasks", &said).await), place);
    }
}

#[tokio::test]
async fn streams_of_one_user_spill_over_to_the_next_pod_before_one_has_too_many() {
    let pods = [streaming().await, streaming().await, streaming().await, streaming().await];
    let strategy = "{kind: ConsistentHash, consistentHash: {appliesTo: All, loadBound: 1.25}}";
    let (gateway, proxy) = two_hops(strategy, &specs(&pods, plain)).await;
    let mut open: Vec<(usize, Response<Incoming>)> = Vec::new();
    let mut order = Vec::new();
    for total in 1..=16_usize {
        let before: Vec<usize> = pods.iter().map(Endpoint::hits).collect();
        let asked = request(Method::GET, "/api/sse/connect/u-1", &[], empty());
        let stream = send(gateway.service, asked).await;
        assert_eq!(stream.status(), 200);
        let pod = (0..pods.len()).find(|pod| pods[*pod].hits() > before[*pod]).unwrap();
        open.push((pod, stream));
        let there = open.iter().filter(|(at, _)| *at == pod).count();
        // 1.25 * total / 4, rounded up.
        let most = (5 * total).div_ceil(16);
        assert!(there <= most, "{there} of {total} streams at one of four pods");
        if !order.contains(&pod) {
            order.push(pod);
        }
        let in_front = order.iter().take_while(|other| **other != pod);
        for other in in_front {
            assert_eq!(open.iter().filter(|(at, _)| at == other).count(), most, "{other} had room");
        }
    }
    assert_eq!(order.len(), 4, "each in turn was the next");
    // Every stream that is not where the first went.
    let spilled = open.iter().filter(|(pod, _)| *pod != order[0]).count();
    let counted = metric(proxy.admin, "fund_gateway_spilled_total{route=\"a\"}").await;
    assert_eq!(counted.map(|count| count.to_string()), Some(spilled.to_string()));
    drop(open);
}

#[tokio::test]
async fn a_request_that_could_not_be_sent_goes_to_the_next_pod_by_weight_and_never_twice_to_one() {
    let pods = pods().await;
    let strategy = "{kind: ConsistentHash, consistentHash: {appliesTo: All}}";
    let whole_table = Running::on(&by_strategy(1, strategy, &specs(&pods, plain))).await;
    // The user's pod, and the one that takes its requests when it is gone.
    let explained = get(whole_table.admin, "/explain?cluster=a&userId=u-1", &[]).await.json();
    let order: Vec<usize> = explained["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| NAMES.iter().position(|name| candidate["endpoint"] == *name).unwrap())
        .collect();
    let at_first = named_by(&get(whole_table.service, "/", &[("user-id", "u-1")]).await);
    assert_eq!(at_first, NAMES[order[0]]);

    // Its probes say that it is ready, but nobody takes connections there.
    let mut list = specs(&pods, plain);
    for gone in &order[..2] {
        list[*gone] = named(NAMES[*gone], nowhere().await, pods[*gone].admin, "");
    }
    let table = by_strategy(1, strategy, &list);
    let gateway = Running::on(&table).await;
    let got = named_by(&get(gateway.service, "/", &[("user-id", "u-1")]).await);
    assert_eq!(got, NAMES[order[2]]);
    assert_eq!(metric(gateway.admin, "fund_gateway_connect_retries_total{route=\"a\"}").await, Some(2.0));
}

const GROUPS: &str = "{kind: ShardGroups, shardGroups: {groups: [{name: low, users: {from: 0, to: 333}}, \
                      {name: high, users: {from: 334, to: 999}}], fallback: Reject}}";

/// The first three are `low`, the others `high`.
fn low_or_high(pod: usize) -> String {
    format!(", group: {}", if pod < 3 { "low" } else { "high" })
}

async fn of_user(to: &Running, user: &str) -> String {
    named_by(&get(to.service, "/api/tasks", &[("user-id", user)]).await)
}

#[tokio::test]
async fn users_go_to_the_pods_of_their_group_in_turn() {
    let pods = pods().await;
    let (gateway, proxy) = two_hops(GROUPS, &specs(&pods, low_or_high)).await;
    let mut low = Vec::new();
    for user in ["0", "333", "00007"] {
        low.push(of_user(&gateway, user).await);
    }
    assert_eq!(low, NAMES[..3]);
    let mut high = Vec::new();
    for user in ["334", "999", "0500", "998"] {
        high.push(of_user(&gateway, user).await);
    }
    assert_eq!(high, [NAMES[3], NAMES[4], NAMES[3], NAMES[4]]);
    // A browser's stream names its user in the path alone.
    let of_path = |target: &'static str| get(gateway.service, target, &[]);
    assert!(NAMES[..3].contains(&&*named_by(&of_path("/api/sse/connect/5").await)));
    assert!(NAMES[3..].contains(&&*named_by(&of_path("/api/sse/status/505").await)));
    // Requests for nobody go round all pods.
    let mut anybody = Vec::new();
    for _ in NAMES {
        anybody.push(named_by(&get(gateway.service, "/api/cluster/status", &[]).await));
    }
    assert_eq!(anybody, NAMES);
    let shown = get(proxy.admin, "/routes", &[]).await.json();
    let groups: Vec<_> = shown["routes"][0]["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["group"].clone())
        .collect();
    assert_eq!(groups, ["low", "low", "low", "high", "high"]);
}

#[tokio::test]
async fn users_outside_the_table_are_refused_once_and_for_all() {
    let pods = pods().await;
    let (gateway, proxy) = two_hops(GROUPS, &specs(&pods, low_or_high)).await;
    let detail = "the user of the request belongs to none of the groups of route a, which refuses all others; \
                  check user-id and strategy.shardGroups of the route";
    for user in ["1000", "18446744073709551616"] {
        let got = post(gateway.service, "/api/fund-api", &[("user-id", user)], text("{}")).await;
        assert_eq!(got.is_problem(403, "user-in-no-group")["detail"], detail);
        assert_eq!((got.header("x-routed-to"), got.header("retry-after")), ("a", ""));
    }
    // A stream, too, is told for good: to come back would be of no use.
    let got = get(gateway.service, "/api/sse/connect/1000", &[("accept", "text/event-stream")]).await;
    got.is_problem(403, "user-in-no-group");
    assert_eq!(pods.iter().map(Endpoint::hits).sum::<usize>(), 0);
    let refused = r#"fund_gateway_requests_total{route="a",method="POST",class="4xx"}"#;
    assert_eq!(metric(proxy.admin, refused).await, Some(2.0));
    assert_eq!(metric(gateway.admin, refused).await, Some(2.0));
    let retries = metric(gateway.admin, "fund_gateway_connect_retries_total{route=\"a\"}").await;
    assert_eq!(retries.filter(|count| *count > 0.0), None);
}

#[tokio::test]
async fn no_group_stands_in_for_another_and_the_answer_says_which_is_gone() {
    let pods = pods().await;
    let any = GROUPS.replace("Reject", "Any");
    let (gateway, proxy) = two_hops(&any, &specs(&pods, low_or_high)).await;
    for pod in &pods[3..] {
        pod.ready.store(false, SeqCst);
    }
    wait_for_ready(&proxy, 3).await;
    let got = get(gateway.service, "/api/tasks", &[("user-id", "500")]).await;
    let problem = got.is_problem(503, "no-ready-endpoint");
    assert_eq!(problem["detail"], "route a (group high) has no endpoint that is ready; try again in 1 s");
    assert_eq!(got.header("retry-after"), "1");
    // The stream of such a user is told to come back.
    let stream = get(gateway.service, "/api/sse/connect/500", &[]).await;
    assert_eq!((stream.status, stream.header("content-type")), (200, "text/event-stream"));
    assert!(stream.body.contains("no-ready-endpoint"), "{}", stream.body);
    // The others do not notice, and whoever is in no group goes wherever somebody is.
    assert!(NAMES[..3].contains(&&*of_user(&gateway, "5").await));
    assert!(NAMES[..3].contains(&&*of_user(&gateway, "5000").await));
    pods[3].ready.store(true, SeqCst);
    wait_for_ready(&proxy, 4).await;
    assert_eq!(of_user(&gateway, "500").await, NAMES[3]);
}

#[tokio::test]
async fn by_modulo_every_user_has_a_group() {
    let pods = pods().await;
    let strategy = "{kind: ShardGroups, shardGroups: {by: Modulo, groups: [{name: g0}, {name: g1}, {name: g2}, {name: g3}, {name: g4}]}}";
    let (gateway, _proxy) = two_hops(strategy, &specs(&pods, |pod| format!(", group: g{pod}"))).await;
    for user in 0..10 {
        assert_eq!(of_user(&gateway, &user.to_string()).await, NAMES[user % 5]);
    }
    // 2^64 is 1 modulo 5.
    assert_eq!(of_user(&gateway, "18446744073709551616").await, NAMES[1]);
    let mut used = HashSet::new();
    for user in 0..60 {
        let user = format!("desk-{user}");
        let place = of_user(&gateway, &user).await;
        assert_eq!(of_user(&gateway, &user).await, place);
        used.insert(place);
    }
    assert_eq!(used.len(), NAMES.len());
}
