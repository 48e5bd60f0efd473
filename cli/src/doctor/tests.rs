//! What a person reads, of systems in several states.

use std::collections::BTreeMap;

use fundbond_crds::definitions;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::{golden, render::Style};

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn labels(program: &str, instance: &str) -> Value {
    json!({"app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/name": program,
           "app.kubernetes.io/instance": instance, "app.kubernetes.io/version": env!("CARGO_PKG_VERSION")})
}

fn deployment(program: &str, wanted: i32, ready: i32) -> Deployment {
    object(json!({
        "metadata": {"name": format!("fundbond-{program}"), "namespace": "fundbond", "labels": labels(program, "fundbond")},
        "spec": {"replicas": wanted, "selector": {}, "template": {"spec": {"containers": [{"name": program, "env": [
            {"name": "FUND_NAMESPACE", "value": "fundbond"}, {"name": "FUND_LEASE_NAME", "value": "fundbond-operator"},
        ]}]}}},
        "status": {"readyReplicas": ready},
    }))
}

fn lease(renewed: &str) -> Lease {
    object(json!({
        "metadata": {"name": "fundbond-operator", "namespace": "fundbond"},
        "spec": {"holderIdentity": "fundbond-operator-6c9f7_0a1b2c3d", "leaseDurationSeconds": 15, "renewTime": renewed},
    }))
}

fn cluster(name: &str, ready: bool, reason: &str, more: &[(&str, &str)]) -> DynamicObject {
    let is = if ready { "True" } else { "False" };
    let mut conditions = vec![("Ready", is)];
    conditions.extend(more);
    let conditions: Vec<_> = conditions
        .into_iter()
        .map(|(about, is)| {
            json!({"type": about, "status": is, "reason": reason, "message": format!("it is so because of {reason}"),
                   "lastTransitionTime": "2026-11-22T11:00:00Z"})
        })
        .collect();
    object(json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": name, "namespace": "funds", "generation": 1},
        "spec": {"route": {"header": "X-Cluster-Route", "value": name},
                 "redis": {"url": "redis://redis:6379", "credentialsSecret": {"name": "redis-auth"}}},
        "status": {"observedGeneration": 1, "conditions": conditions,
                   "gateways": {"generation": 3, "acknowledged": 1, "gateways": if ready { 1 } else { 2 }}},
    }))
}

fn route(name: &str) -> GatewayRoute {
    object(json!({
        "metadata": {"name": name, "namespace": "funds"},
        "spec": {"generation": 3, "match": {"value": name}, "proxy": {"name": format!("{name}-proxy"), "port": 8080},
                 "pods": [{"service": {"name": format!("{name}-pods"), "port": 9090}}]},
    }))
}

fn slice(service: &str, ready: &[bool]) -> EndpointSlice {
    let endpoints: Vec<_> = ready
        .iter()
        .map(|ready| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}))
        .collect();
    object(json!({
        "metadata": {"name": format!("{service}-x"), "namespace": "funds", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [],
    }))
}

fn pod(name: &str, container: Value) -> Pod {
    let mut status = json!({"name": "pod-service", "image": "ghcr.io/fundbond/pod-service:0.1.0", "imageID": "",
                            "ready": false, "restartCount": 7});
    status.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    object(json!({
        "metadata": {"name": name, "namespace": "funds", "labels": labels("pod-service", "desk")},
        "status": {"containerStatuses": [status]},
    }))
}

fn autoscaler(active: &str) -> HorizontalPodAutoscaler {
    object(json!({
        "metadata": {"name": "desk-pods", "namespace": "funds"},
        "spec": {"maxReplicas": 10, "scaleTargetRef": {"kind": "Deployment", "name": "desk-pods"}},
        "status": {"desiredReplicas": 2, "conditions": [{
            "type": "ScalingActive", "status": active, "reason": "FailedGetResourceMetric",
            "message": "the HPA was unable to compute the replica count: no metrics returned from resource metrics API",
        }]},
    }))
}

fn installed() -> Vec<Look<Option<CustomResourceDefinition>>> {
    let established = |mut definition: CustomResourceDefinition| {
        definition.status = object(json!({
            "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": [],
            "conditions": [{"type": "Established", "status": "True"}],
        }));
        Ok(Some(definition))
    };
    definitions::definitions().map(established).to_vec()
}

fn table(routes: &[&str]) -> RouteTable {
    let routes: Vec<_> = routes
        .iter()
        .map(|name| json!({"name": format!("funds/{name}"), "header": "x-cluster-route", "value": name}))
        .collect();
    object(json!({"generation": 5, "routes": routes}))
}

