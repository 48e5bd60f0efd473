use serde_json::{Value, json};

use super::*;
use crate::fixtures::{applied, cluster, seen, site, tree};

/// All children as they are after `plan` was carried out.
fn carried_out(plan: &Plan) -> Vec<Seen> {
    plan.wanted.iter().map(|wanted| applied(wanted, 100)).collect()
}

fn plan_of(cluster: &FundCluster, seen: &[Seen]) -> Plan {
    plan(cluster, &site(), seen, 0, false)
}

/// What is done to what, in short.
fn short(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().map(|step| match step {
        Step::Create(wanted) => format!("create {} {}", wanted.kind.as_str(), wanted.name),
        Step::Update { wanted, version, .. } => {
            format!("update {} {} {version}", wanted.kind.as_str(), wanted.name)
        }
        Step::HandOver { wanted, replicas, .. } => format!("hand over {} {replicas}", wanted.name),
        Step::Delete { kind, name, version, .. } => format!("delete {} {name} {version}", kind.as_str()),
    });
    steps.collect()
}

fn find_mut<'a>(seen: &'a mut [Seen], kind: Kind, name: &str) -> &'a mut Seen {
    seen.iter_mut().find(|seen| seen.kind == kind && *seen.name == *name).unwrap()
}

#[test]
fn everything_is_made_once_and_then_left_alone() {
    let cluster = cluster(&json!({}));
    let first = plan_of(&cluster, &[]);
    assert!(first.steps.len() > 10 && first.steps.iter().all(|step| matches!(step, Step::Create(_))));
    assert_eq!(short(&first).last().unwrap(), "create GatewayRoute desk");
    let second = plan_of(&cluster, &carried_out(&first));
    assert_eq!(second.steps, []);
    assert_eq!((first.route, second.route), (1, 1));
}

#[test]
fn a_change_of_the_spec_touches_what_it_is_about() {
    let before = carried_out(&plan_of(&cluster(&json!({})), &[]));
    let scaled = plan_of(&cluster(&json!({"pods": {"replicas": 5}})), &before);
    assert_eq!(short(&scaled), ["update Deployment desk-pods 100"]);
}

#[test]
fn a_route_that_changes_counts_on_and_any_other_change_does_not() {
    let before = carried_out(&plan_of(&cluster(&json!({})), &[]));
    let strategy = plan_of(&cluster(&json!({"routing": {"strategy": "LeastStreams"}})), &before);
    assert_eq!((strategy.steps.len(), strategy.route), (1, 2), "{:?}", short(&strategy));
    let Step::Update { wanted, .. } = &strategy.steps[0] else { panic!("an update") };
    assert_eq!(wanted.value["spec"]["generation"], 2);
    let scaled = plan_of(&cluster(&json!({"pods": {"replicas": 5}})), &before);
    assert_eq!(scaled.route, 1);
}

#[test]
fn a_route_that_was_deleted_comes_back_with_a_greater_count() {
    let cluster = cluster(&json!({}));
    let mut before = carried_out(&plan_of(&cluster, &[]));
    before.retain(|seen| seen.kind != Kind::GatewayRoute);
    let again = plan(&cluster, &site(), &before, 7, false);
    assert_eq!((short(&again), again.route), (vec!["create GatewayRoute desk".to_owned()], 8));
}

#[test]
fn what_somebody_else_changed_is_put_back_and_what_is_theirs_stays() {
    let cluster = cluster(&json!({}));
    let plan = plan_of(&cluster, &[]);
    let service = plan.wanted.iter().find(|wanted| wanted.kind == Kind::Service).unwrap();
    let mut fields = tree(&service.value);
    fields["f:spec"].as_object_mut().unwrap().remove("f:selector");
    let mut before = carried_out(&plan);
    *find_mut(&mut before, Kind::Service, &service.name) = seen(service, 7, &fields);
    assert_eq!(short(&plan_of(&cluster, &before)), [format!("update Service {} 7", service.name)]);
    // Another version and nothing lost: whatever changed is somebody else's.
    *find_mut(&mut before, Kind::Service, &service.name) = applied(service, 8);
    assert_eq!(plan_of(&cluster, &before).steps, []);
}

#[test]
fn what_the_server_does_not_take_is_not_asked_for_again() {
    let cluster = cluster(&json!({}));
    let plan = plan_of(&cluster, &[]);
    let service = plan.wanted.iter().find(|wanted| wanted.kind == Kind::Service).unwrap();
    let mut before = carried_out(&plan);
    let found = find_mut(&mut before, Kind::Service, &service.name);
    *found = seen(service, 7, &json!({"f:metadata": {}}));
    found.settled = found.fields.clone().map(|fields| (service.digest, fields));
    assert_eq!(plan_of(&cluster, &before).steps, []);
    find_mut(&mut before, Kind::Service, &service.name).settled.as_mut().unwrap().0 += 1;
    assert_eq!(plan_of(&cluster, &before).steps.len(), 1, "that was about something else");
}

