//! Good and bad objects, and what is said of them without a server. What a server says is in `server`.

use fundbond_crds::{
    FundCluster,
    check::Checker,
    definitions::{fund_cluster, gateway_route},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::definitions::refusals;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) was: Option<Value>,
    pub(crate) write: Value,
    #[serde(default)]
    pub(crate) field: Option<String>,
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

impl Row {
    /// Whether what was said of which field is what the row says.
    pub(crate) fn is_right<'a>(&self, said: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let mut said = said.into_iter();
        match (&self.field, &self.refused) {
            (Some(field), Some(refused)) => {
                said.any(|(of, message)| of == field && message.contains(&**refused))
            }
            (None, None) => said.next().is_none(),
            _ => panic!("{}: `field` and `refused` belong together", self.name),
        }
    }
}

pub(crate) fn rows() -> Vec<Row> {
    yaml_serde::from_str(include_str!("../verdicts.yaml")).unwrap()
}

pub(crate) fn smallest() -> Value {
    json!({
        "apiVersion": "fundbond.dev/v1alpha1",
        "kind": "FundCluster",
        "metadata": {"name": "cluster1", "namespace": "funds"},
        "spec": {"route": {"value": "cluster1"}, "redis": {"url": "redis://redis:6379"}},
    })
}

/// RFC 7396.
pub(crate) fn merged(mut object: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    if !object.is_object() {
        object = json!({});
    }
    let members = object.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            let before = members.remove(name).unwrap_or_default();
            members.insert(name.clone(), merged(before, value));
        }
    }
    object
}

#[test]
fn every_object_gets_its_verdict() {
    let mut wrong = Vec::new();
    let checker = Checker::of(&fund_cluster());
    for row in rows() {
        let object = merged(smallest(), &row.write);
        let old = row.was.as_ref().map(|was| merged(smallest(), was));
        let problems = checker.check(&object, old.as_ref());
        let said = problems.iter().map(|problem| (&*problem.field, &*problem.message));
        if !row.is_right(said) {
            wrong.push(format!("{}: {problems:#?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// A rule without a bad object has never been seen to refuse anything.
#[test]
fn every_rule_refuses_something() {
    let crd = serde_json::to_value(fund_cluster()).unwrap();
    let all = refusals(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
    assert!(all.len() > 25, "{}", all.len());
    let checker = Checker::of(&fund_cluster());
    let said: Vec<_> = rows()
        .into_iter()
        .filter(|row| row.refused.is_some())
        .flat_map(|row| {
            let old = row.was.as_ref().map(|was| merged(smallest(), was));
            checker.check(&merged(smallest(), &row.write), old.as_ref())
        })
        .map(|problem| problem.message)
        .collect();
    let never: Vec<_> = all.iter().filter(|message| !said.contains(message)).collect();
    // Bounds that only keep nonsense away.
    let known = [
        "housekeeping.healthInterval must be 1s or longer",
        "housekeeping.retryPeriod must be 100ms or longer",
        "pods.drain.gracePeriod must be 1s or longer",
    ];
    let never: Vec<_> = never.into_iter().filter(|message| !known.contains(&message.as_str())).collect();
    assert!(never.is_empty(), "{never:#?}");
}

#[test]
fn an_unknown_field_that_is_nearly_known_is_named() {
    let object = merged(smallest(), &json!({"spec": {"pods": {"maxstreams": 5}}}));
    let problems = Checker::of(&fund_cluster()).check(&object, None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(
        (&*problems[0].field, &*problems[0].message),
        ("spec.pods.maxstreams", "unknown field; write `maxStreams`")
    );
}

#[test]
fn what_is_written_with_every_default_is_the_smallest_object() {
    let cluster: FundCluster = serde_json::from_value(smallest()).unwrap();
    let whole = serde_json::to_value(&cluster).unwrap();
    assert_eq!(Checker::of(&fund_cluster()).check(&whole, None), []);
    let spec = &whole["spec"];
    assert_eq!(spec["pods"]["replicas"], 2);
    assert_eq!(spec["pods"]["maxStreamAge"], "30m");
    assert_eq!(spec["housekeeping"]["nodeTimeout"], "30s");
    assert_eq!(spec["routing"]["strategy"], "RoundRobin");
    assert_eq!(serde_json::from_value::<FundCluster>(whole.clone()).unwrap(), cluster);
}

pub(crate) fn route() -> Value {
    json!({
        "apiVersion": "fundbond.dev/v1alpha1",
        "kind": "GatewayRoute",
        "metadata": {"name": "cluster1", "namespace": "funds"},
        "spec": {
            "generation": 1,
            "match": {"value": "cluster1"},
            "proxy": {"name": "cluster1-proxy", "port": 8080},
            "pods": [{"service": {"name": "cluster1-pods-headless", "port": 9090}}],
        },
    })
}

#[test]
fn a_route_as_the_operator_writes_it_is_taken() {
    let checker = Checker::of(&gateway_route());
    assert_eq!(checker.check(&route(), None), []);
    assert!(!checker.check(&merged(route(), &json!({"spec": {"pods": null}})), None).is_empty());
}

#[test]
fn the_example_is_taken() {
    let example: Value = yaml_serde::from_str(include_str!("../../../examples/fundcluster.yaml")).unwrap();
    assert_eq!(Checker::of(&fund_cluster()).check(&example, None), []);
}
