//! Strategies as the hops go by them: from the text of a route file to the endpoint of a request.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use fundbond_routing::KeyHash;
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::route_file;

/// Breakers that are closed admit at any time.
const NOW: Duration = Duration::ZERO;

/// One route to `endpoints`, the default, whose strategy is `strategy`; each endpoint says what `more` says of it.
fn table(strategy: &str, endpoints: usize, more: impl Fn(usize) -> String) -> RouteTable {
    let list: Vec<_> =
        (0..endpoints).map(|n| format!("{{name: p{n}, address: 'h{n}:1'{}}}", more(n))).collect();
    let text = format!(
        "generation: 1\nroutes:\n- match: {{value: a, default: true}}\n  strategy: {strategy}\n  endpoints: [{}]\n",
        list.join(", ")
    );
    route_file::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A table with the picker that goes with it and endpoints that are all ready.
struct World {
    table: RouteTable,
    signals: Vec<Signals>,
    picker: Picker,
}

impl World {
    fn new(strategy: &str, endpoints: usize, more: impl Fn(usize) -> String) -> Self {
        let table = table(strategy, endpoints, more);
        let picker = Picker::new(&table, None, 1);
        let signals: Vec<Signals> = (0..endpoints).map(|_| Signals::default()).collect();
        for signals in &signals {
            signals.set_ready(true);
        }
        Self { table, signals, picker }
    }

    fn decide(&mut self, request: &Asked) -> Decision {
        let head = request.head();
        let endpoints = Endpoints(vec![self.signals.clone().into()]);
        self.table.pick(&head, request.client, &endpoints, &mut self.picker, NOW)
    }

    fn pick(&mut self, request: &Asked) -> Option<usize> {
        match self.decide(request) {
            Decision::Forward { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }

    fn picks(&mut self, request: &Asked, times: usize) -> Vec<Option<usize>> {
        (0..times).map(|_| self.pick(request)).collect()
    }
}

#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    client: IpAddr,
}

impl Asked {
    fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: HeaderMap::new(), client: "10.0.0.7".parse().unwrap() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn from(mut self, client: &str) -> Self {
        self.client = client.parse().unwrap();
        self
    }

    fn head(&self) -> RequestHead<'_> {
        RequestHead { method: &self.method, path: &self.path, query: None, headers: &self.headers }
    }
}

fn post() -> Asked {
    Asked::new(Method::POST, "/api/fund-api")
}

fn get() -> Asked {
    Asked::new(Method::GET, "/api/tasks")
}

fn none(_: usize) -> String {
    String::new()
}

#[test]
fn one_client_goes_to_one_endpoint_however_its_address_is_written() {
    let mut world = World::new("{kind: ClientIP}", 8, none);
    let place = world.pick(&get().from("10.0.0.7")).unwrap();
    assert_eq!(world.picks(&post().from("10.0.0.7"), 5), [Some(place); 5]);
    assert_eq!(world.pick(&get().from("::ffff:10.0.0.7")), Some(place));
    let places: HashSet<_> =
        (0..200).map(|n| world.pick(&get().from(&format!("10.0.1.{n}"))).unwrap()).collect();
    assert_eq!(places.len(), 8);
    let places: HashSet<_> =
        (0..200).map(|n| world.pick(&get().from(&format!("2001:db8::{n}"))).unwrap()).collect();
    assert_eq!(places.len(), 8);
}

#[test]
fn writes_of_one_user_go_to_one_endpoint_and_the_rest_goes_round() {
    let mut world = World::new("{kind: ConsistentHash}", 5, none);
    let first = |world: &mut World, user: &str| world.pick(&post().with("user-id", user)).unwrap();
    let place = first(&mut world, "u-1");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = Asked::new(method, "/api/x").with("user-id", "u-1");
        assert_eq!(world.picks(&request, 3), [Some(place); 3]);
    }
    for said in ["write", "WRITE"] {
        let request = get().with("user-id", "u-1").with("operation-type", said);
        assert_eq!(world.picks(&request, 3), [Some(place); 3], "{said}");
    }
    for request in [
        get().with("user-id", "u-1"),
        get().with("user-id", "u-1").with("operation-type", "read"),
        Asked::new(Method::OPTIONS, "/api/x").with("user-id", "u-1"),
        post(),
        post().with("user-id", ""),
    ] {
        let places: HashSet<_> = world.picks(&request, 5).into_iter().collect();
        assert_eq!(places.len(), 5, "{request:?}");
    }
    let users: HashSet<_> = (0..200).map(|n| first(&mut world, &format!("u-{n}"))).collect();
    assert_eq!(users.len(), 5);
}

#[test]
fn all_requests_that_name_a_user_can_be_hashed_by_any_header() {
    let strategy = "{kind: ConsistentHash, consistentHash: {header: X-Desk, appliesTo: All}}";
    let mut world = World::new(strategy, 5, none);
    let place = world.pick(&post().with("x-desk", "rates")).unwrap();
    assert_eq!(world.picks(&get().with("x-desk", "rates"), 5), [Some(place); 5]);
    // The first of several counts, on every hop.
    assert_eq!(world.pick(&get().with("x-desk", "rates").with("x-desk", "credit")), Some(place));
    let others: HashSet<_> = world.picks(&get().with("user-id", "rates"), 5).into_iter().collect();
    assert_eq!(others.len(), 5);
}

