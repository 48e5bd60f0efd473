//! What users do.

use fundbond_api_simulator::Hand;
use fundbond_crds::FundCluster;
use serde_json::{Value, json};

use super::world::FUNDS;

/// One thing that a user does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Create(&'static str, Value),
    Edit(&'static str, Value),
    Delete(&'static str),
}

impl Deed {
    pub(crate) fn be_done(&self, user: &Hand) {
        match self {
            Self::Create(name, spec) => {
                let object = json!({
                    "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
                    "metadata": {"name": name, "namespace": FUNDS}, "spec": spec,
                });
                user.create(&serde_json::from_value::<FundCluster>(object).unwrap()).map(drop).unwrap();
            }
            Self::Edit(name, spec) => {
                user.merge::<FundCluster>(FUNDS, name, &json!({"spec": spec})).map(drop).unwrap();
            }
            Self::Delete(name) => user.delete::<FundCluster>(FUNDS, name).unwrap(),
        }
    }
}

/// A name for each script, for whoever reads of a failure.
pub(crate) type Script = (&'static str, Vec<Deed>);

/// The smallest spec, with what `more` says.
pub(crate) fn spec(more: &Value) -> Value {
    let mut spec = json!({"route": {"value": "desk"}, "redis": {"url": "redis://redis:6379"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// Two shard groups, the second of so many pods.
pub(crate) fn groups(replicas: i32) -> Value {
    json!({"strategy": "ShardGroups", "shardGroups": {"groups": [
        {"name": "a", "users": {"from": 0, "to": 9}, "replicas": 2},
        {"name": "b", "users": {"from": 10, "to": 99}, "replicas": replicas},
    ]}})
}

/// The lives that a FundCluster may have.
pub(crate) fn scripts() -> Vec<Script> {
    use Deed::{Create, Delete, Edit};
    let small = || Create("desk", spec(&json!({})));
    let autoscaled = json!({"pods": {"autoscaling": {"minReplicas": 2, "maxReplicas": 6}}});
    vec![
        ("create", vec![small()]),
        ("everything", vec![Create("desk", spec(&autoscaled))]),
        ("scale", vec![small(), Edit("desk", json!({"pods": {"replicas": 5}}))]),
        ("autoscale", vec![small(), Edit("desk", autoscaled)]),
        (
            "strategy",
            vec![
                small(),
                Edit("desk", json!({"routing": groups(3)})),
                Edit("desk", json!({"routing": {"strategy": "ClientIP", "shardGroups": null}})),
            ],
        ),
        ("image", vec![small(), Edit("desk", json!({"image": "example.test/pod-service:2"}))]),
        ("route", vec![small(), Edit("desk", json!({"route": {"pathPrefix": "/v2", "default": true}}))]),
        (
            "pause",
            vec![
                small(),
                Edit("desk", json!({"paused": true})),
                Edit(
                    "desk",
                    json!({"paused": false, "pods": {"replicas": 4}, "networkPolicy": {"enabled": false}}),
                ),
            ],
        ),
        ("delete", vec![small(), Delete("desk")]),
        ("again", vec![small(), Delete("desk"), Create("desk", spec(&json!({"pods": {"replicas": 3}})))]),
        ("conflict", vec![small(), Create("rival", spec(&json!({}))), Delete("desk")]),
    ]
}
