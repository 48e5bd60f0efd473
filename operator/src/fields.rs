//! Which fields of an object are the operator's, as the API server keeps the books of it (`managedFields`).
//!
//! Whoever changes a field that was applied takes it away from who applied it. So an object is as it was applied exactly as
//! long as all applied fields still belong to the operator: no value needs to be compared, and none of the ways in which a
//! server writes values differently (quantities, defaults) is mistaken for a change.
//!
//! Objects of one shape have the same books, down to the letter once the uid of the owner is left out. They are kept
//! once, however many objects there are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fundbond_crds::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

/// Fields of one object, as the tree that the API server tells.
#[derive(Clone, Debug)]
pub(crate) struct Fields(Arc<Value>);

impl Fields {
    /// Whether every field that `wanted` has is among them. What says nothing (null, `{}`, `[]`) is a field nowhere.
    pub(crate) fn cover(&self, wanted: &Value) -> bool {
        let Value::Object(wanted) = wanted else { return false };
        wanted.iter().all(|(name, value)| match (name.as_str(), value) {
            ("apiVersion" | "kind", _) => true,
            ("metadata", Value::Object(head)) => {
                let tree = &self.0["f:metadata"];
                let own = head.iter().filter(|(name, _)| !matches!(name.as_str(), "name" | "namespace"));
                own.into_iter().all(|(name, value)| has(tree, name, value))
            }
            _ => has(&self.0, name, value),
        })
    }

    /// Whether the field at `path` is among them.
    pub(crate) fn have(&self, path: &[&str]) -> bool {
        let mut tree = &*self.0;
        for name in path {
            match tree.get(format!("f:{name}")) {
                Some(below) => tree = below,
                None => return false,
            }
        }
        true
    }

