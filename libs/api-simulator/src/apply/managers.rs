//! Who wrote which fields: `metadata.managedFields`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::Fields;

/// How somebody came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// Somebody, and the fields that are theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manager {
    pub(crate) api_version: String,
    #[serde(default = "field_type")]
    pub(crate) fields_type: Cow<'static, str>,
    #[serde(rename = "fieldsV1", default)]
    pub(crate) fields: Fields,
    #[serde(rename = "manager", default)]
    pub(crate) name: String,
    pub(crate) operation: Operation,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) subresource: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) time: String,
}

fn field_type() -> Cow<'static, str> {
    "FieldsV1".into()
}

impl Manager {
    pub(crate) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        // Who sends no name has this one.
        let name = if name.is_empty() { "unknown" } else { name };
        Self {
            api_version: api_version.to_owned(),
            fields_type: field_type(),
            fields: Fields::default(),
            name: name.to_owned(),
            operation,
            subresource: subresource.to_owned(),
            time: String::new(),
        }
    }

    /// Whether it is the same one: an applier is so whatever version it speaks.
    pub(crate) fn is(&self, other: &Manager) -> bool {
        self.name == other.name
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// As conflicts tell it.
    pub(crate) fn told(&self) -> String {
        let name = Value::from(self.name.as_str());
        let subresource = match self.subresource.as_str() {
            "" => String::new(),
            subresource => format!(" with subresource \"{subresource}\""),
        };
        match self.operation {
            Operation::Apply => format!("{name}{subresource}"),
            Operation::Update if self.time.is_empty() => {
                format!("{name}{subresource} using {}", self.api_version)
            }
            Operation::Update => format!("{name}{subresource} using {} at {}", self.api_version, self.time),
        }
    }
}

/// Those of an object.
pub(crate) type Managers = Vec<Manager>;

/// Reads them, and nothing where they are not as they should be, which is what the server makes of that.
pub(crate) fn read(value: Option<Value>) -> Option<Managers> {
    let mut managers: Managers = serde_json::from_value(value?).ok()?;
    for manager in &mut managers {
        // An empty set is written like the place alone.
        manager.fields.here = false;
    }
    Some(managers)
}

/// Writes them, in the server's order.
pub(crate) fn written(mut managers: Managers) -> Value {
    managers.sort_by(|a, b| {
        let key = |manager: &Manager| {
            (manager.operation, manager.time.clone(), manager.name.clone(), manager.subresource.clone())
        };
        key(a).cmp(&key(b))
    });
    serde_json::to_value(managers).unwrap_or_default()
}

/// Whether they are the same but for when.
pub(crate) fn same(some: &Managers, others: &Managers) -> bool {
    some.len() == others.len()
        && some.iter().all(|one| others.iter().any(|other| one.is(other) && one.fields == other.fields))
}
