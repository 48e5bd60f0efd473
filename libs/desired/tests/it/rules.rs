//! What holds for the objects of any FundCluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use fundbond_desired::Child;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodSpec};
use serde_json::Value;

use crate::{EXAMPLES, example, of};

type Labels = BTreeMap<String, String>;

fn everything() -> impl Iterator<Item = (&'static str, Vec<Child>)> {
    EXAMPLES.into_iter().map(|name| (name, of(&example(name))))
}

fn deployments(children: &[Child]) -> impl Iterator<Item = &Deployment> {
    children.iter().filter_map(|child| match child {
        Child::Deployment(deployment) => Some(deployment),
        _ => None,
    })
}

fn pod(deployment: &Deployment) -> &PodSpec {
    deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

fn template_labels(deployment: &Deployment) -> Labels {
    let template = &deployment.spec.as_ref().unwrap().template;
    template.metadata.as_ref().unwrap().labels.clone().unwrap()
}

#[test]
fn twice_the_same_spec_is_twice_the_same() {
    for name in EXAMPLES {
        assert_eq!(of(&example(name)), of(&example(name)), "{name}");
    }
}

#[test]
fn no_two_objects_of_one_kind_have_one_name_and_every_name_fits() {
    for (example, children) in everything() {
        let mut seen = BTreeSet::new();
        for child in &children {
            assert!(
                seen.insert((child.kind(), child.name())),
                "{example}: {} {}",
                child.kind(),
                child.name()
            );
            assert!((1..=63).contains(&child.name().len()), "{example}: {}", child.name());
        }
    }
}

#[test]
fn the_longest_name_still_fits_everywhere() {
    let mut cluster = example("shard-groups");
    cluster.metadata.name = Some("c".repeat(40));
    cluster.metadata.namespace = Some("n".repeat(63));
    for group in &mut cluster.spec.routing.shard_groups.as_mut().unwrap().groups {
        group.name = group.name.repeat(10);
    }
    for child in of(&cluster) {
        assert!(child.name().len() <= 63, "{}", child.name());
        for label in child.meta().labels.iter().flatten() {
            assert!(label.1.len() <= 63, "{label:?}");
        }
    }
}

#[test]
fn everything_goes_with_its_fund_cluster() {
    for (example, children) in everything() {
        for child in &children {
            let meta = child.meta();
            let owners = meta.owner_references.as_deref().unwrap_or_default();
            assert!(owners.len() == 1 && owners[0].controller == Some(true), "{example}: {}", child.name());
            assert_eq!(meta.namespace.as_deref(), Some("funds"));
            assert_eq!(meta.labels.as_ref().unwrap()["app.kubernetes.io/managed-by"], "fundbond-operator");
        }
    }
}

// `fundctl render` shows them before there is a FundCluster.
#[test]
fn a_fund_cluster_that_nobody_has_taken_yet_owns_nothing() {
    let mut cluster = example("minimal");
    cluster.metadata.uid = None;
    assert!(of(&cluster).iter().all(|child| child.meta().owner_references.is_none()));
}

#[test]
fn what_others_name_is_applied_before_them() {
    for (example, children) in everything() {
        let place = |kind: &str, name: &str| {
            children.iter().position(|child| child.kind() == kind && child.name() == name)
        };
        for (at, child) in children.iter().enumerate() {
            let Child::Deployment(deployment) = child else { continue };
            let spec = pod(deployment);
            let account = place("ServiceAccount", spec.service_account_name.as_deref().unwrap());
            assert!(account.is_none_or(|account| account < at), "{example}: {}", child.name());
            let variables = spec.containers[0].env_from.iter().flatten();
            let variables = variables.map(|source| source.config_map_ref.as_ref().unwrap().name.clone());
            let volumes = spec.volumes.iter().flatten();
            let files = volumes.filter_map(|volume| Some(volume.config_map.as_ref()?.name.clone()));
            for map in variables.chain(files) {
                assert!(place("ConfigMap", &map).unwrap() < at, "{example}: {map}");
            }
        }
        assert_eq!(children.last().unwrap().kind(), "GatewayRoute", "{example}: traffic comes last");
    }
}

#[test]
fn every_selector_selects_pods_of_its_own_and_no_others() {
    let selects =
        |selector: &Labels, pod: &Labels| selector.iter().all(|(name, value)| pod.get(name) == Some(value));
    for (example, children) in everything() {
        let pods: Vec<_> = deployments(&children).map(template_labels).collect();
        for child in &children {
            let value = child.to_value();
            let selector = match child {
                Child::Service(_) => value["spec"]["selector"].clone(),
                Child::NetworkPolicy(_) => value["spec"]["podSelector"]["matchLabels"].clone(),
                Child::PodDisruptionBudget(_) | Child::Deployment(_) => {
                    value["spec"]["selector"]["matchLabels"].clone()
                }
                _ => continue,
            };
            let selector: Labels = serde_json::from_value(selector).unwrap();
            let selected: Vec<_> = pods.iter().filter(|pod| selects(&selector, pod)).collect();
            let components: BTreeSet<_> =
                selected.iter().map(|pod| &pod["app.kubernetes.io/component"]).collect();
            assert_eq!(components.len(), 1, "{example}: {} {}", child.kind(), child.name());
            if let Child::Deployment(_) = child {
                assert_eq!(selected.len(), 1, "{example}: {} has the pods of another", child.name());
            }
        }
    }
}

#[test]
fn every_pod_is_restricted_and_asked_whether_it_is_well() {
    for (example, children) in everything() {
        for deployment in deployments(&children) {
            let spec = pod(deployment);
            let security = spec.security_context.as_ref().unwrap();
            assert_eq!(security.run_as_non_root, Some(true), "{example}");
            assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
            for container in &spec.containers {
                let security = container.security_context.as_ref().unwrap();
                assert_eq!(security.allow_privilege_escalation, Some(false));
                assert_eq!(security.read_only_root_filesystem, Some(true));
                assert_eq!(security.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
                let resources = container.resources.as_ref().unwrap();
                assert!(resources.requests.is_some() && resources.limits.is_some());
                for probe in [&container.startup_probe, &container.readiness_probe, &container.liveness_probe]
                {
                    assert!(probe.is_some(), "{example}");
                }
            }
        }
    }
}

// Two writers of one number would undo each other for ever.
#[test]
fn a_number_that_an_autoscaler_sets_is_not_written() {
    for (example, children) in everything() {
        let scaled: BTreeSet<_> = children
            .iter()
            .filter(|child| child.kind() == "HorizontalPodAutoscaler")
            .map(|child| child.to_value()["spec"]["scaleTargetRef"]["name"].as_str().unwrap().to_owned())
            .collect();
        for deployment in deployments(&children) {
            let name = deployment.metadata.name.as_deref().unwrap();
            let written = deployment.spec.as_ref().unwrap().replicas.is_some();
            assert_ne!(written, scaled.contains(name), "{example}: {name}");
        }
    }
}

#[test]
fn pods_roll_when_what_they_read_once_changes_and_only_then() {
    let hash = |cluster: &_| {
        let children = of(cluster);
        let deployment = deployments(&children).next().unwrap().clone();
        let template = deployment.spec.unwrap().template.metadata.unwrap();
        template.annotations.unwrap()["fundbond.dev/config-hash"].clone()
    };
    let cluster = example("minimal");
    let mut changed = cluster.clone();
    changed.spec.housekeeping.breaker_percent -= 1;
    assert_ne!(hash(&cluster), hash(&changed));
    let mut same = cluster.clone();
    same.spec.pods.replicas += 1;
    same.spec.proxy.replicas += 1;
    // What pods are told while they run.
    same.spec.pods.max_streams += 1;
    same.spec.pods.heartbeat.interval.0 *= 2;
    assert_eq!(hash(&cluster), hash(&same));
}

#[test]
fn what_a_user_says_of_a_variable_wins_and_our_labels_stay() {
    let mut cluster = example("everything");
    cluster.spec.pods.env =
        serde_json::from_value(serde_json::json!([{"name": "FUND_NODE_NAME", "value": "here"}])).unwrap();
    let children = of(&cluster);
    let deployment = deployments(&children).next().unwrap();
    let named: Vec<_> =
        pod(deployment).containers[0].env.iter().flatten().filter(|v| v.name == "FUND_NODE_NAME").collect();
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].value.as_deref(), Some("here"));
    let labels = template_labels(deployment);
    assert_eq!((&*labels["app.kubernetes.io/instance"], &*labels["team"]), ("cluster1", "funds"));
}

// A variable that no program reads is a setting that does nothing.
#[test]
fn every_variable_is_one_that_the_programs_know() {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
    let known = fs::read_to_string(reference).unwrap();
    let mut unknown = BTreeSet::new();
    for (_, children) in everything() {
        for child in &children {
            collect(&child.to_value(), &mut |name| {
                if !known.contains(&format!("`{name}`")) {
                    unknown.insert(name.to_owned());
                }
            });
        }
    }
    assert_eq!(unknown, BTreeSet::new());
}

/// Every `FUND_` name in an object, be it a key or the name of a variable.
fn collect(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if name.starts_with("FUND_") {
                    found(name);
                }
                collect(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::String(text) if text.starts_with("FUND_") => found(text),
        _ => {}
    }
}
