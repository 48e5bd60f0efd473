//! What holds for everything the chart makes, whatever the values.

use std::{collections::BTreeSet, fs};

use fundbond_crds::labels;
use fundbond_desired::{Child, children};
use serde_json::{Value, json};

use crate::{
    charts,
    helm::{objects, value_files},
    rights::{cluster, site},
};

const NAMESPACE: &str = "fb";

fn each(mut check: impl FnMut(&str, &Value)) {
    for name in value_files("good") {
        for object in objects(&name, NAMESPACE, &[]) {
            let at = format!("{name}: {} {}", object["kind"], object["metadata"]["name"]);
            check(&at, &object);
        }
    }
}

/// Specs of pods among the objects, with where they are.
pub(crate) fn pods(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Deployment" => Some(&object["spec"]["template"]),
        "Pod" => Some(object),
        _ => None,
    }
}

#[test]
fn every_object_says_what_it_is_part_of_and_where_it_goes() {
    each(|at, object| {
        let has = &object["metadata"]["labels"];
        assert_eq!(has[labels::PART_OF], labels::FUNDBOND, "{at}");
        assert_eq!(has[labels::MANAGED_BY], "Helm", "{at}");
        let everywhere = object["kind"].as_str().unwrap().starts_with("Cluster");
        assert_eq!(object["metadata"]["namespace"].is_null(), everywhere, "{at}");
    });
}

#[test]
fn a_gateway_takes_connections_until_everybody_knows_that_it_goes() {
    let leaves = |delay: &str| {
        let made =
            objects("good/default", NAMESPACE, &["--set", &format!("gateway.drainDelaySeconds={delay}")]);
        let spec = made.iter().filter_map(pods).map(|pod| &pod["spec"]);
        let gateway = spec.into_iter().find(|spec| spec["containers"][0]["name"] == "gateway").unwrap();
        (gateway["containers"][0]["lifecycle"].clone(), gateway["terminationGracePeriodSeconds"].clone())
    };
    assert_eq!(leaves("15"), (json!({"preStop": {"sleep": {"seconds": 15}}}), json!(45)));
    assert_eq!(leaves("0"), (Value::Null, json!(30)));
}

/// A FundCluster's policies say who reaches its proxies: gateways with requests, the operator with questions.
#[test]
fn the_policies_of_fund_clusters_let_gateways_and_operators_in() {
    let policies = children(&cluster(), &site(), 1).into_iter().filter_map(|child| match child {
        Child::NetworkPolicy(policy) if policy.metadata.name.as_deref() == Some("one-proxy") => policy.spec,
        _ => None,
    });
    let rules: Vec<_> = policies.flat_map(|policy| policy.ingress.unwrap()).collect();
    let peers: Vec<_> = rules.into_iter().filter_map(|rule| rule.from).flatten().collect();
    let wanted: Vec<Value> = peers
        .iter()
        .map(|peer| serde_json::to_value(&peer.pod_selector.as_ref().unwrap().match_labels).unwrap())
        .collect();
    assert_eq!(wanted.len(), 2, "{wanted:#?}");
    let made = objects("good/everything", NAMESPACE, &[]);
    for selector in wanted {
        let of_selector = |pod: &&Value| {
            let has = &pod["metadata"]["labels"];
            selector.as_object().unwrap().iter().all(|(label, value)| has[label] == *value)
        };
        assert_eq!(made.iter().filter_map(pods).filter(of_selector).count(), 1, "{selector:#}");
    }
}

#[test]
fn pods_are_called_what_they_are_and_are_selected_by_it() {
    let mut seen = BTreeSet::new();
    each(|at, object| {
        let Some(pod) = pods(object) else { return };
        let name = pod["metadata"]["labels"][labels::NAME].as_str().unwrap();
        assert_eq!(pod["metadata"]["labels"][labels::PART_OF], labels::FUNDBOND, "{at}");
        assert_eq!(pod["metadata"]["labels"][labels::COMPONENT], name, "{at}");
        if object["kind"] == "Deployment" {
            let selects = object["spec"]["selector"]["matchLabels"].as_object().unwrap();
            assert!(selects.iter().all(|(label, value)| pod["metadata"]["labels"][label] == *value), "{at}");
            // It cannot be changed, so what changes is not in it.
            assert_eq!(selects.len(), 4, "{at}");
        }
        seen.insert(name.to_owned());
    });
    assert_eq!(seen, ["dev-redis", "gateway", "operator", "test"].map(str::to_owned).into());
}

