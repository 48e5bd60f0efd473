//! What to write instead: from what was said, what was written and what the schema knows of the field.

use fundbond_protocol::FieldProblem;
use serde_json::{Map, Value};

use super::parts;

/// Nearer than this a name was meant and mistyped; clap draws the line at the same place.
const NEAR: f64 = 0.7;

/// What to do about `problem` with `object`: a sentence without a full stop.
pub(super) fn of(schema: &Value, object: &Value, problem: &FieldProblem) -> String {
    let Some(field) = at(schema, &problem.field) else { return unknown(schema, &problem.field) };
    // A rule says it behind its colon. What the schema itself says has none: it quotes values, which are JSON.
    let rule = is_rule(schema, &problem.message);
    if rule && let Some((_, fix)) = problem.message.split_once(": ") {
        return fix.to_owned();
    }
    let name = problem.field.rsplit('.').next().unwrap_or_default();
    let Some(given) = value(object, &problem.field) else {
        return format!("add it, for example `{}`", pair(name, &example(field)));
    };
    if let Some(names) = field.get("enum").and_then(Value::as_array) {
        return one_of(names, given);
    }
    let mut fix = match shape(field) {
        Some(shape) => format!("write {shape}, for example `{}`", pair(name, &example(field))),
        None => format!("write for example `{}`", pair(name, &example(field))),
    };
    // What may be in a text that is held to a pattern, its description says better than the pattern.
    if !rule
        && field.get("pattern").is_some()
        && let Some(about) = field.get("description").and_then(Value::as_str)
        // Its first sentence says what it is.
        && let Some((_, about)) = about.split_once(". ")
    {
        fix = format!("{fix}. {}", about.trim_end_matches('.'));
    }
    fix
}

/// The known name that is nearest to `name`, if any is near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    let rated = known.into_iter().map(|known| (strsim::jaro(&lower, &known.to_ascii_lowercase()), known));
    rated.filter(|(near, _)| *near > NEAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// A field that the schema does not have.
fn unknown(schema: &Value, field: &str) -> String {
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let names = at(schema, parent).and_then(|parent| parent.get("properties")).and_then(Value::as_object);
    let names = names.into_iter().flat_map(Map::keys).map(String::as_str);
    match nearest(name, names.filter(|name| !super::unknown::OF_EVERY_OBJECT.contains(name))) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "take it out".to_owned(),
    }
}

fn one_of(names: &[Value], given: &Value) -> String {
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    match given.as_str().and_then(|given| nearest(given, names.iter().copied())) {
        Some(near) => format!("did you mean {near}? It is one of {}", names.join(", ")),
        None => format!("write one of {}", names.join(", ")),
    }
}

/// What a value must be, in words; none where only an example says it.
fn shape(field: &Value) -> Option<String> {
    let bound = |name| field.get(name).and_then(Value::as_f64);
    let number = match field.get("type").and_then(Value::as_str)? {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => return Some("true or false".to_owned()),
        "array" => return Some("a list".to_owned()),
        "object" => return Some("fields below it".to_owned()),
        _ => return None,
    };
    Some(match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("{number} from {least} to {most}"),
        (Some(least), None) => format!("{number} from {least} on"),
        (None, Some(most)) => format!("{number} up to {most}"),
        (None, None) => number.to_owned(),
    })
}

/// What the schema gives as an example; for what it has none for, something of the right type.
fn example(field: &Value) -> Value {
    if let Some(example) = field.get("example") {
        return example.clone();
    }
    match field.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => field.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => true.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => Value::Object(Map::new()),
        _ => "text".into(),
    }
}

/// `replicas: 3`, as YAML on one line.
fn pair(name: &str, example: &Value) -> String {
    let example = flow(example);
    if name.is_empty() || name.ends_with(']') { example } else { format!("{name}: {example}") }
}

/// A value as YAML on one line, without quotes where it needs none.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{name}: {}", flow(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether YAML takes `text` for itself: it begins with a letter or a slash, and has nothing that means something.
fn is_plain(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._:".contains(&byte);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off"];
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && text.bytes().all(legal)
        && !text.contains(": ")
        && !text.ends_with(':')
        && text.parse::<f64>().is_err()
        && !reserved.contains(&text)
}

/// Whether `message` is that of a rule somewhere in `schema`.
fn is_rule(schema: &Value, message: &str) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(name, below)| match below {
            Value::Array(rules) if name == "x-kubernetes-validations" => {
                rules.iter().any(|rule| rule.get("message").and_then(Value::as_str) == Some(message))
            }
            below => is_rule(below, message),
        }),
        Value::Array(items) => items.iter().any(|below| is_rule(below, message)),
        _ => false,
    }
}

/// The schema of a field.
fn at<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    parts(field).try_fold(schema, |schema, part| {
        let property = schema.get("properties").and_then(|properties| properties.get(part));
        let item = || schema.get("items").filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
        property.or_else(item).or_else(|| schema.get("additionalProperties"))
    })
}

/// The value of a field.
fn value<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    let value = parts(field).try_fold(object, |object, part| match object {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        object => object.get(part),
    });
    value.filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_on_one_line_is_read_as_it_is() {
        for value in [
            json!({"a": "redis://redis:6379", "b": ["x", 1, true], "c": "yes", "d": "1.5", "e": "a b", "f": "30m"}),
            json!("/api"),
            json!({"groups": [{"name": "a", "users": {"from": 0, "to": 499}}]}),
        ] {
            let text = flow(&value);
            assert_eq!(yaml_serde::from_str::<Value>(&text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_near_is_found_and_one_that_is_not_is_none() {
        let known = ["replicas", "maxStreams", "heartbeat"];
        assert_eq!(nearest("replica", known), Some("replicas"));
        assert_eq!(nearest("maxstreams", known), Some("maxStreams"));
        assert_eq!(nearest("heartbaet", known), Some("heartbeat"));
        assert_eq!(nearest("zone", known), None);
    }
}