#[test]
fn the_path_of_a_users_stream_names_the_user_where_no_header_does() {
    let mut world = World::new("{kind: ConsistentHash, consistentHash: {appliesTo: All}}", 5, none);
    let place = world.pick(&get().with("user-id", "u-1"));
    let stream = Asked::new(Method::GET, "/api/sse/connect/u-1");
    assert_eq!(world.picks(&stream, 3), [place; 3]);
    let other = world.pick(&get().with("user-id", "u-4"));
    assert_ne!(other, place, "the test needs users that live apart");
    assert_eq!(world.pick(&stream.with("user-id", "u-4")), other, "the header wins");
}

#[test]
fn the_path_counts_as_endpoints_see_it() {
    let strategy = "{kind: ConsistentHash, consistentHash: {appliesTo: All}}";
    let text = format!(
        "generation: 1\nroutes:\n- match: {{value: a, default: true, stripPrefix: 1}}\n  strategy: {strategy}\n  endpoints: []\n"
    );
    let table = route_file::parse(&text).unwrap();
    let aim = |path: &str| table.aim(0, &Asked::new(Method::GET, path).head(), || unreachable!());
    assert_eq!(aim("/v1/api/sse/connect/u-1"), Ok(Aim::Key(KeyHash::of(b"u-1"))));
    assert_eq!(aim("/api/sse/connect/u-1"), Ok(Aim::Any));
}

#[test]
fn whoever_is_full_is_passed_over_until_something_ends_there() {
    let mut world = World::new("{kind: ConsistentHash, consistentHash: {loadBound: 1.5}}", 3, none);
    let request = post().with("user-id", "u-1");
    let first = world.pick(&request).unwrap();
    // Of 1 the share of one in three is a half, and 1 rounded up: it is full now.
    world.signals[first].begin();
    let second = world.pick(&request).unwrap();
    assert_ne!(second, first);
    world.signals[second].begin();
    // Of 3 it is 1.5, and 2 rounded up.
    assert_eq!(world.pick(&request), Some(first));
    world.signals[second].end();
    assert_eq!(world.pick(&request), Some(second));
    world.signals[first].end();
    assert_eq!(world.pick(&request), Some(first));
}

const GROUPS: &str = "{kind: ShardGroups, shardGroups: {groups: [{name: a, users: {from: 0, to: 99}}, \
                      {name: b, users: {from: 200, to: 299}}], allowGaps: true, fallback: Any}}";

fn in_groups(endpoint: usize) -> String {
    format!(", group: {}", ["a", "b"][endpoint % 2])
}

#[test]
fn the_endpoints_of_a_users_group_take_turns() {
    let mut world = World::new(GROUPS, 5, in_groups);
    let of = |user: &str| get().with("user-id", user);
    assert_eq!(world.picks(&of("99"), 4), [Some(0), Some(2), Some(4), Some(0)]);
    assert_eq!(world.picks(&of("200"), 3), [Some(1), Some(3), Some(1)]);
    // Each group and all together have a turn of their own.
    assert_eq!(world.picks(&get(), 3), [Some(0), Some(1), Some(2)]);
    assert_eq!(world.picks(&of("100"), 3), [Some(3), Some(4), Some(0)]);
    assert_eq!(world.picks(&of(""), 1), [Some(1)]);
    assert_eq!(world.picks(&of("0"), 1), [Some(2)]);
    assert_eq!(world.picks(&Asked::new(Method::GET, "/api/sse/connect/299"), 1), [Some(3)]);
}

#[test]
fn no_other_group_stands_in_for_one_that_is_gone() {
    let mut world = World::new(GROUPS, 4, in_groups);
    for endpoint in [0, 2] {
        world.signals[endpoint].set_ready(false);
    }
    assert_eq!(world.decide(&get().with("user-id", "7")), Decision::NoEndpoint { route: 0 });
    assert_eq!(world.picks(&get().with("user-id", "207"), 2), [Some(1), Some(3)]);
    assert_eq!(world.picks(&get().with("user-id", "150"), 2), [Some(1), Some(3)], "any endpoint");
}

#[test]
fn users_in_no_group_are_rejected_where_the_route_says_so_and_requests_without_a_user_are_not() {
    let mut world = World::new(&GROUPS.replace("Any", "Reject"), 4, in_groups);
    for user in ["100", "300", "18446744073709551616"] {
        assert_eq!(world.decide(&get().with("user-id", user)), Decision::Rejected { route: 0 }, "{user}");
        let stream = Asked::new(Method::GET, &format!("/api/sse/connect/{user}"));
        assert_eq!(world.decide(&stream), Decision::Rejected { route: 0 }, "{user}");
    }
    // Ids that are no numbers always have a place in the table.
    assert!(world.pick(&get().with("user-id", "u-1")).is_some());
    assert!(world.pick(&get()).is_some());
}

