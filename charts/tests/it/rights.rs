//! Rights: the chart grants what the code says it needs, and says why beside each.

use std::fmt::Write as _;

use fundbond_crds::FundCluster;
use fundbond_desired::{Child, Site, children};
use fundbond_operator::rights;
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};

use crate::{
    helm::{RELEASE, objects, value_files},
    hold,
};

const HEAD: &str =
    "{{- /* Made from operator/src/rights.rs by `cargo xtask reference`; not to be edited. */ -}}\n";

/// Why the operator needs a right. A rule without a reason is one that somebody has to think about here first.
fn reason(rule: &PolicyRule) -> &'static str {
    let group = rule.api_groups.as_ref().unwrap()[0].as_str();
    let resource = rule.resources.as_ref().unwrap()[0].as_str();
    let makes = rule.verbs.iter().any(|verb| verb == "create");
    match (group, resource, makes) {
        ("fundbond.dev", "fundclusters", false) => {
            "What users ask for: watched, and read afresh before anything is written."
        }
        ("fundbond.dev", "fundclusters/status", false) => "Users are told what became of it.",
        ("fundbond.dev", "fundclusters/finalizers", false) => {
            "Where OwnerReferencesPermissionEnforcement is on: children that keep their FundCluster until they are gone."
        }
        ("fundbond.dev", "gatewayroutes", true) => {
            "What leads to a FundCluster: written for gateways and proxies."
        }
        ("fundbond.dev", "gatewayroutes", false) => {
            "Handed on: a proxy reads its route, and nobody gives a right they lack."
        }
        ("discovery.k8s.io", "endpointslices", false) => "Handed on: a proxy sees which pods there are.",
        ("coordination.k8s.io", "leases", _) => {
            "Handed on: one pod of each FundCluster keeps house, by a Lease."
        }
        ("events.k8s.io", "events", true) => "Each change of Ready is an event as well.",
        ("", "serviceaccounts", true) => {
            "Who pods and proxies are, their settings, and how they are reached."
        }
        ("rbac.authorization.k8s.io", "roles", true) => {
            "What pods and proxies may do: never more than is written here."
        }
        ("networking.k8s.io", "networkpolicies", true) => "Who may reach pods and proxies.",
        ("policy", "poddisruptionbudgets", true) => "How many may be away when machines are emptied.",
        ("apps", "deployments", true) => "Pods and proxies themselves.",
        ("gateway.networking.k8s.io", "httproutes", true) => {
            "Ways in by the Gateway API, where a FundCluster asks for one."
        }
        ("monitoring.coreos.com", "servicemonitors", true) => {
            "What a Prometheus operator scrapes and warns of, where a FundCluster asks for it."
        }
        ("autoscaling", "horizontalpodautoscalers", true) => {
            "How many pods there are, where a FundCluster leaves that to the load."
        }
        _ => panic!("say in charts/tests/it/rights.rs why the operator needs {rule:?}"),
    }
}

fn list(words: Option<&Vec<String>>) -> String {
    let quoted = words.unwrap().iter().map(|word| if word.is_empty() { "\"\"" } else { word });
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

fn written(rules: &[PolicyRule], reason: impl Fn(&PolicyRule) -> &'static str) -> String {
    let mut text = String::new();
    for rule in rules {
        let _ = writeln!(text, "# {}", reason(rule));
        let _ = writeln!(text, "- apiGroups: {}", list(rule.api_groups.as_ref()));
        let _ = writeln!(text, "  resources: {}", list(rule.resources.as_ref()));
        if rule.resource_names.is_some() {
            let _ = writeln!(text, "  resourceNames: {}", list(rule.resource_names.as_ref()));
        }
        let _ = writeln!(text, "  verbs: {}", list(Some(&rule.verbs)));
    }
    text
}

#[test]
fn the_rules_are_those_of_the_operator_with_a_reason_beside_each() {
    let home = rights::at_home("{{ include \"fundbond.leaseName\" . | quote }}");
    let at_home = |rule: &PolicyRule| match (rule.resource_names.is_some(), &*rule.verbs[0]) {
        (true, _) => "One of several operators leads, by this Lease.",
        (false, "list") => "Gateways are asked which routes they have applied: where they are.",
        (false, _) => "A name cannot be asked for in the making of an object.",
    };
    let define =
        |name: &str, rules: String| format!("{{{{- define \"{name}\" -}}}}\n{rules}{{{{- end }}}}\n");
    let text = format!(
        "{HEAD}{}\n{}",
        define("fundbond.operator.rules", written(&rights::everywhere(), reason)),
        define("fundbond.operator.homeRules", written(&home, at_home)),
    );
    hold("fundbond/templates/_operator-rules.tpl", &text);
}

/// The roles among `objects` that are bound to an account of the release, with their namespaces: (role, namespace, rules).
fn granted(
    objects: &[Value],
    account: &str,
    namespace: &str,
) -> Vec<(String, Option<String>, Vec<PolicyRule>)> {
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let mut granted = Vec::new();
    for binding in objects.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("RoleBinding")) {
        let subject = json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}]);
        if binding["subjects"] != subject {
            continue;
        }
        let bound = |object: &&Value| {
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
        };
        let roles: Vec<&Value> = objects.iter().filter(bound).collect();
        assert_eq!(roles.len(), 1, "{binding:#}");
        let rules = serde_json::from_value(roles[0]["rules"].clone()).unwrap();
        granted.push((name(roles[0]), binding["metadata"]["namespace"].as_str().map(str::to_owned), rules));
    }
    granted.sort_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
    granted
}

