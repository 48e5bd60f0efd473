//! What a lease says, and how little of it a candidate changes.
//!
//! The object is kept as it came, and not as a type that knows its fields today: a field that the type does not know would
//! be deleted by the next renewal.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

use crate::{Version, names::Owner};

const HOLDER: &str = "holderIdentity";
const DURATION: &str = "leaseDurationSeconds";
const ACQUIRED: &str = "acquireTime";
const RENEWED: &str = "renewTime";
const TRANSITIONS: &str = "leaseTransitions";

/// Which writing it is; the text where it is no number.
pub fn version(object: &DynamicObject) -> Result<Version, String> {
    let text = object.metadata.resource_version.as_deref().unwrap_or_default();
    text.parse().map(Version).map_err(|_| text.to_owned())
}

/// Who holds it. Kubernetes' own candidates give a lease back by an empty name.
pub fn holder(object: &DynamicObject) -> Option<String> {
    let name = object.data.get("spec")?.get(HOLDER)?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// A lease that is not there yet, which goes with its owner. Only one that is made gets it: to change the owner of what is
/// there, some servers want the right to delete it.
pub fn new(
    name: &str,
    owner: Option<&Owner>,
    holder: Option<&str>,
    lasts: Duration,
    now: Timestamp,
) -> DynamicObject {
    let mut object = DynamicObject::new(name, &ApiResource::erase::<Lease>(&())).data(json!({}));
    object.metadata.owner_references = owner.map(|owner| {
        vec![OwnerReference {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            ..OwnerReference::default()
        }]
    });
    with_holder(object, holder, lasts, now)
}

/// The same lease as `holder` writes it, who has it for `lasts`. The times are for people: nobody here ever reads one.
pub fn with_holder(
    mut object: DynamicObject,
    holder: Option<&str>,
    lasts: Duration,
    now: Timestamp,
) -> DynamicObject {
    let before = self::holder(&object);
    let spec = spec(&mut object.data);
    let transitions = spec.get(TRANSITIONS).and_then(Value::as_i64);
    // A lease that never had a holder comes to its first one without a change.
    let transitions = match (transitions, before.as_deref() == holder || holder.is_none()) {
        (None, _) => 0,
        (Some(count), true) => count,
        (Some(count), false) => count.saturating_add(1),
    };
    // A replacement by the same is none for the server, and leaves the version as it was.
    let text = micros(now);
    let same = spec.get(RENEWED).and_then(Value::as_str) == Some(&*text);
    let time = if same { micros(now + SignedDuration::from_micros(1)) } else { text };
    // As Kubernetes' own candidates leave it: nobody's, and not to be waited for.
    let seconds = if holder.is_some() { lasts.as_secs().max(1) } else { 1 };
    if before.as_deref() != holder || !spec.contains_key(ACQUIRED) {
        spec.insert(ACQUIRED.into(), time.clone().into());
    }
    spec.insert(RENEWED.into(), time.into());
    spec.insert(HOLDER.into(), holder.unwrap_or_default().into());
    spec.insert(DURATION.into(), seconds.into());
    spec.insert(TRANSITIONS.into(), transitions.into());
    object
}

/// A time as Kubernetes writes it: with six digits behind the second, neither more nor fewer.
fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// What the lease specifies; nothing, where it says nothing that can be read.
fn spec(data: &mut Value) -> &mut Map<String, Value> {
    if !data.is_object() {
        *data = json!({});
    }
    let Value::Object(fields) = data else { unreachable!("it was made one") };
    let spec = fields.entry("spec").or_insert_with(|| json!({}));
    if !spec.is_object() {
        *spec = json!({});
    }
    let Value::Object(spec) = spec else { unreachable!("it was made one") };
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn spec_of(object: &DynamicObject) -> &Value {
        &object.data["spec"]
    }

    #[test]
    fn a_lease_that_is_made_goes_with_its_owner() {
        let owner: Owner = "fundbond.dev/v1alpha1/FundCluster/k/0a1b-2c".parse().unwrap();
        let made = new("k-housekeeper", Some(&owner), None, LASTS, at(0));
        let owners = serde_json::to_value(made.metadata.owner_references).unwrap();
        let expected = json!([{"apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster", "name": "k", "uid": "0a1b-2c"}]);
        assert_eq!(owners, expected);
        for bad in ["", "FundCluster/k/0a1b", "fundbond.dev/v1alpha1/FundCluster/k/", "a/b/c/d/e/f"] {
            assert!(
                bad.parse::<Owner>().unwrap_err().to_string().contains("GROUP/VERSION/KIND/NAME/UID"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_lease_says_for_people_who_leads_and_since_when() {
        let made = new("k-housekeeper", None, Some("a"), LASTS, at(0));
        let expected = json!({
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2027-01-15T08:00:00.000000Z",
            "renewTime": "2027-01-15T08:00:00.000000Z",
            "leaseTransitions": 0,
        });
        assert_eq!(*spec_of(&made), expected);
        let renewed = with_holder(made, Some("a"), LASTS, at(2));
        let expected = json!({
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2027-01-15T08:00:00.000000Z",
            "renewTime": "2027-01-15T08:00:02.000000Z",
            "leaseTransitions": 0,
        });
        assert_eq!(*spec_of(&renewed), expected);
        let taken = with_holder(renewed, Some("b"), LASTS, at(20));
        assert_eq!(spec_of(&taken)["acquireTime"], "2027-01-15T08:00:20.000000Z");
        assert_eq!(spec_of(&taken)["leaseTransitions"], 1);
    }

    #[test]
    fn a_lease_is_given_back_as_kubernetes_own_candidates_do() {
        let given = with_holder(new("l", None, Some("a"), LASTS, at(0)), None, LASTS, at(4));
        assert_eq!(holder(&given), None);
        let expected = json!({
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": "2027-01-15T08:00:04.000000Z",
            "renewTime": "2027-01-15T08:00:04.000000Z",
            "leaseTransitions": 0,
        });
        assert_eq!(*spec_of(&given), expected);
        let taken = with_holder(given, Some("a"), LASTS, at(5));
        assert_eq!(spec_of(&taken)["leaseTransitions"], 1);
        assert_eq!(spec_of(&taken)["leaseDurationSeconds"], 15);
        assert_eq!(holder(&taken).as_deref(), Some("a"));
    }

    #[test]
    fn no_two_writings_of_a_lease_are_the_same() {
        let made = new("l", None, Some("a"), LASTS, at(0));
        let again = with_holder(made.clone(), Some("a"), LASTS, at(0));
        assert_ne!(
            spec_of(&made),
            spec_of(&again),
            "the server would take it for nothing and keep the version"
        );
        let renewed = |object: &DynamicObject| spec_of(object)["renewTime"].as_str().unwrap().to_owned();
        assert!(renewed(&again) > renewed(&made), "and a later one says that it is later");
    }

    #[test]
    fn what_others_wrote_stays() {
        let read = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": "l", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": {"app": "x"}, "annotations": {"note": "y"}, "finalizers": ["example.com/z"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "q"}],
            },
            "spec": {"holderIdentity": "a", "strategy": "OldestEmulationVersion", "ofTomorrow": {"deep": [1]}},
            "status": {"ofTomorrow": true},
        });
        let object: DynamicObject = serde_json::from_value(read.clone()).unwrap();
        assert_eq!(version(&object), Ok(Version(7)));
        let written = serde_json::to_value(with_holder(object, Some("b"), LASTS, at(0))).unwrap();
        for kept in ["/metadata", "/status", "/kind", "/spec/strategy", "/spec/ofTomorrow"] {
            assert_eq!(written.pointer(kept), read.pointer(kept), "{kept}");
        }
        assert_eq!(written["spec"]["holderIdentity"], "b");
    }

    #[test]
    fn a_lease_that_says_nothing_belongs_to_nobody() {
        for data in [json!({}), json!({"spec": null}), json!({"spec": {"holderIdentity": null}}), json!(null)]
        {
            let object = DynamicObject::new("l", &ApiResource::erase::<Lease>(&())).data(data.clone());
            assert_eq!(holder(&object), None, "{data}");
            assert_eq!(holder(&with_holder(object, Some("a"), LASTS, at(0))).as_deref(), Some("a"), "{data}");
        }
    }

    #[test]
    fn a_version_that_is_no_number_is_told() {
        let mut object = new("l", None, None, LASTS, at(0));
        assert_eq!(version(&object), Err(String::new()));
        object.metadata.resource_version = Some("7a".into());
        assert_eq!(version(&object), Err("7a".into()));
    }
}
