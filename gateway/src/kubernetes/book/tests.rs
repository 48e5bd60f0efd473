use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kubernetes::slices::Ready;

const LIST: Source = Source { watch: 0, list: 1 };
const SLICES: Source = Source { watch: 1, list: 1 };

fn asked(name: &str, created: i64, more: &Value) -> Asked {
    let mut spec = json!({
        "generation": 1, "match": {"value": name, "stripPrefix": 1},
        "proxy": {"name": format!("{name}-proxy"), "port": 8080},
        "pods": [{"service": {"name": format!("{name}-pods"), "port": 9090}}],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "GatewayRoute",
        "metadata": {
            "name": name, "namespace": "funds", "uid": format!("uid-{name}"),
            "creationTimestamp": Timestamp::from_second(created).unwrap().to_string(),
        },
        "spec": spec,
    });
    Asked::of(serde_json::from_value(object).unwrap())
}

fn key(name: &str) -> Key {
    Key { namespace: "funds".into(), name: name.into() }
}

fn slice(service: &str, pods: &[(&str, u8)]) -> Slice {
    let ready =
        pods.iter().map(|(name, last)| Ready { name: (*name).to_owned(), address: [10, 0, 0, *last].into() });
    Slice { service: service.into(), port: 9090, admin: None, ready: ready.collect() }
}

/// Routes by name, each with the names of its endpoints.
fn shape(table: &RouteTable) -> Vec<(String, Vec<String>)> {
    let names = |route: &Route| route.endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect();
    table.routes().iter().map(|route| (route.name.to_string(), names(route))).collect()
}

fn next(book: &mut Book) -> (Vec<(String, Vec<String>)>, Vec<String>) {
    let (table, refused) = book.table().expect("something changed");
    (shape(&table), refused.iter().map(ToString::to_string).collect())
}

fn one(name: &str, endpoints: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), endpoints.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn a_gateway_leads_to_proxies_and_a_proxy_to_pods() {
    for (role, names, prefix, strip, default) in [
        (Role::Gateway, ["proxy-a", "proxy-b"], "/api", 1, false),
        (Role::ClusterProxy, ["pod-a", "pod-b"], "/", 0, true),
    ] {
        let mut book = Book::new(role);
        book.route(LIST, asked("desk", 1, &json!({})));
        book.slice(SLICES, key("s1"), slice("desk-proxy", &[("proxy-b", 2), ("proxy-a", 1)]));
        book.slice(SLICES, key("s2"), slice("desk-pods", &[("pod-b", 4), ("pod-a", 3)]));
        // The other family of the same pods.
        book.slice(SLICES, key("s3"), slice("desk-pods", &[("pod-a", 13), ("pod-b", 14)]));
        book.slice(SLICES, key("s4"), slice("other-pods", &[("pod-c", 5)]));
        let (table, refused) = book.table().unwrap();
        assert_eq!((shape(&table), refused), (vec![one("desk", &names)], vec![]));
        let route = &table.routes()[0];
        assert_eq!((&*route.path_prefix, route.strip_prefix, route.default), (prefix, strip, default));
        assert!(book.table().is_none(), "nothing else happened");
    }
}

#[test]
fn whoever_is_not_ready_any_more_leaves_and_the_route_stays() {
    let mut book = Book::new(Role::ClusterProxy);
    book.route(LIST, asked("desk", 1, &json!({})));
    book.slice(SLICES, key("s"), slice("desk-pods", &[("a", 1), ("b", 2)]));
    assert_eq!(next(&mut book).0, [one("desk", &["a", "b"])]);
    book.slice(SLICES, key("s"), slice("desk-pods", &[("a", 1), ("b", 2)]));
    assert!(book.table().is_none(), "it said the same");
    book.slice(SLICES, key("s"), slice("desk-pods", &[("b", 2)]));
    assert_eq!(next(&mut book).0, [one("desk", &["b"])]);
    book.slice_gone(&key("s"));
    assert_eq!(next(&mut book).0, [one("desk", &[])]);
    book.route_gone(&key("desk"));
    assert_eq!(next(&mut book).0, []);
}