/// Everything as it should be.
fn well() -> Seen {
    Seen {
        kubectl: "kubectl".to_owned(),
        program: "fundctl".to_owned(),
        server: "https://10.0.0.1:6443".to_owned(),
        version: Ok(Version { major: "1".into(), minor: "36".into(), whole: "v1.36.4".into() }),
        here: time("2026-11-22T12:00:00.4Z"),
        there: Some(time("2026-11-22T12:00:00Z")),
        definitions: installed(),
        deployments: Ok(vec![deployment("operator", 2, 2), deployment("gateway", 2, 2)]),
        leases: BTreeMap::from([(
            ("fundbond".to_owned(), "fundbond-operator".to_owned()),
            Ok(Some(lease("2026-11-22T11:59:58.000000Z"))),
        )]),
        clusters: Ok(vec![cluster("desk", true, "AllReady", &[])]),
        secrets: BTreeMap::from([(("funds".to_owned(), "redis-auth".to_owned()), Ok(true))]),
        routes: Ok(vec![route("desk")]),
        slices: Ok(vec![slice("desk-proxy", &[true, false]), slice("desk-pods", &[true])]),
        tables: BTreeMap::from([(
            ("fundbond".to_owned(), "fundbond-gateway-1".to_owned()),
            Ok(table(&["desk"])),
        )]),
        pods: Ok(vec![pod("desk-pods-1", json!({"state": {"running": {}}}))]),
        autoscalers: Ok(vec![autoscaler("True")]),
    }
}

fn check(name: &str, seen: &Seen) {
    let findings = findings(seen);
    let text = text(&findings, Some(80), Style::PLAIN);
    for line in text.lines() {
        let is_command = line.starts_with("      next: ") || line.starts_with("      see:  ");
        assert!(is_command || line.chars().count() <= 80, "{line}");
    }
    assert!(
        findings.iter().all(|it| it.level == Level::Ok || !it.next.is_empty()),
        "each says what is next: {findings:#?}"
    );
    golden::check(name, &format!("{text}-- {}\n", summary(&findings)));
}

#[test]
fn a_system_that_is_well_is_told_in_a_line_a_check() {
    check("doctor.well.txt", &well());
}

#[test]
fn a_server_without_the_product_is_told_what_to_install() {
    let mut seen = well();
    let unknown = Blind {
        why: "cannot list fundclusters.fundbond.dev: the API server https://10.0.0.1:6443 does not know \
              fundclusters.fundbond.dev"
            .to_owned(),
        next: "helm install fundbond-crds charts/fundbond-crds --namespace fundbond --create-namespace"
            .to_owned(),
    };
    seen.definitions = vec![Ok(None), Ok(None)];
    (seen.deployments, seen.leases) = (Ok(Vec::new()), BTreeMap::new());
    (seen.clusters, seen.secrets, seen.routes) = (Err(unknown.clone()), BTreeMap::new(), Err(unknown));
    (seen.slices, seen.pods, seen.autoscalers) = (Ok(Vec::new()), Ok(Vec::new()), Ok(Vec::new()));
    seen.tables = BTreeMap::new();
    check("doctor.empty.txt", &seen);
}

