//! Which objects come, go and change, and in which fields.

use fundbond_desired::Child;
use serde::Serialize;
use serde_json::{Map, Value};

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// It stays, and says something else.
    Changed,
}

/// What a change of an object brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Its pods are made anew.
    Rolls,
    /// Its pods read it while they run.
    Live,
    /// Gateways and proxies follow it at once.
    Routes,
}

/// An object that comes, goes or changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildChange {
    /// Which of the three.
    pub action: Action,
    /// What it is.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What that brings about, where it is more than the object itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Its fields that change.
    pub fields: Vec<FieldChange>,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Which.
    pub field: String,
    /// What it says now; nothing where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What it will say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// What is different, in the order in which objects are applied; what goes comes last.
pub fn compare(old: &[Child], new: &[Child]) -> Vec<ChildChange> {
    let same = |one: &Child, other: &Child| one.kind() == other.kind() && one.name() == other.name();
    let mut changes = Vec::new();
    for after in new {
        match old.iter().find(|before| same(before, after)) {
            None => changes.push(whole(Action::Added, after)),
            Some(before) if before != after => changes.push(changed(before, after)),
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|before| !new.iter().any(|after| same(before, after)));
    changes.extend(gone.map(|before| whole(Action::Removed, before)));
    changes
}

fn whole(action: Action, child: &Child) -> ChildChange {
    ChildChange {
        action,
        kind: child.kind(),
        name: child.name().to_owned(),
        effect: None,
        fields: Vec::new(),
    }
}

fn changed(before: &Child, after: &Child) -> ChildChange {
    let mut fields = Vec::new();
    walk("", Some(&before.to_value()), Some(&after.to_value()), &mut fields);
    let effect = match (before, after) {
        (Child::Deployment(before), Child::Deployment(after)) => {
            let template = |deployment: &k8s_openapi::api::apps::v1::Deployment| {
                deployment.spec.as_ref().map(|spec| spec.template.clone())
            };
            (template(before) != template(after)).then_some(Effect::Rolls)
        }
        // What pods read once is in the hash of their template, which then changes, too.
        (Child::ConfigMap(_), Child::ConfigMap(map)) => {
            let live = map.data.iter().flatten().any(|(file, _)| file.contains('.'));
            live.then_some(Effect::Live)
        }
        (Child::GatewayRoute(_), _) => Some(Effect::Routes),
        _ => None,
    };
    ChildChange { action: Action::Changed, kind: after.kind(), name: after.name().to_owned(), effect, fields }
}

fn walk(path: &str, old: Option<&Value>, new: Option<&Value>, fields: &mut Vec<FieldChange>) {
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (old, new) else {
        return fields.push(FieldChange { field: path.to_owned(), old: old.cloned(), new: new.cloned() });
    };
    if let (Some(before), Some(after)) = (members(before), members(after)) {
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            walk(&below(path, name), before.get(name), after.get(name), fields);
        }
    } else if let (Some(before), Some(after)) = (named(before), named(after)) {
        let mut names: Vec<&str> = before.iter().chain(&after).map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let find = |list: &[(&str, &Value)], wanted| {
            list.iter().find(|(name, _)| *name == wanted).map(|(_, v)| (*v).clone())
        };
        for name in names {
            walk(
                &format!("{path}[{name}]"),
                find(&before, name).as_ref(),
                find(&after, name).as_ref(),
                fields,
            );
        }
    } else {
        fields.push(FieldChange { field: path.to_owned(), old: old.cloned(), new: new.cloned() });
    }
}

/// The members of an object, or of a file of settings that a ConfigMap holds as text.
fn members(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members.clone()),
        Value::String(text) if text.contains('\n') => yaml_serde::from_str(text).ok(),
        _ => None,
    }
}

/// A list of objects with names, which are what they are known by.
fn named(value: &Value) -> Option<Vec<(&str, &Value)>> {
    let items = value.as_array()?;
    items.iter().map(|item| Some((item.get("name")?.as_str()?, item))).collect()
}

/// A name that has dots of its own stands in brackets.
fn below(path: &str, name: &str) -> String {
    match (path, name.contains(['.', '/'])) {
        ("", _) => name.to_owned(),
        (path, true) => format!("{path}[{name}]"),
        (path, false) => format!("{path}.{name}"),
    }
}