#[test]
fn a_route_that_cannot_be_stays_as_it_was_with_the_pods_of_now() {
    let mut book = Book::new(Role::ClusterProxy);
    book.route(LIST, asked("desk", 1, &json!({})));
    book.slice(SLICES, key("s"), slice("desk-pods", &[("a", 1)]));
    next(&mut book);
    let hashed =
        json!({"routing": {"strategy": "ConsistentHash", "consistentHash": {"header": "no header"}}});
    book.route(LIST, asked("desk", 1, &hashed));
    let (routes, refused) = next(&mut book);
    assert_eq!(routes, [one("desk", &["a"])]);
    assert!(
        refused[0].starts_with("GatewayRoute funds/desk: ") && refused[0].contains("no header"),
        "{refused:?}"
    );
    book.slice(SLICES, key("s"), slice("desk-pods", &[("b", 2)]));
    let (routes, refused) = next(&mut book);
    assert_eq!(routes[0], one("desk", &["b"]));
    assert_eq!(refused, [""; 0], "said once");
    // It leads elsewhere and cannot be, so it leads where it led.
    let mut elsewhere = hashed.clone();
    elsewhere["pods"] = json!([{"service": {"name": "new-pods", "port": 9090}}]);
    book.route(LIST, asked("desk", 1, &elsewhere));
    next(&mut book);
    book.slice(SLICES, key("s"), slice("desk-pods", &[("c", 3)]));
    assert_eq!(next(&mut book).0[0], one("desk", &["c"]));
    book.route(LIST, asked("desk", 1, &json!({})));
    assert_eq!(next(&mut book).1, [""; 0]);
    book.route(LIST, asked("new", 3, &hashed));
    let (routes, refused) = next(&mut book);
    assert_eq!((routes.len(), refused.len()), (1, 1), "one that never was good is nothing");
}

#[test]
fn of_two_that_want_the_same_the_older_has_it() {
    let both = json!({"match": {"value": "same", "default": true}});
    for order in [[0, 1], [1, 0]] {
        let mut book = Book::new(Role::Gateway);
        let wanted = [asked("elder", 1, &both), asked("newer", 2, &both)];
        for index in order {
            book.route(LIST, wanted[index].clone());
        }
        let (table, refused) = book.table().unwrap();
        assert_eq!(table.routes().len(), 1);
        assert!(refused[0].to_string().contains("funds/newer") && refused[0].why.contains("funds/elder"));
        book.route_gone(&key("elder"));
        let (table, refused) = book.table().unwrap();
        assert_eq!((table.routes().len(), refused), (1, vec![]));
    }
}

#[test]
fn a_list_takes_away_what_it_does_not_name_and_what_cannot_be_read_is_there() {
    let mut book = Book::new(Role::Gateway);
    for name in ["stays", "goes", "odd"] {
        book.route(LIST, asked(name, 1, &json!({})));
        book.slice(SLICES, key(name), slice(&format!("{name}-proxy"), &[(name, 1)]));
    }
    next(&mut book);
    let again = Source { list: 2, ..LIST };
    book.route(again, asked("stays", 1, &json!({})));
    book.route_unreadable(again, key("odd"), "no spec".to_owned());
    book.listed(again, true, None);
    let (table, refused) = book.table().unwrap();
    assert_eq!(shape(&table), [one("odd", &["odd"]), one("stays", &["stays"])]);
    assert_eq!(refused, [Refused { key: key("odd"), why: "no spec".to_owned() }]);
    assert_eq!(*table.refused(), [("funds/odd".to_owned(), "no spec".to_owned())].into());
    let again = Source { list: 2, ..SLICES };
    book.slice(again, key("stays"), slice("stays-proxy", &[("stays", 1)]));
    book.listed(again, false, None);
    assert_eq!(next(&mut book).0, [one("odd", &[]), one("stays", &["stays"])]);
    let again = Source { list: 3, ..LIST };
    book.route(again, asked("stays", 1, &json!({})));
    book.listed(again, true, None);
    let (table, _) = book.table().unwrap();
    assert_eq!((shape(&table), table.refused().len()), (vec![one("stays", &["stays"])], 0));
}

#[test]
fn a_route_that_is_refused_is_so_until_it_is_right_and_its_generation_is_that_of_the_last_good_one() {
    let mut book = Book::new(Role::Gateway);
    let generations = |table: &RouteTable| -> Vec<_> {
        table.routes().iter().map(|route| route.origin.clone().unwrap().generation).collect()
    };
    book.route(LIST, asked("desk", 1, &json!({"generation": 4})));
    let (table, _) = book.table().unwrap();
    assert_eq!((generations(&table), table.refused().len()), (vec![4], 0));
    book.route(LIST, asked("desk", 1, &json!({"generation": 5, "timeouts": {"idle": "0s"}})));
    let (table, news) = book.table().unwrap();
    assert_eq!((generations(&table), table.refused().len(), news.len()), (vec![4], 1, 1));
    // Whatever else changes.
    book.route(LIST, asked("other", 2, &json!({})));
    let (table, news) = book.table().unwrap();
    assert_eq!((generations(&table), table.refused().len(), news.len()), (vec![4, 1], 1, 0));
    book.route(LIST, asked("desk", 1, &json!({"generation": 6})));
    let (table, _) = book.table().unwrap();
    assert_eq!((generations(&table), table.refused().len()), (vec![6, 1], 0));
}

