//! Golden files, and users who go where the proxy would send them.

use std::fmt::Write as _;

use fundbond_crds::FundCluster;
use http::{HeaderMap, HeaderValue, Method};
use regex::Regex;

use super::{
    plan::{Plan, To, plan},
    *,
};
use crate::{
    golden,
    manifest::{
        File,
        diff::moves::{Endpoint, Place, Side},
        lint,
    },
};

fn cluster(routing: &str, route: &str) -> FundCluster {
    let text = format!(
        "apiVersion: fundbond.dev/v1alpha1\nkind: FundCluster\nmetadata: {{name: cluster1, namespace: funds}}\nspec:\n  \
         route: {{value: cluster1{route}}}\n  redis: {{url: 'redis://redis:6379'}}\n  routing: {routing}\n"
    );
    let report = lint::lint(&[File { name: "f.yaml".to_owned(), text }], "funds");
    assert_eq!(report.problems, []);
    report.clusters.into_iter().next().unwrap().cluster
}

const GROUPS: &str = "{strategy: ShardGroups, shardGroups: {fallback: Reject, groups: [{name: a, users: {from: 0, to: 333}}, \
                      {name: b, users: {from: 334, to: 999}, replicas: 3}]}}";

fn attached() -> Attached {
    Attached {
        namespace: Some("gateways".to_owned()),
        gateway: "public".to_owned(),
        listener: None,
        hostnames: Vec::new(),
    }
}

#[test]
fn every_strategy_has_objects_of_both_or_says_what_they_cannot_do() {
    let examples = [
        ("turns", "{}", ""),
        ("least", "{strategy: LeastStreams}", ""),
        ("client", "{strategy: ClientIP}", ", default: true"),
        ("hash", "{strategy: ConsistentHash}", ""),
        ("groups", GROUPS, ", pathPrefix: /api/v1, stripPrefix: 2"),
        (
            "modulo",
            "{strategy: ShardGroups, shardGroups: {by: Modulo, groups: [{name: a}, {name: b}, {name: c}]}}",
            "",
        ),
    ];
    for (name, routing, route) in examples {
        let cluster = cluster(routing, route);
        for (target, mesh) in [("istio", istio(&cluster, &attached())), ("kong", kong(&cluster, &attached()))]
        {
            let mut text = String::new();
            for object in &mesh.objects {
                let _ = write!(text, "---\n{}", yaml_serde::to_string(object).unwrap());
            }
            for (kind, lines) in [("note", &mesh.notes), ("left out", &mesh.left_out)] {
                for line in lines {
                    let _ = writeln!(text, "# {kind}: {line}");
                }
            }
            golden::check(&format!("render.{target}.{name}.yaml"), &text);
        }
    }
}

/// The first rule that takes a user's request.
fn goes(plan: &Plan, user: &str, writes: bool) -> To {
    let fits = |expression: &String| Regex::new(&format!("^(?:{expression})$")).unwrap().is_match(user);
    let rule =
        plan.rules.iter().find(|rule| rule.users.as_ref().is_none_or(fits) && (writes || !rule.writes));
    rule.unwrap().to.clone()
}

#[test]
fn users_with_numbers_go_to_the_group_that_the_proxy_would_choose() {
    for (routing, groups) in [
        (GROUPS, &["a", "b"][..]),
        ("{strategy: ShardGroups, shardGroups: {by: Modulo, groups: [{name: a}, {name: b}]}}", &["a", "b"]),
        (
            "{strategy: ShardGroups, shardGroups: {allowGaps: true, groups: [{name: a, users: {from: 7, to: 95}}, \
             {name: b, users: {from: 1000, to: 1234}}]}}",
            &["a", "b"],
        ),
    ] {
        let cluster = cluster(routing, "");
        let plan = plan(&cluster, &services(&cluster));
        let pods = groups
            .iter()
            .map(|group| Endpoint { name: format!("pod-{group}"), group: Some((*group).to_owned()) });
        let side = Side::new(&cluster.spec.routing, pods.collect()).unwrap();
        for user in (0..=1500).map(|user: u32| user.to_string()).chain(["007".to_owned(), "0999".to_owned()])
        {
            let headers: HeaderMap =
                [(http::HeaderName::from_static(plan::USER), HeaderValue::from_str(&user).unwrap())]
                    .into_iter()
                    .collect();
            let head = fundbond_routing::strategy::RequestHead {
                method: &Method::POST,
                path: "/api/fund-api",
                query: None,
                headers: &headers,
            };
            let expected = match side.place(&head, None) {
                Place::Group(group) => To::Services(vec![(format!("cluster1-pods-{group}"), 1)]),
                Place::Refused => To::Refused,
                Place::Any => {
                    To::Services(services(&cluster).into_iter().map(|(_, service)| (service, 2)).collect())
                }
                place => panic!("{place:?}"),
            };
            assert_eq!(goes(&plan, &user, true), expected, "{user} {routing}");
        }
    }
}

#[test]
fn a_gateway_is_named_or_there_is_an_error_that_says_how() {
    let cluster = cluster("{}", "");
    let error = Attached::of(&cluster, None, &[], "istio").unwrap_err();
    assert!(error.next("fundctl").contains("--gateway"), "{error}");
    let named = Attached::of(&cluster, Some("gateways/public"), &[], "kong").unwrap();
    assert_eq!((named.namespace.as_deref(), named.gateway.as_str()), (Some("gateways"), "public"));
}
