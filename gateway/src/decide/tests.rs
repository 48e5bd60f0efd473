use http::{HeaderValue, Method, header::HeaderMap};
use proptest::{prelude::*, strategy::Strategy};

use super::*;

/// Breakers that are closed admit at any time.
const NOW: Duration = Duration::ZERO;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Route `r{i}` has `endpoints[i]` endpoints.
fn table(endpoints: &[usize], default: Option<usize>) -> RouteTable {
    let routes = endpoints.iter().enumerate().map(|(index, count)| Route {
        name: format!("name{index}").into(),
        origin: None,
        header: HeaderName::from_static(headers::X_CLUSTER_ROUTE),
        value: format!("r{index}").into(),
        path_prefix: "/api".to_owned(),
        strip_prefix: 0,
        default: default == Some(index),
        timeouts: RouteTimeouts::default(),
        strategy: super::Strategy::RoundRobin,
        rate_limit: None,
        limits: LimitsSpec::default(),
        endpoints: (0..*count)
            .map(|e| {
                let address = Address::parse(&format!("h{e}:1")).unwrap();
                Target { name: format!("e{e}").into(), address: address.clone(), admin: address }
            })
            .collect(),
    });
    RouteTable::new(1, routes)
}

fn readiness(ready: &[Vec<bool>]) -> Endpoints {
    let signals = |ready: &bool| {
        let signals = Signals::default();
        signals.set_ready(*ready);
        signals
    };
    Endpoints(ready.iter().map(|route| route.iter().map(signals).collect()).collect())
}

fn named(values: &[&str]) -> HeaderMap {
    let name = HeaderName::from_static(headers::X_CLUSTER_ROUTE);
    values.iter().map(|v| (name.clone(), HeaderValue::from_str(v).unwrap())).collect()
}

fn find(table: &RouteTable, headers: &HeaderMap, query: Option<&str>) -> Result<(usize, FoundBy), Refusal> {
    table.find(&RequestHead { method: &Method::GET, path: "/api/x", query, headers })
}

#[test]
fn a_header_of_another_route_decides_before_the_query() {
    let mut routes = table(&[1, 1], None).routes.to_vec();
    Arc::make_mut(&mut routes[1]).header = HeaderName::from_static("x-other");
    let table = RouteTable::new(1, routes);
    let other: HeaderMap =
        [(HeaderName::from_static("x-other"), HeaderValue::from_static("r1"))].into_iter().collect();
    assert_eq!(find(&table, &other, Some("cluster=r0")), Ok((1, FoundBy::Header)));
    assert_eq!(find(&table, &HeaderMap::new(), Some("cluster=r1")), Ok((1, FoundBy::Query)));
    assert_eq!(table.headers(), ["X-Cluster-Route", "X-Other"]);
    // A value of the other header's routes is unknown here.
    assert!(matches!(find(&table, &named(&["r1"]), None), Err(Refusal::Unknown { .. })));
}

#[test]
fn a_turn_survives_an_edit() {
    for size in [2, 40] {
        let before = table(&vec![3; size], None);
        let ready = readiness(&vec![vec![true; 3]; size]);
        let mut picker = Picker::new(&before, None, 1);
        assert_eq!(before.choose(1, Aim::Any, &ready, &mut picker, NOW, &[]).map(|c| c.endpoint), Some(0));
        let mut routes = before.routes.to_vec();
        routes.remove(0);
        let after = RouteTable::new(2, routes);
        let mut picker = Picker::new(&after, Some((&before, &picker)), 1);
        assert_eq!(after.choose(0, Aim::Any, &ready, &mut picker, NOW, &[]).map(|c| c.endpoint), Some(1));
    }
}

#[test]
fn known_values_are_sorted_and_bounded() {
    let table = table(&[0; 12], None);
    assert_eq!(table.known_values(3), (vec!["r0", "r1", "r10"], 9));
    assert_eq!(table.known_values(20).1, 0);
}

#[test]
fn segments_are_stripped_from_the_front() {
    for (path, segments, expected) in [
        ("/a/b/c", 0, "/a/b/c"),
        ("/a/b/c", 1, "/b/c"),
        ("/a/b/c", 2, "/c"),
        ("/a/b/c", 3, "/"),
        ("/a/b/c", 9, "/"),
        ("/a/", 1, "/"),
        ("//a", 1, "/a"),
        ("/", 1, "/"),
        ("*", 1, "/"),
        ("", 1, "/"),
    ] {
        assert_eq!(strip_segments(path, segments), expected, "{path} {segments}");
    }
}

/// A few routes with a few endpoints, some of them ready.
fn worlds() -> impl Strategy<Value = (Vec<Vec<bool>>, Option<usize>)> {
    prop::collection::vec(prop::collection::vec(any::<bool>(), 0..5), 0..5).prop_flat_map(|ready| {
        let default = prop::option::of(0..ready.len().max(1));
        (Just(ready), default)
    })
}