#[test]
fn a_route_that_leads_elsewhere_follows_what_is_there() {
    let mut book = Book::new(Role::Gateway);
    book.route(LIST, asked("desk", 1, &json!({})));
    book.slice(SLICES, key("s"), slice("desk-proxy", &[("a", 1)]));
    book.slice(SLICES, key("t"), slice("new-proxy", &[("b", 2)]));
    assert_eq!(next(&mut book).0, [one("desk", &["a"])]);
    book.route(
        LIST,
        asked("desk", 1, &json!({"generation": 2, "proxy": {"name": "new-proxy", "port": 8080}})),
    );
    assert_eq!(next(&mut book).0, [one("desk", &["b"])]);
    book.slice(SLICES, key("s"), slice("desk-proxy", &[("c", 3)]));
    assert!(book.table().is_none(), "nothing leads there any more");
    book.slice(SLICES, key("t"), slice("new-proxy", &[("d", 4)]));
    assert_eq!(next(&mut book).0, [one("desk", &["d"])]);
    book.route_gone(&key("desk"));
    assert_eq!(next(&mut book).0, []);
    assert!(book.leading.is_empty());
}

#[test]
fn what_was_saved_serves_until_the_first_list() {
    let mut book = Book::new(Role::Gateway);
    for name in ["one", "two"] {
        book.route(LIST, asked(name, 1, &json!({})));
        book.slice(SLICES, key(name), slice(&format!("{name}-proxy"), &[(name, 1)]));
    }
    let before = next(&mut book).0;
    let (mut restored, table) = restart(&book);
    assert_eq!(shape(&table), before);
    restored.route(LIST, asked("one", 1, &json!({})));
    restored.listed(LIST, true, None);
    assert_eq!(next(&mut restored).0, [one("one", &["one"])]);
}

/// What a gateway knows that starts from what this one saved, and the table it makes of it.
fn restart(book: &Book) -> (Book, RouteTable) {
    let text = serde_json::to_string(&book.save()).unwrap();
    let mut restored = Book::new(Role::Gateway);
    restored.load(serde_json::from_str(&text).unwrap());
    let (table, _) = restored.table().unwrap();
    (restored, table)
}

/// Routes that wait for each other: each with one endpoint of its name.
fn with_endpoints(names: &[(&str, i64)]) -> Book {
    let mut book = Book::new(Role::Gateway);
    for (name, created) in names {
        book.route(LIST, asked(name, *created, &json!({})));
        book.slice(SLICES, key(name), slice(&format!("{name}-proxy"), &[(name, 1)]));
    }
    next(&mut book);
    book
}

#[test]
fn a_route_that_is_to_have_what_an_older_one_has_goes_on_as_it_was() {
    let mut book = with_endpoints(&[("elder", 1), ("newer", 2)]);
    let wrong =
        json!({"generation": 2, "match": {"value": "elder"}, "proxy": {"name": "new-proxy", "port": 8080}});
    book.route(LIST, asked("newer", 2, &wrong));
    let (routes, refused) = next(&mut book);
    assert_eq!(routes, [one("elder", &["elder"]), one("newer", &["newer"])]);
    assert!(refused[0].starts_with("GatewayRoute funds/newer: ") && refused[0].contains("funds/elder"));
    // It follows what is behind it, and nobody younger gets its clients.
    book.slice(SLICES, key("newer"), slice("newer-proxy", &[("other", 2)]));
    book.route(LIST, asked("youngest", 3, &json!({"match": {"value": "newer"}})));
    let (routes, refused) = next(&mut book);
    assert_eq!(routes, [one("elder", &["elder"]), one("newer", &["other"])]);
    assert!(refused.len() == 1 && refused[0].contains("funds/newer, which is older"), "{refused:?}");
    book.slice(SLICES, key("new"), slice("new-proxy", &[("new", 3)]));
    book.route_gone(&key("elder"));
    assert_eq!(next(&mut book), (vec![one("elder", &["new"]), one("newer", &[])], vec![]));
    book.route_gone(&key("newer"));
    book.route_gone(&key("youngest"));
    next(&mut book);
    assert!(book.leading.is_empty());
}