#[test]
fn every_trouble_is_told_with_what_to_do() {
    let mut seen = well();
    seen.version = Ok(Version { major: "1".into(), minor: "27+".into(), whole: "v1.27.9-provider".into() });
    seen.here = time("2026-11-22T12:01:30Z");
    let mut old = definitions::fund_cluster();
    let properties = old.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
    let spec = properties.properties.as_mut().unwrap().get_mut("spec").unwrap();
    spec.properties.as_mut().unwrap().remove("paused");
    spec.description = Some("as it was".to_owned());
    old.status = installed()[0].as_ref().unwrap().as_ref().unwrap().status.clone();
    seen.definitions[0] = Ok(Some(old));
    seen.definitions[1] = Ok(Some(definitions::gateway_route()));
    let mut operator = deployment("operator", 2, 1);
    operator.metadata.labels.as_mut().unwrap().insert("app.kubernetes.io/version".into(), "0.0.9".into());
    seen.deployments = Ok(vec![operator, deployment("gateway", 2, 0)]);
    let place = ("fundbond".to_owned(), "fundbond-operator".to_owned());
    seen.leases = BTreeMap::from([(place, Ok(Some(lease("2026-11-22T11:57:00.000000Z"))))]);
    seen.clusters = Ok(vec![
        cluster("desk", false, "PodsMissing", &[("Degraded", "True")]),
        cluster("pension", false, "PodsStarting", &[]),
        cluster("hedge", false, "InvalidSpec", &[("Stalled", "True")]),
        cluster("copy", false, "RouteConflict", &[("Stalled", "True")]),
        cluster("lost", true, "AllReady", &[]),
        cluster("calm", true, "Paused", &[("Paused", "True")]),
    ]);
    seen.secrets.insert(("funds".to_owned(), "redis-auth".to_owned()), Ok(false));
    seen.routes = Ok(vec![route("desk"), route("calm")]);
    seen.slices = Ok(vec![slice("desk-proxy", &[true]), slice("desk-pods", &[false, false])]);
    let mut refusing = table(&["desk"]);
    refusing.last_error = Some("funds/calm: timeouts.idle must be above zero".to_owned());
    let naming = RouteTable {
        refused: BTreeMap::from([("funds/calm".to_owned(), "timeouts.idle must be above zero".to_owned())]),
        ..refusing.clone()
    };
    let gateway = |number| ("fundbond".to_owned(), format!("fundbond-gateway-{number}"));
    seen.tables = BTreeMap::from([(gateway(1), Ok(refusing)), (gateway(2), Ok(naming))]);
    let crashing = json!({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                          "lastState": {"terminated": {"exitCode": 64, "reason": "Error"}}});
    let pulling = json!({"image": "registry.example.com/pod-service:9",
                         "state": {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}});
    let killed = json!({"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
    let mut waiting = pod("desk-pods-6", json!({}));
    waiting.status = object(json!({"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }]}));
    seen.pods = Ok(vec![
        pod("desk-pods-1", crashing),
        pod("desk-pods-2", pulling.clone()),
        pod("desk-pods-3", pulling.clone()),
        pod("desk-pods-4", pulling),
        pod("desk-pods-5", killed),
        waiting,
        pod("desk-pods-7", json!({"state": {"waiting": {"reason": "ContainerCreating"}}})),
    ]);
    seen.autoscalers = Ok(vec![autoscaler("False")]);
    check("doctor.ill.txt", &seen);
}

#[test]
fn what_may_not_be_looked_at_is_said() {
    let mut seen = well();
    let blind = |what: &str| Blind {
        why: format!(
            "may not list {what}: {what} is forbidden: User \"eve\" cannot list resource \"{what}\""
        ),
        next: format!("kubectl auth can-i list {what} -A"),
    };
    seen.there = None;
    seen.definitions = vec![Err(blind("customresourcedefinitions.apiextensions.k8s.io")); 2];
    seen.deployments = Err(blind("deployments.apps"));
    seen.leases = BTreeMap::new();
    seen.secrets.insert(("funds".to_owned(), "redis-auth".to_owned()), Err(blind("secrets")));
    seen.slices = Err(blind("endpointslices.discovery.k8s.io"));
    let gateway = ("fundbond".to_owned(), "fundbond-gateway-1".to_owned());
    seen.tables = BTreeMap::from([(gateway, Err(blind("pods/proxy")))]);
    seen.pods = Err(blind("pods"));
    seen.autoscalers = Err(blind("horizontalpodautoscalers.autoscaling"));
    check("doctor.blind.txt", &seen);
    assert!(findings(&seen).iter().all(|it| it.level <= Level::Unknown));
}

#[test]
fn without_a_server_nothing_else_is_judged() {
    let mut seen = well();
    seen.version = Err(Blind {
        why: "cannot get version: cannot reach the API server https://10.0.0.1:6443: connection refused"
            .to_owned(),
        next: "kubectl get --raw /readyz".to_owned(),
    });
    let findings = findings(&seen);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].level, findings[0].check), (Level::Fail, "server"));
}

#[test]
fn a_lease_is_told_by_the_variables_of_its_operator() {
    assert_eq!(lease_of(&deployment("operator", 1, 1)).1, "fundbond-operator");
    let mut moved = deployment("operator", 1, 1);
    let pod = moved.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.containers[0].env.as_mut().unwrap()[1].value = Some("other".to_owned());
    assert_eq!(lease_of(&moved), ("fundbond".to_owned(), "other".to_owned()));
    moved.spec.as_mut().unwrap().template.spec.as_mut().unwrap().containers[0].env = None;
    assert_eq!(lease_of(&moved), ("fundbond".to_owned(), "fundbond-operator".to_owned()));
}

#[test]
fn a_gateway_needs_no_route_of_a_namespace_that_it_does_not_watch() {
    let missing = |seen: &Seen| {
        let found = findings(seen);
        found.iter().filter(|it| it.what.contains("does not have the route of")).count()
    };
    let mut seen = well();
    let mut elsewhere = route("bonds");
    elsewhere.metadata.namespace = Some("bonds".to_owned());
    seen.routes.as_mut().unwrap().push(elsewhere);
    assert_eq!(missing(&seen), 1);
    let gateway = &mut seen.deployments.as_mut().unwrap()[1];
    let pod = gateway.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    let watched = object(json!({"name": "FUND_WATCH_NAMESPACES", "value": "funds,other"}));
    pod.containers[0].env.as_mut().unwrap().push(watched);
    assert_eq!(missing(&seen), 0);
}

#[test]
fn a_runbook_that_is_named_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
    for name in [
        "FundbondOperatorAbsent",
        "FundbondOperatorWithoutLeader",
        "FundbondRouteWithoutEndpoints",
        "FundbondRoutesRefused",
    ] {
        assert!(folder.join(format!("{name}.md")).is_file(), "{name}");
    }
}
