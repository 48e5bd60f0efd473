//! Fields that the schema does not know, and fields that are null.

use fundbond_protocol::FieldProblem;
use serde_json::{Map, Value};

/// What every object has beside its own fields.
pub(super) const OF_EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The fields of `object` that nobody will read: a server drops them without a word, unless it is asked not to.
pub(super) fn fields(schema: &Value, object: &Value) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let Some(members) = object.as_object() else { return problems };
    for (name, value) in members {
        if OF_EVERY_OBJECT.contains(&name.as_str()) {
            continue;
        }
        match property(schema, name) {
            Some(below) => walk(below, value, name, &mut problems),
            None => problems.push(problem(schema, name, name)),
        }
    }
    problems
}

fn walk(schema: &Value, value: &Value, path: &str, problems: &mut Vec<FieldProblem>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let below = format!("{path}.{name}");
                if let Some(schema) = property(schema, name) {
                    walk(schema, value, &below, problems);
                } else if let Some(schema) = schema.get("additionalProperties") {
                    walk(schema, value, &below, problems);
                } else if schema.get("properties").is_some() {
                    problems.push(problem(schema, name, &below));
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter().enumerate() {
                walk(schema, item, &format!("{path}[{index}]"), problems);
            }
        }
        _ => {}
    }
}

fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

fn problem(schema: &Value, name: &str, path: &str) -> FieldProblem {
    let known = schema.get("properties").and_then(Value::as_object);
    let mut names: Vec<_> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    names.retain(|known| !OF_EVERY_OBJECT.contains(known));
    let message = match names.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => format!("unknown field; write `{known}`"),
        None => format!("unknown field; known here: {}", names.join(", ")),
    };
    FieldProblem { field: path.to_owned(), message }
}

/// Takes out what is null: for a server it is not there, and may have a default.
pub(super) fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            let below = |name: &str| property(schema, name).or_else(|| schema.get("additionalProperties"));
            members.retain(|name, value| !value.is_null() || below(name).is_none());
            for (name, value) in members {
                if let Some(below) = below(name) {
                    drop_nulls(below, value);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for item in items {
                drop_nulls(schema, item);
            }
        }
        _ => {}
    }
}