    /// Whether it is the very same tree.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Whether `tree` has the field `name` with all that `value` says.
fn has(tree: &Value, name: &str, value: &Value) -> bool {
    says_nothing(value) || tree.get(format!("f:{name}")).is_some_and(|tree| covers(tree, value))
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn covers(tree: &Value, value: &Value) -> bool {
    let Value::Object(branches) = tree else { return false };
    // A leaf is owned as a whole, whatever it holds.
    if branches.is_empty() {
        return true;
    }
    match value {
        Value::Object(fields) => fields.iter().all(|(name, value)| has(tree, name, value)),
        Value::Array(items) => items.iter().all(|item| has_item(branches, item)),
        _ => true,
    }
}

/// A list that is merged has a branch for each item, under its keys (`k:{"name":"a"}`) or itself (`v:"a"`).
fn has_item(branches: &serde_json::Map<String, Value>, item: &Value) -> bool {
    branches.iter().any(|(branch, tree)| {
        if let Some(value) = branch.strip_prefix("v:") {
            return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
        }
        let Some(keys) = branch.strip_prefix("k:") else { return false };
        let Ok(Value::Object(keys)) = serde_json::from_str(keys) else { return false };
        // A key that the item does not have is one that the server filled in.
        keys.iter().all(|(key, value)| item.get(key).is_none_or(|item| item == value || is_owner(key, value)))
            && covers(tree, item)
    })
}

/// In the place of the uid of an owner, which is another one for every FundCluster.
const ANY: &str = "*";

fn is_owner(key: &str, value: &Value) -> bool {
    key == "uid" && value == ANY
}

/// Keeps each tree once.
#[derive(Debug, Default)]
pub(crate) struct Books {
    known: HashMap<Box<str>, Arc<Value>>,
    /// How many there may be before those that nobody uses any more are looked for.
    enough: usize,
}

impl Books {
    /// What the operator has applied of an object; none where it has nothing in it.
    pub(crate) fn applied(&mut self, entries: &[ManagedFieldsEntry]) -> Option<Fields> {
        let own = entries.iter().find(|entry| {
            entry.manager.as_deref() == Some(labels::OPERATOR)
                && entry.operation.as_deref() == Some("Apply")
                && entry.subresource.as_deref().unwrap_or_default().is_empty()
        })?;
        let mut tree = own.fields_v1.as_ref()?.0.clone();
        forget_owner(&mut tree);
        let text = tree.to_string().into_boxed_str();
        if let Some(known) = self.known.get(&text) {
            return Some(Fields(known.clone()));
        }
        if self.known.len() >= self.enough {
            self.known.retain(|_, tree| Arc::strong_count(tree) > 1);
            // So that looking is seldom, however many there are.
            self.enough = 2 * self.known.len() + 64;
        }
        let tree = Arc::new(tree);
        self.known.insert(text, tree.clone());
        Some(Fields(tree))
    }
}

fn forget_owner(tree: &mut Value) {
    let owners = tree.get_mut("f:metadata").and_then(|head| head.get_mut("f:ownerReferences"));
    if let Some(Value::Object(owners)) = owners {
        let kept: BTreeMap<String, Value> = std::mem::take(owners).into_iter().collect();
        owners.extend(kept.into_iter().map(|(branch, tree)| {
            if branch.starts_with("k:") { (format!("k:{{\"uid\":\"{ANY}\"}}"), tree) } else { (branch, tree) }
        }));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    fn entry(tree: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(labels::OPERATOR.to_owned()),
            operation: Some("Apply".to_owned()),
            fields_v1: Some(FieldsV1(tree)),
            ..ManagedFieldsEntry::default()
        }
    }

    fn fields(tree: Value) -> Fields {
        Books::default().applied(&[entry(tree)]).unwrap()
    }

    fn deployment() -> Fields {
        fields(json!({
            "f:metadata": {
                "f:labels": {"f:a": {}},
                "f:ownerReferences": {"k:{\"uid\":\"1-2\"}": {}},
            },
            "f:spec": {
                "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"main\"}": {
                        ".": {}, "f:name": {}, "f:image": {},
                        "f:ports": {"k:{\"containerPort\":9090,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:name": {}}},
                    },
                }}},
            },
        }))
    }

    fn wanted() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "n", "namespace": "ns", "labels": {"a": "1"}, "annotations": {},
                "ownerReferences": [{"uid": "other", "name": "c"}]},
            "spec": {
                "selector": {"matchLabels": {"a": "1"}},
                "template": {"spec": {"containers": [
                    {"name": "main", "image": "x", "ports": [{"containerPort": 9090, "name": "http"}], "env": []},
                ]}},
            },
        })
    }

    #[test]
    fn what_was_applied_and_not_touched_is_covered() {
        assert!(deployment().cover(&wanted()));
    }

    #[test]
    fn a_field_that_somebody_else_changed_is_not_covered() {
        for (pointer, value) in [
            ("/metadata/labels", json!({"a": "1", "b": "2"})),
            ("/spec/replicas", json!(3)),
            ("/spec/template/spec/containers/0/command", json!(["sh"])),
            ("/spec/template/spec/containers/0/name", json!("other")),
            ("/spec/template/spec/containers/0/ports/0/containerPort", json!(1)),
        ] {
            let mut wanted = wanted();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            wanted.pointer_mut(parent).unwrap()[name] = value;
            assert!(!deployment().cover(&wanted), "{pointer}");
        }
    }

    #[test]
    fn items_of_a_set_are_compared_by_value() {
        let fields = fields(json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}}}));
        assert!(fields.cover(&json!({"metadata": {"finalizers": ["a"]}})));
        assert!(!fields.cover(&json!({"metadata": {"finalizers": ["b"]}})));
    }

    #[test]
    fn a_path_is_found() {
        assert!(deployment().have(&["spec", "selector"]));
        assert!(!deployment().have(&["spec", "replicas"]));
    }

    #[test]
    fn only_what_the_operator_applied_itself_is_its_own() {
        let tree = || json!({"f:spec": {}});
        let mut updated = entry(tree());
        updated.operation = Some("Update".to_owned());
        let mut status = entry(tree());
        status.subresource = Some("status".to_owned());
        let mut other = entry(tree());
        other.manager = Some("kubectl".to_owned());
        assert!(Books::default().applied(&[updated, status, other]).is_none());
    }

    #[test]
    fn objects_of_one_shape_share_their_books_until_nobody_needs_them() {
        let mut books = Books::default();
        let owned = |uid: &str| {
            entry(json!({"f:metadata": {"f:ownerReferences": {format!("k:{{\"uid\":\"{uid}\"}}"): {}}}}))
        };
        let (one, two) = (books.applied(&[owned("1")]).unwrap(), books.applied(&[owned("2")]).unwrap());
        assert!(one.same(&two));
        drop((one, two));
        for number in 0..1_000 {
            books.applied(&[entry(json!({"f:data": {format!("f:{number}"): {}}}))]).unwrap();
        }
        assert!(books.known.len() <= 200, "{}", books.known.len());
    }
}