/// Values that name a route, and others.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![(0_usize..6).prop_map(|i| format!("r{i}")), "[ -~]{0,8}".prop_map(|s| s.trim().to_owned())]
}

proptest! {
    #[test]
    fn only_a_ready_endpoint_of_the_named_route_is_picked(
        (ready, default) in worlds(),
        headers in prop::collection::vec(values(), 0..3),
        query in prop::collection::vec(values(), 0..3),
        path in prop_oneof![Just("/api/x".to_owned()), Just("/api".to_owned()), "[ -~]{0,12}"],
    ) {
        let counts: Vec<usize> = ready.iter().map(Vec::len).collect();
        let table = table(&counts, default);
        let endpoints = readiness(&ready);
        let mut picker = Picker::new(&table, None, 1);
        let given = named(&headers.iter().map(String::as_str).collect::<Vec<_>>());
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for value in &query {
            serializer.append_pair(headers::QUERY_CLUSTER, value);
        }
        let query_text = serializer.finish();
        let head = RequestHead { method: &Method::GET, path: &path, query: Some(&query_text), headers: &given };

        // The rule once more, in the words of the contract: header, else query, else default.
        let index_of = |value: &String| (0..ready.len()).find(|i| format!("r{i}") == *value);
        let source = if headers.is_empty() { &query } else { &headers };
        let expected = match &source[..] {
            [] => default.filter(|d| *d < ready.len()),
            [one] => index_of(one),
            _ => None,
        };
        let fits = path == "/api" || path.starts_with("/api/");

        match table.pick(&head, CLIENT, &endpoints, &mut picker, NOW) {
            Decision::Forward { route, endpoint } => {
                prop_assert_eq!(Some(route), expected);
                prop_assert!(fits && ready[route][endpoint]);
            }
            Decision::NoEndpoint { route } => {
                prop_assert_eq!(Some(route), expected);
                prop_assert!(fits && !ready[route].contains(&true));
            }
            Decision::Rejected { .. } => prop_assert!(false, "nobody belongs to a group"),
            Decision::Refused(Refusal::Outside { route }) => {
                prop_assert_eq!(Some(route), expected);
                prop_assert!(!fits);
            }
            Decision::Refused(Refusal::Ambiguous { .. }) => prop_assert!(source.len() > 1),
            Decision::Refused(Refusal::Unknown { given, .. }) => {
                prop_assert!(source.len() == 1 && expected.is_none());
                prop_assert_eq!(&given, &source[0]);
            }
            Decision::Refused(Refusal::Unnamed) => prop_assert!(source.is_empty() && expected.is_none()),
        }
    }

    #[test]
    fn ready_endpoints_of_a_route_are_picked_equally_often(ready in prop::collection::vec(any::<bool>(), 1..8), rounds in 1_usize..5) {
        let table = table(&[ready.len()], Some(0));
        let endpoints = readiness(std::slice::from_ref(&ready));
        let mut picker = Picker::new(&table, None, 1);
        let headers = HeaderMap::new();
        let head = RequestHead { method: &Method::GET, path: "/api", query: None, headers: &headers };
        let usable = ready.iter().filter(|r| **r).count();
        let mut counts = vec![0; ready.len()];
        for _ in 0..usable * rounds {
            match table.pick(&head, CLIENT, &endpoints, &mut picker, NOW) {
                Decision::Forward { endpoint, .. } => counts[endpoint] += 1,
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let expected: Vec<_> = ready.iter().map(|r| if *r { rounds } else { 0 }).collect();
        prop_assert_eq!(counts, expected);
    }

    #[test]
    fn an_endpoint_that_was_tried_is_not_picked_again(ready in prop::collection::vec(any::<bool>(), 1..6)) {
        let table = table(&[ready.len()], Some(0));
        let endpoints = readiness(std::slice::from_ref(&ready));
        let mut picker = Picker::new(&table, None, 1);
        let mut tried = Vec::new();
        while let Some(Choice { endpoint, .. }) = table.choose(0, Aim::Any, &endpoints, &mut picker, NOW, &tried) {
            prop_assert!(ready[endpoint] && !tried.contains(&endpoint));
            tried.push(endpoint);
        }
        prop_assert_eq!(tried.len(), ready.iter().filter(|r| **r).count());
    }

    #[test]
    fn any_path_can_be_compared_and_stripped(path in "[/a%.]{0,12}", prefix in "/[/a%.]{0,6}", segments in 0_usize..5) {
        let below = lies_below(&path, &prefix);
        prop_assert!(!below || path.starts_with(&prefix));
        let rest = strip_segments(&path, segments);
        prop_assert!(rest == "/" || path.ends_with(rest));
    }
}
