//! FundClusters and children for tests.

use fundbond_crds::{FundCluster, labels};
use fundbond_desired::Site;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value, json};

use crate::{
    fields::Books,
    seen::{Detail, Rollout, Seen, Whole},
    wanted::Wanted,
};

pub(crate) fn site() -> Site {
    Site {
        registry: "example.test".into(),
        version: "1".into(),
        gateway_networks: vec![],
        runbooks: "https://runbooks.test".into(),
    }
}

/// The smallest FundCluster, with what `more` says of its spec.
pub(crate) fn cluster(more: &Value) -> FundCluster {
    let mut spec = json!({"route": {"value": "desk"}, "redis": {"url": "redis://redis:6379"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": "desk", "namespace": "funds", "uid": "uid-desk", "generation": 1},
        "spec": spec,
    }))
    .unwrap()
}

/// What is seen of an object after it was applied and nobody touched it.
pub(crate) fn applied(wanted: &Wanted, version: u64) -> Seen {
    seen(wanted, version, &tree(&wanted.value))
}

/// What is seen of it where the books say this.
pub(crate) fn seen(wanted: &Wanted, version: u64, fields: &Value) -> Seen {
    let mut value = wanted.value.clone();
    value["metadata"]["uid"] = format!("uid-{}-{}", wanted.kind.as_str(), wanted.name).into();
    value["metadata"]["resourceVersion"] = version.to_string().into();
    value["metadata"]["managedFields"] = serde_json::to_value([ManagedFieldsEntry {
        manager: Some(labels::OPERATOR.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields.clone())),
        ..ManagedFieldsEntry::default()
    }])
    .unwrap();
    let whole: Whole = serde_json::from_value(value).unwrap();
    Seen::of(wanted.kind, &whole, &mut Books::default()).unwrap().1
}

/// The books of somebody who applied `value` alone, with every list as one.
pub(crate) fn tree(value: &Value) -> Value {
    let Value::Object(fields) = value else { return json!({}) };
    let branches = fields.iter().map(|(name, value)| (format!("f:{name}"), tree(value)));
    Value::Object(branches.collect::<Map<_, _>>())
}

/// As many pods as wanted, all of them ready.
pub(crate) fn done(seen: &mut [Seen]) {
    for seen in seen {
        if let Detail::Rollout(rollout) = &mut seen.detail {
            let wanted = rollout.wanted;
            **rollout = Rollout {
                total: wanted,
                updated: wanted,
                ready: wanted,
                available: wanted,
                observed: rollout.generation,
                ..(**rollout).clone()
            };
        }
    }
}
