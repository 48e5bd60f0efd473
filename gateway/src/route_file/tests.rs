use super::*;

const GOOD: &str = "
generation: 7
routes:
- match: {header: X-Cluster-Route, value: cluster1, pathPrefix: /api/, stripPrefix: 1, default: true}
  strategy: {kind: RoundRobin}
  timeouts: {connect: 2s, requestBody: 30s, responseHeaders: 60s, idle: 45s}
  endpoints: [{name: proxy1, address: 127.0.0.1:8081}, {address: Proxy.internal:8082, adminAddress: '[::1]:1'}]
- name: other
  match: {value: cluster2}
  endpoints: []
";

#[test]
fn a_good_file_becomes_a_table() {
    let table = parse(GOOD).unwrap();
    assert_eq!(table.generation(), 7);
    let [first, second] = table.routes() else { panic!("{table:?}") };
    assert_eq!((&*first.name, &*first.value, &*first.path_prefix), ("cluster1", "cluster1", "/api"));
    assert_eq!((first.strip_prefix, first.default), (1, true));
    assert_eq!(first.timeouts.idle, Some(Duration::from_secs(45)));
    let [one, two] = &first.endpoints[..] else { panic!("{first:?}") };
    assert_eq!((&*one.name, one.admin.to_string()), ("proxy1", "127.0.0.1:18081".to_owned()));
    assert_eq!((&*two.name, two.admin.to_string()), ("proxy.internal:8082", "[::1]:1".to_owned()));
    assert_eq!((&*second.name, &*second.path_prefix, second.default), ("other", "/", false));
    assert_eq!(second.timeouts, RouteTimeouts::default());
}

#[test]
fn json_is_read_too() {
    let text =
        "{\n\t\"generation\": 1,\n\t\"routes\": [{\"match\": {\"value\": \"a\"}, \"endpoints\": []}]\n}";
    assert_eq!(parse(text).unwrap().routes().len(), 1);
}

/// `text` is refused, with exactly `expected`.
fn check(text: &str, expected: &str) {
    let error = parse(text).unwrap_err().to_string();
    assert_eq!(error, expected, "{text}");
}

fn check_route(route: &str, expected: &str) {
    check(&format!("generation: 1\nroutes:\n- {route}"), expected);
}

#[test]
fn a_file_of_the_wrong_shape_is_refused_with_the_place() {
    check("", "missing field `generation`");
    check("generation: 1", "missing field `routes`");
    check("routes: []", "missing field `generation`");
    check("generation: 1\nroutes:", "routes: invalid type: unit value, expected a list at line 2 column 8");
    check(
        "generation: soon\nroutes: []",
        "generation: invalid type: string \"soon\", expected u64 at line 1 column 13",
    );
    let error = parse("generation: 1\nroutes: [{match: {value: a}, strategy: {kind: Magic}, endpoints: []}]");
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("routes[0].strategy.kind: unknown variant `Magic`"), "{error}");
    let error = parse("generation: 1\nroutes: [{match: {value: a, valeu: b}, endpoints: []}]")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("routes[0].match: unknown field `valeu`"), "{error}");
}

#[test]
fn a_bad_value_is_refused_with_its_field_and_the_fix() {
    check_route(
        "{match: {value: 'a b'}, endpoints: []}",
        "routes[0].match.value: has the character ' ' at byte 1; allowed are A-Z a-z 0-9 . _ ~ -; \
         routes[0].name: has the character ' ' at byte 1; allowed are A-Z a-z 0-9 . _ ~ -",
    );
    check_route(
        "{match: {value: a, header: 'X Y'}, endpoints: []}",
        "routes[0].match.header: \"X Y\" cannot name a route: it must be X- with letters, digits and dashes, \
         at most 64 characters; write X-Cluster-Route, or a name of your own such as X-Desk",
    );
    check_route(
        "{match: {value: a, header: X-Forwarded-For}, endpoints: []}",
        "routes[0].match.header: \"X-Forwarded-For\" cannot name a route: it means something else already; \
         write X-Cluster-Route, or a name of your own such as X-Desk",
    );
    check_route(
        "{match: {value: a, pathPrefix: api}, endpoints: []}",
        "routes[0].match.pathPrefix: \"api\" does not begin with /",
    );
    check_route(
        "{match: {value: a, pathPrefix: '/api/**'}, endpoints: []}",
        "routes[0].match.pathPrefix: \"/api/**\" has the character '*'; write a plain path such as /api",
    );
    check_route(
        "{match: {value: a}, timeouts: {idle: 0s}, endpoints: []}",
        "routes[0].timeouts.idle: must be longer than nothing",
    );
    for bad in
        ["nowhere", "host:", "host:0", "host:65536", ":80", "1.2.3:80", "::1:80", "a b:80", "300.1.1.1:80"]
    {
        check_route(
            &format!("{{match: {{value: a}}, endpoints: [{{address: '{bad}'}}]}}"),
            &format!(
                "routes[0].endpoints[0].address: {bad:?} is not an address; write host:port, 1.2.3.4:port or [::1]:port"
            ),
        );
    }
    check_route(
        "{match: {value: a}, endpoints: [{address: 'h:60000'}]}",
        "routes[0].endpoints[0].adminAddress: is needed: 60000 + 10000 is no port",
    );
    check_route(
        "{match: {value: a}, endpoints: [{address: 'h:1'}, {address: 'H:1'}]}",
        "routes[0].endpoints[1].address: h:1 is listed twice",
    );
}