#[test]
fn what_is_not_wanted_any_more_goes_last() {
    let groups = json!({"routing": {"strategy": "ShardGroups", "shardGroups": {"groups": [
        {"name": "a", "users": {"from": 0, "to": 9}}, {"name": "b", "users": {"from": 10, "to": 99}},
    ]}}});
    let before = carried_out(&plan_of(&cluster(&groups), &[]));
    let after = plan_of(&cluster(&json!({})), &before);
    let steps = short(&after);
    let first = steps.iter().position(|step| step.starts_with("delete")).unwrap();
    assert!(steps[first..].iter().all(|step| step.starts_with("delete")), "{steps:?}");
    assert!(steps.contains(&"create Deployment desk-pods".to_owned()), "{steps:?}");
    assert!(steps.iter().any(|step| step.starts_with("delete Deployment desk-pods-b ")), "{steps:?}");
}

#[test]
fn the_number_of_pods_is_handed_over_before_it_is_nobodys() {
    let before = carried_out(&plan_of(&cluster(&json!({"pods": {"replicas": 5}})), &[]));
    let autoscaled =
        cluster(&json!({"pods": {"replicas": 5, "autoscaling": {"minReplicas": 2, "maxReplicas": 9}}}));
    let after = plan_of(&autoscaled, &before);
    assert_eq!(short(&after), ["hand over desk-pods 5", "create HorizontalPodAutoscaler desk-pods"]);
    let again = plan_of(&autoscaled, &carried_out(&after));
    assert_eq!(again.steps, []);
}

#[test]
fn a_child_of_a_former_fund_cluster_leaves_before_its_successor_comes() {
    let cluster = cluster(&json!({}));
    let mut before = carried_out(&plan_of(&cluster, &[]));
    find_mut(&mut before, Kind::ConfigMap, "desk").owner = Some("uid-former".into());
    let plan = plan_of(&cluster, &before);
    let leaving = [(Kind::ConfigMap, "desk".into())];
    assert_eq!(plan.leaving, leaving);
    assert_eq!(short(&plan), ["delete ConfigMap desk 100"]);
    find_mut(&mut before, Kind::ConfigMap, "desk").leaving = true;
    let plan = plan_of(&cluster, &before);
    assert_eq!((plan.leaving.as_slice(), plan.steps.len()), (&leaving[..], 0));
}

#[test]
fn a_child_whose_owner_was_taken_away_gets_it_back() {
    let cluster = cluster(&json!({}));
    let mut before = carried_out(&plan_of(&cluster, &[]));
    find_mut(&mut before, Kind::ConfigMap, "desk").owner = None;
    assert_eq!(short(&plan_of(&cluster, &before)), ["update ConfigMap desk 100"]);
}

#[test]
fn whoever_has_no_right_to_the_route_has_none() {
    let cluster = cluster(&json!({}));
    let before = carried_out(&plan_of(&cluster, &[]));
    let without = plan(&cluster, &site(), &before, 1, true);
    assert_eq!(short(&without), ["delete GatewayRoute desk 100"]);
}

#[test]
fn a_copy_that_somebody_made_is_theirs() {
    let cluster = cluster(&json!({}));
    let plan = plan_of(&cluster, &[]);
    let mut before = carried_out(&plan);
    let mut copy = seen(&plan.wanted[0], 9, &Value::Null);
    copy.name = "a-copy".into();
    copy.owner = None;
    copy.fields = None;
    before.push(copy);
    assert_eq!(plan_of(&cluster, &before).steps, []);
}

#[test]
fn a_copy_in_the_place_of_a_child_is_not_the_child() {
    let cluster = cluster(&json!({}));
    let mut before = carried_out(&plan_of(&cluster, &[]));
    let copy = find_mut(&mut before, Kind::ServiceAccount, "desk");
    (copy.owner, copy.fields) = (None, None);
    // Who is to make it finds that the name is taken.
    assert_eq!(short(&plan_of(&cluster, &before)), ["create ServiceAccount desk"]);
}

#[test]
fn a_write_over_something_names_what_it_means() {
    let wanted = &plan_of(&cluster(&json!({})), &[]).wanted[0];
    let value = wanted.over(&"uid-1".into(), 7);
    assert_eq!(
        (&value["metadata"]["uid"], &value["metadata"]["resourceVersion"]),
        (&json!("uid-1"), &json!("7"))
    );
}