#[test]
fn what_a_route_was_is_of_no_use_while_an_older_one_has_that_too() {
    let mut book = with_endpoints(&[("eldest", 1), ("elder", 2), ("newer", 3)]);
    book.route(LIST, asked("newer", 3, &json!({"match": {"value": "eldest"}})));
    book.route(LIST, asked("elder", 2, &json!({"match": {"value": "newer"}})));
    let (routes, refused) = next(&mut book);
    assert_eq!(routes, [one("eldest", &["eldest"]), one("newer", &["elder"])]);
    assert!(refused.len() == 1 && refused[0].contains("funds/eldest"), "{refused:?}");
    book.route(LIST, asked("elder", 2, &json!({})));
    assert_eq!(next(&mut book).0, ["eldest", "elder", "newer"].map(|name| one(name, &[name])));
}

#[test]
fn another_object_of_the_same_name_is_not_what_the_one_before_was() {
    let mut book = with_endpoints(&[("desk", 1)]);
    let mut again = asked("desk", 2, &json!({"timeouts": {"idle": "0s"}}));
    again.uid = "another".to_owned();
    book.route(LIST, again);
    assert_eq!(next(&mut book).0, []);
}

#[test]
fn a_route_by_a_header_that_requests_have_anyway_is_refused_alone() {
    let mut book = with_endpoints(&[("desk", 1)]);
    for header in ["Accept", "x_desk", "X-Forwarded-For"] {
        book.route(LIST, asked("odd", 2, &json!({"match": {"header": header, "value": "odd"}})));
        let (routes, refused) = next(&mut book);
        assert_eq!(routes, [one("desk", &["desk"])]);
        assert!(refused[0].contains("match.header") && refused[0].contains("X-Cluster-Route"), "{refused:?}");
    }
    book.route(LIST, asked("odd", 2, &json!({"match": {"header": "X-Desk", "value": "odd"}})));
    assert_eq!(next(&mut book).0, [one("desk", &["desk"]), one("odd", &[])]);
}

#[test]
fn a_restart_serves_what_a_refused_edit_was_before() {
    let wrong = [
        json!({"generation": 2, "timeouts": {"idle": "0s"}}),
        json!({"generation": 2, "match": {"value": "elder"}}),
    ];
    for wrong in wrong {
        let mut book = with_endpoints(&[("elder", 1), ("newer", 2)]);
        book.route(LIST, asked("newer", 2, &wrong));
        let (before, _) = book.table().unwrap();
        let (mut restored, after) = restart(&book);
        assert_eq!(shape(&after), [one("elder", &["elder"]), one("newer", &["newer"])]);
        assert!(before.says_as(&after), "{:?} {:?}", before.refused(), after.refused());
        // The server says the same as before.
        restored.route(LIST, asked("elder", 1, &json!({})));
        restored.route(LIST, asked("newer", 2, &wrong));
        restored.listed(LIST, true, None);
        assert!(restored.table().is_none());
        // And again, from what this one saved.
        assert!(before.says_as(&restart(&restored).1));
    }
}

#[test]
fn what_was_saved_before_refused_edits_were_is_read() {
    let book = with_endpoints(&[("desk", 1)]);
    let saved = serde_json::to_value(book.save()).unwrap();
    assert_eq!(saved.as_object().unwrap().keys().collect::<Vec<_>>(), ["routes", "slices"]);
    assert_eq!(shape(&restart(&book).1), [one("desk", &["desk"])]);
}

/// The same in another namespace.
fn elsewhere(namespace: &str, mut asked: Asked) -> Asked {
    namespace.clone_into(&mut asked.key.namespace);
    asked
}

#[test]
fn a_list_of_one_namespace_takes_away_nothing_of_another() {
    let mut book = with_endpoints(&[("goes", 1), ("stays", 1)]);
    book.route(LIST, elsewhere("desks", asked("far", 1, &json!({}))));
    next(&mut book);
    let (mut restored, _) = restart(&book);
    restored.route(LIST, asked("stays", 1, &json!({})));
    restored.listed(LIST, true, Some("funds"));
    assert_eq!(next(&mut restored).0, [one("far", &[]), one("stays", &["stays"])]);
    restored.listed(SLICES, false, Some("desks"));
    assert!(restored.table().is_none(), "no slice was there");
    restored.listed(Source { watch: 2, list: 1 }, true, Some("desks"));
    assert_eq!(next(&mut restored).0, [one("stays", &["stays"])]);
    // What is not followed any more is not even taken up.
    let saved = serde_json::from_str::<Saved>(&serde_json::to_string(&book.save()).unwrap()).unwrap();
    let mut other = Book::new(Role::Gateway);
    other.load(saved.of(&["desks".to_owned()]));
    assert_eq!(next(&mut other).0, [one("far", &[])]);
}