#[test]
fn turns_of_groups_survive_an_edit_unless_the_groups_are_others() {
    let mut world = World::new(GROUPS, 5, in_groups);
    let request = get().with("user-id", "1");
    assert_eq!(world.picks(&request, 2), [Some(0), Some(2)]);
    let mut edit = |strategy: &str| {
        let after = table(strategy, 5, in_groups);
        world.picker = Picker::new(&after, Some((&world.table, &world.picker)), 1);
        world.table = after;
        world.pick(&request)
    };
    assert_eq!(edit(&GROUPS.replace("to: 99}", "to: 100}")), Some(4));
    assert_eq!(edit(GROUPS), Some(0));
    let another = GROUPS.replace(']', ", {name: c, users: {from: 300, to: 300}}]");
    assert_eq!(edit(&another), Some(0));
}

#[test]
fn a_client_is_looked_for_only_where_it_decides() {
    let never = || -> IpAddr { panic!("looked for the client") };
    for strategy in ["{kind: RoundRobin}", "{kind: LeastStreams}", "{kind: ConsistentHash}", GROUPS] {
        let groups = |n| if strategy == GROUPS { in_groups(n) } else { none(n) };
        table(strategy, 2, groups).aim(0, &get().head(), never).unwrap();
    }
    assert_eq!(
        table("{kind: ClientIP}", 2, none).aim(1, &get().head(), never),
        Ok(Aim::Any),
        "another table's index"
    );
}

#[test]
fn a_decision_about_an_endpoint_allocates_nothing() {
    let modulo = "{kind: ShardGroups, shardGroups: {by: Modulo, groups: [{name: a}, {name: b}]}}";
    let hash = "{kind: ConsistentHash}";
    for strategy in ["{kind: RoundRobin}", "{kind: LeastStreams}", "{kind: ClientIP}", hash, GROUPS, modulo] {
        let grouped = |n| if strategy.contains("ShardGroups") { in_groups(n) } else { none(n) };
        let World { table, signals, mut picker } = World::new(strategy, 200, grouped);
        let signals = Endpoints(vec![signals.into()]);
        let mut picked = 0;
        for user in ["42", "299", "u-1", ""] {
            let asked = post().with("user-id", user);
            let head = asked.head();
            let allocated = allocation_counter::measure(|| {
                let aim = table.aim(0, &head, || asked.client).unwrap();
                for tried in [&[][..], &[0, 7, 150]] {
                    picked += usize::from(table.choose(0, aim, &signals, &mut picker, NOW, tried).is_some());
                }
            });
            assert_eq!(allocated.count_total, 0, "{strategy} for {user:?}");
        }
        assert_eq!(picked, 8, "{strategy}");
    }
}

/// Every strategy, with what its endpoints say.
fn strategies() -> impl proptest::strategy::Strategy<Value = (String, bool)> {
    prop_oneof![
        Just(("{kind: RoundRobin}".to_owned(), false)),
        Just(("{kind: LeastStreams}".to_owned(), false)),
        Just(("{kind: ClientIP}".to_owned(), false)),
        Just(("{kind: ConsistentHash}".to_owned(), false)),
        Just(("{kind: ConsistentHash, consistentHash: {appliesTo: All, loadBound: 2}}".to_owned(), false)),
        Just((GROUPS.to_owned(), true)),
        Just((GROUPS.replace("Any", "Reject"), true)),
        Just((
            "{kind: ShardGroups, shardGroups: {by: Modulo, groups: [{name: a}, {name: b}]}}".to_owned(),
            true
        )),
    ]
}

proptest! {
    #[test]
    fn an_endpoint_that_may_take_the_request_is_found_if_there_is_one_and_none_is_asked_twice(
        (strategy, grouped) in strategies(),
        endpoints in prop::collection::vec((any::<bool>(), 0_usize..20), 1..10),
        user in prop_oneof!["[0-9]{0,3}", "[a-z]{1,5}"],
        write in any::<bool>(),
    ) {
        let groups = |n| if grouped { in_groups(n) } else { none(n) };
        let World { table, signals, mut picker } = World::new(&strategy, endpoints.len(), groups);
        for ((ready, load), signals) in endpoints.iter().zip(&signals) {
            signals.set_ready(*ready);
            (0..*load).for_each(|_| signals.begin());
        }
        let asked = if write { post() } else { get() }.with("user-id", &user);
        let Ok(aim) = table.aim(0, &asked.head(), || asked.client) else { return Ok(()) };
        let strategy = &table.routes()[0].strategy;
        let allowed: HashSet<usize> =
            (0..endpoints.len()).filter(|n| endpoints[*n].0 && strategy.allows(aim, *n)).collect();
        let signals = Endpoints(vec![signals.into()]);
        let mut tried = Vec::new();
        while let Some(Choice { endpoint, .. }) = table.choose(0, aim, &signals, &mut picker, NOW, &tried) {
            prop_assert!(!tried.contains(&endpoint));
            tried.push(endpoint);
        }
        prop_assert_eq!(tried.into_iter().collect::<HashSet<_>>(), allowed);
    }
}