#[test]
fn every_container_has_bounds_probes_and_nothing_it_could_do_to_its_machine() {
    each(|at, object| {
        let Some(pod) = pods(object) else { return };
        let spec = &pod["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{at}");
        assert_eq!(spec["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}), "{at}");
        assert_eq!(spec["enableServiceLinks"], false, "{at}");
        for container in spec["containers"].as_array().unwrap() {
            let resources = &container["resources"];
            for bound in [
                &resources["requests"]["cpu"],
                &resources["requests"]["memory"],
                &resources["limits"]["memory"],
            ] {
                assert!(bound.is_string(), "{at}");
            }
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{at}");
            assert_eq!(security["allowPrivilegeEscalation"], false, "{at}");
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{at}");
            let probed = object["kind"] == "Deployment";
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                assert_eq!(container[probe].is_object(), probed, "{at}: {probe}");
            }
        }
    });
}

/// A process that is told to end must be able to, before it is killed.
#[test]
fn nobody_is_killed_in_the_middle_of_a_drain() {
    let mut drains = 0;
    each(|at, object| {
        let Some(pod) = pods(object) else { return };
        for container in pod["spec"]["containers"].as_array().unwrap() {
            let variables = container["env"].as_array().into_iter().flatten();
            for variable in variables.filter(|variable| variable["name"] == "FUND_DRAIN_GRACE") {
                let drain: u64 =
                    variable["value"].as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
                let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
                assert!(grace >= drain + 10, "{at}: {grace} s for a drain of {drain} s");
                drains += 1;
            }
        }
    });
    assert!(drains > 1);
}

/// The variables that a program reads, by its section of the reference, which a test holds to its flags.
fn known(program: &str) -> BTreeSet<String> {
    let folder = charts().join("../docs/reference");
    // fundctl has a page of its own.
    let (page, start) = match program {
        "fundctl" => ("cli.md", "# fundctl".to_owned()),
        _ => ("configuration.md", format!("## {program}\n")),
    };
    let page = fs::read_to_string(folder.join(page)).unwrap();
    let section = page.split_once(&start).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let section = if program == "fundctl" { page.as_str() } else { section };
    let words = section.split('`').filter(|word| word.starts_with("FUND_"));
    words.map(str::to_owned).collect()
}

#[test]
fn programs_are_told_only_what_they_listen_to() {
    let mut wrong = BTreeSet::new();
    each(|_, object| {
        let Some(pod) = pods(object) else { return };
        for container in pod["spec"]["containers"].as_array().unwrap() {
            let program = container["name"].as_str().unwrap();
            if program == "redis" {
                continue;
            }
            let known = known(program);
            assert!(known.len() > 1, "{program}: {known:?}");
            for variable in container["env"].as_array().unwrap() {
                let name = variable["name"].as_str().unwrap();
                if !known.contains(name) {
                    wrong.insert(format!("{program} does not read {name}"));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_test_says_what_fundctl_understands() {
    let page = fs::read_to_string(charts().join("../docs/reference/cli.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("fundctl task start\n")).unwrap();
    let made = objects("good/default", NAMESPACE, &[]);
    let pod = made.iter().find(|object| object["kind"] == "Pod").unwrap();
    let arguments = pod["spec"]["containers"][0]["args"].as_array().unwrap();
    let words: Vec<&str> = arguments.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words[..2], ["task", "start"]);
    for flag in words.iter().filter(|word| word.starts_with('-')) {
        assert!(section.contains(&format!("{flag}`")), "fundctl task start has no {flag}");
    }
}