#[test]
fn routes_that_fight_over_requests_are_refused() {
    let two = |first: &str, second: &str, expected: &str| {
        check(
            &format!("generation: 1\nroutes:\n- {{endpoints: [], {first}}}\n- {{endpoints: [], {second}}}"),
            expected,
        );
    };
    two(
        "match: {value: a}",
        "name: b, match: {value: a, header: x-cluster-route}",
        "routes[1].match.value: \"a\" is the value of two routes",
    );
    two("match: {value: a}", "name: a, match: {value: b}", "routes[1].name: \"a\" names two routes");
    two(
        "match: {value: a, default: true}",
        "match: {value: b, default: true}",
        "routes[1].match.default: routes[0] is the default already",
    );
}

#[test]
fn every_truncation_of_a_good_file_is_refused_or_is_a_shorter_good_file() {
    for end in 0..GOOD.len() {
        match parse(&GOOD[..end]) {
            Ok(table) => assert!(table.generation() == 7 && !table.routes().is_empty(), "{}", &GOOD[..end]),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn a_strategy_that_hashes_needs_endpoints_with_names_of_their_own() {
    for kind in ["ClientIP", "ConsistentHash"] {
        check_route(
            &format!(
                "{{match: {{value: a}}, strategy: {{kind: {kind}}}, \
                 endpoints: [{{name: p, address: 'h:1'}}, {{name: q, address: 'h:2'}}, {{name: p, address: 'h:3'}}]}}"
            ),
            &format!(
                "routes[0].endpoints[2].name: \"p\" names two endpoints: strategy.kind {kind} knows them by their names, \
                 give each its own"
            ),
        );
    }
    parse("generation: 1\nroutes: [{match: {value: a}, endpoints: [{name: p, address: 'h:1'}, {name: p, address: 'h:2'}]}]")
        .unwrap();
}

#[test]
fn what_belongs_to_another_strategy_is_refused() {
    check_route(
        "{match: {value: a}, strategy: {kind: ClientIP, consistentHash: {}, shardGroups: {groups: []}}, \
         endpoints: [{address: 'h:1', group: a}]}",
        "routes[0].strategy.consistentHash: is only for strategy.kind ConsistentHash: take it out or change the kind; \
         routes[0].strategy.shardGroups: is only for strategy.kind ShardGroups: take it out or change the kind; \
         routes[0].endpoints[0].group: is only for strategy.kind ShardGroups: take it out or change the kind",
    );
    check_route(
        "{match: {value: a}, strategy: {kind: ConsistentHash, consistentHash: {header: 'x y'}}, endpoints: []}",
        "routes[0].strategy.consistentHash.header: \"x y\" is not a header name; write for example user-id",
    );
    let error = parse(
        "generation: 1\nroutes: [{match: {value: a}, strategy: {kind: ConsistentHash, consistentHash: {loadBound: 0.5}}, endpoints: []}]",
    );
    let error = error.unwrap_err().to_string();
    let expected = "routes[0].strategy.consistentHash: a load bound of 0.5 is not from 1.05 to 10; write for example 1.25";
    assert!(error.starts_with(expected), "{error}");
}

/// A route whose groups and endpoints are these is refused, with exactly `expected`.
fn check_groups(groups: &str, endpoints: &str, expected: &str) {
    let strategy = format!("{{kind: ShardGroups, shardGroups: {groups}}}");
    let route = format!("{{match: {{value: a}}, strategy: {strategy}, endpoints: [{endpoints}]}}");
    check_route(&route, expected);
}

#[test]
fn groups_that_do_not_say_where_a_user_belongs_are_refused_with_the_fix() {
    check_route(
        "{match: {value: a}, strategy: {kind: ShardGroups}, endpoints: []}",
        "routes[0].strategy.shardGroups: is needed by kind ShardGroups: say which users belong to which group",
    );
    let at = "routes[0].strategy.shardGroups.groups";
    check_groups("{groups: []}", "", &format!("{at}: at least one group is needed"));
    check_groups("{by: Modulo, groups: []}", "", &format!("{at}: at least one group is needed"));
    check_groups(
        "{groups: [{name: a, users: {from: 0, to: 9}}, {name: b}]}",
        "",
        &format!("{at}[1].users: is needed by: Range; write for example {{from: 0, to: 999}}"),
    );
    check_groups(
        "{by: Modulo, groups: [{name: a, users: {from: 0, to: 9}}, {name: b}]}",
        "",
        &format!("{at}[0].users: is only for by: Range; by Modulo users are dealt out in turn: take it out"),
    );
    check_groups(
        "{groups: [{name: a b, users: {from: 0, to: 9}}, {name: c, users: {from: 10, to: 19}}, {name: c, users: {from: 20, to: 29}}]}",
        "",
        &format!(
            "{at}[0].name: has the character ' ' at byte 1; allowed are A-Z a-z 0-9 . _ ~ -; \
             {at}[2].name: \"c\" names two groups"
        ),
    );
    let two = |first: &str, second: &str, expected: &str| {
        let groups = format!("{{groups: [{{name: a, users: {first}}}, {{name: b, users: {second}}}]}}");
        check_groups(&groups, "", &format!("{at}[1].users: {expected}"));
    };
    two("{from: 0, to: 9}", "{from: 19, to: 10}", "from must not be greater than to");
    two(
        "{from: 10, to: 19}",
        "{from: 0, to: 9}",
        "begins before the group in front of it: sort the groups by from",
    );
    two(
        "{from: 0, to: 10}",
        "{from: 10, to: 19}",
        "overlaps the group in front of it: each user belongs to one group (from and to are both inclusive)",
    );
    two(
        "{from: 0, to: 9}",
        "{from: 12, to: 19}",
        "in front of it users 10 to 11 would be in no group: close the gap, or set allowGaps and choose a fallback",
    );
    two(
        "{from: 0, to: 9}",
        "{from: 11, to: 19}",
        "in front of it user 10 would be in no group: close the gap, or set allowGaps and choose a fallback",
    );
    parse(
        "generation: 1\nroutes: [{match: {value: a}, strategy: {kind: ShardGroups, shardGroups: {allowGaps: true, \
         groups: [{name: a, users: {from: 0, to: 9}}, {name: b, users: {from: 11, to: 18446744073709551615}}]}}, endpoints: []}]",
    )
    .unwrap();
}

#[test]
fn each_endpoint_says_its_group() {
    let groups = "{by: Modulo, groups: [{name: a}, {name: b}]}";
    check_groups(
        groups,
        "{address: 'h:1', group: a}, {address: 'h:2'}, {address: 'h:3', group: c}",
        "routes[0].endpoints[1].group: is needed by kind ShardGroups: one of a, b; \
         routes[0].endpoints[2].group: \"c\" is no group of the strategy: one of a, b",
    );
    let table = parse(&format!(
        "generation: 1\nroutes: [{{match: {{value: a}}, strategy: {{kind: ShardGroups, shardGroups: {groups}}}, \
         endpoints: [{{address: 'h:1', group: b}}, {{address: 'h:2', group: a}}, {{address: 'h:3', group: b}}]}}]"
    ))
    .unwrap();
    let groups: Vec<_> =
        table.routes()[0].strategy.groups().iter().map(|g| (&*g.name, &g.endpoints[..])).collect();
    assert_eq!(groups, [("a", &[1][..]), ("b", &[0, 2])]);
}