#[test]
fn a_namespace_of_which_half_was_told_stays_as_it_was() {
    let (mut book, before) = restart(&with_endpoints(&[("desk", 1)]));
    let moved = json!({"generation": 2, "proxy": {"name": "new-proxy", "port": 8080}});
    book.route(LIST, asked("desk", 1, &moved));
    book.route(LIST, elsewhere("desks", asked("far", 1, &json!({}))));
    let (table, _) = book.table_of(|namespace| namespace == "desks").unwrap();
    assert_eq!(shape(&table), [one("desk", &["desk"]), one("far", &[])]);
    assert_eq!(table.routes()[0].origin, before.routes()[0].origin);
    book.slice(SLICES, key("new"), slice("new-proxy", &[("new", 2)]));
    assert!(book.table_of(|namespace| namespace == "desks").is_none());
    assert_eq!(next(&mut book).0, [one("desk", &["new"]), one("far", &[])]);
}

/// Something that happens to one of a few routes or to what is behind one.
#[derive(Clone, Debug)]
enum Happens {
    Asked { name: u8, service: u8, created: i64, value: u8, default: bool, bad: bool },
    Gone(u8),
    Unreadable(u8),
    Slice(u8, u8),
    SliceGone(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    let rarely = || prop::bool::weighted(0.2);
    let asked = (0..5_u8, 0..5_u8, 1..3_i64, 0..4_u8, rarely(), rarely()).prop_map(
        |(name, service, created, value, default, bad)| Happens::Asked {
            name,
            service,
            created,
            value,
            default,
            bad,
        },
    );
    prop_oneof![
        4 => asked,
        1 => (0..5_u8).prop_map(Happens::Gone),
        1 => (0..5_u8).prop_map(Happens::Unreadable),
        4 => (0..5_u8, 0..4_u8).prop_map(|(name, pods)| Happens::Slice(name, pods)),
        1 => (0..5_u8).prop_map(Happens::SliceGone),
    ]
}

fn happen(book: &mut Book, what: &Happens) {
    let name = |number: &u8| format!("r{number}");
    match what {
        Happens::Asked { name: number, service, created, value, default, bad } => {
            let mut more = json!({
                "match": {"value": format!("v{value}"), "default": default},
                "proxy": {"name": format!("r{service}-proxy"), "port": 8080},
            });
            if *bad {
                more["timeouts"] = json!({"idle": "0s"});
            }
            book.route(LIST, asked(&name(number), *created, &more));
        }
        Happens::Gone(number) => book.route_gone(&key(&name(number))),
        Happens::Unreadable(number) => {
            book.route_unreadable(LIST, key(&name(number)), "no spec".to_owned());
        }
        Happens::Slice(number, pods) => {
            let pods: Vec<_> = [("a", 1), ("b", 2), ("c", 3)].into_iter().take((*pods).into()).collect();
            book.slice(SLICES, key(&name(number)), slice(&format!("r{number}-proxy"), &pods));
        }
        Happens::SliceGone(number) => book.slice_gone(&key(&name(number))),
    }
}

proptest! {
    #[test]
    fn a_table_that_only_replaces_is_the_one_that_is_made_of_all(
        all in prop::collection::vec(prop::collection::vec(happens(), 1..4), 1..30),
    ) {
        let (mut book, mut thorough) = (Book::new(Role::Gateway), Book::new(Role::Gateway));
        let mut news = [Vec::new(), Vec::new()];
        for moment in &all {
            for what in moment {
                happen(&mut book, what);
                happen(&mut thorough, what);
            }
            thorough.others = true;
            thorough.stale = thorough.routes.keys().cloned().collect();
            for (book, news) in [&mut book, &mut thorough].into_iter().zip(&mut news) {
                news.extend(book.table().map(|(_, news)| news).unwrap_or_default());
            }
            let table = |book: &Book| {
                let found: Vec<_> = book.table.routes().iter().map(|route| (route.value.clone(), route.default)).collect();
                (shape(&book.table), found, book.table.refused().clone())
            };
            prop_assert_eq!(table(&book), table(&thorough));
            prop_assert_eq!(&book.places, &thorough.places);
        }
        let [news, all_news] = news;
        prop_assert_eq!(news, all_news);
    }
}