#[test]
fn an_operator_of_all_namespaces_is_granted_what_it_needs_and_nothing_else() {
    let objects = objects("good/default", "fb", &[]);
    let operator = format!("{RELEASE}-operator");
    let wanted = [
        (operator.clone(), None, rights::everywhere()),
        (format!("{operator}-home"), Some("fb".to_owned()), rights::at_home(&operator)),
    ];
    assert_eq!(granted(&objects, &operator, "fb"), wanted);
}

#[test]
fn an_operator_of_some_namespaces_is_granted_the_same_in_these_alone() {
    let objects = objects("good/namespaces", "fb", &[]);
    let operator = "desk-operator".to_owned();
    let in_namespace = |namespace: &str| (operator.clone(), Some(namespace.to_owned()), rights::everywhere());
    let lease = (format!("{operator}-home"), Some("fb".to_owned()), rights::at_home("desk-lease"));
    assert_eq!(granted(&objects, &operator, "fb"), [in_namespace("bonds"), in_namespace("funds"), lease]);
    let cluster_wide =
        objects.iter().filter(|object| object["kind"].as_str().unwrap().starts_with("Cluster"));
    assert_eq!(cluster_wide.count(), 0);
}

#[test]
fn an_operator_finds_the_gateways_of_another_release_where_it_looks_after_nothing() {
    let more = |service: &str| {
        let service = format!("operator.gatewayService={service}");
        let values = ["--set", "gateway.enabled=false", "--set", &service];
        let granted = granted(&objects("good/namespaces", "fb", &values), "desk-operator", "fb");
        let more = granted.into_iter().filter(|(name, ..)| name.ends_with("-gateways"));
        more.map(|(_, namespace, rules)| (namespace, rules)).collect::<Vec<_>>()
    };
    let rule = PolicyRule {
        api_groups: Some(vec!["discovery.k8s.io".to_owned()]),
        resources: Some(vec!["endpointslices".to_owned()]),
        verbs: vec!["list".to_owned()],
        ..PolicyRule::default()
    };
    assert_eq!(more("shared/fundbond-gateway"), [(Some("shared".to_owned()), vec![rule])]);
    // It may read all there already.
    assert_eq!(more("bonds/fundbond-gateway"), []);
    assert_eq!(more(""), []);
}

/// Any FundCluster.
pub(crate) fn cluster() -> FundCluster {
    let text = "{apiVersion: fundbond.dev/v1alpha1, kind: FundCluster, metadata: {name: one, namespace: funds}, spec: {route: \
                {value: one}, redis: {url: 'redis://redis:6379'}}}";
    yaml_serde::from_str(text).unwrap()
}

pub(crate) fn site() -> Site {
    Site {
        registry: "registry".to_owned(),
        version: "1".to_owned(),
        gateway_networks: vec![],
        runbooks: "docs/runbooks".to_owned(),
    }
}

/// A proxy reads its route in one namespace; a gateway reads all routes in the same way.
#[test]
fn a_gateway_may_do_what_a_proxy_may() {
    let proxy = children(&cluster(), &site(), 1).into_iter().find_map(|child| match child {
        Child::Role(role) if role.metadata.name.as_deref() == Some("one-proxy") => role.rules,
        _ => None,
    });
    let proxy = proxy.unwrap();
    for (values, namespaces) in
        [("good/default", vec![None]), ("good/namespaces", vec![Some("bonds"), Some("funds")])]
    {
        let objects = objects(values, "fb", &[]);
        let prefix = if values == "good/default" { RELEASE } else { "desk" };
        let granted = granted(&objects, &format!("{prefix}-gateway"), "fb");
        let wanted: Vec<_> = namespaces
            .into_iter()
            .map(|namespace| (format!("{prefix}-gateway"), namespace.map(str::to_owned), proxy.clone()))
            .collect();
        assert_eq!(granted, wanted, "{values}");
    }
}

#[test]
fn whoever_makes_roles_by_hand_is_given_none() {
    for values in value_files("good") {
        let with = objects(&values, "fb", &["--set", "rbac.create=true"]);
        let without = objects(&values, "fb", &["--set", "rbac.create=false"]);
        let is_right = |object: &&Value| object["apiVersion"] == "rbac.authorization.k8s.io/v1";
        assert!(with.iter().any(|object| is_right(&object)), "{values}");
        assert_eq!(without.iter().filter(is_right).count(), 0, "{values}");
    }
}
