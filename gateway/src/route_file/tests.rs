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
        "routes[0].match.header: \"X Y\" is not a header name",
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
