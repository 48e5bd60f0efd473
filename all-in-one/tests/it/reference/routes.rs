//! The route file, from the types that read it.

use std::fmt::Write as _;

use fundbond_gateway::route_file;
use fundbond_routing::spec::RouteFile;
use serde_json::Value;
use utoipa::{PartialSchema, ToSchema};

use super::{code, table, title};

const SAYS: &str = "\
`--routes` (`FUND_ROUTES`) names a YAML or JSON file that says which requests go where. The file is watched: an edit is \
checked as a whole, then applied in one step; one that is not valid changes nothing, is logged, and counts in \
`fund_gateway_route_reload_failures`. Unknown fields are refused. `/routes` on the admin port shows what is applied, \
`/explain?cluster=<value>&userId=<id>&ip=<address>` what would be decided about a request, and why: \
[who gets a request](../guide/routing.md).";

const MORE: &str = "\
A time is written as `250ms`, `2s` or `1m30s`. A route whose `default` is true also takes requests that name none; at most \
one is. An example with everything in it ([examples/routes.yaml](../../examples/routes.yaml)):";

const EXAMPLE: &str = include_str!("../../../../examples/routes.yaml");

pub(super) fn page() -> String {
    let mut schemas = Vec::new();
    RouteFile::schemas(&mut schemas);
    let schemas: Vec<(String, Value)> =
        schemas.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect();
    let file = serde_json::to_value(RouteFile::schema()).unwrap();
    let mut rows = Vec::new();
    fields(&file, "", &schemas, &defaults(), &mut rows);
    let mut page = title("Route file", SAYS);
    let _ = writeln!(page, "{}", table(&["field", "type", "default", "meaning"], rows));
    let _ = writeln!(page, "{MORE}\n\n```yaml\n{EXAMPLE}```");
    page
}

/// The shortest file there can be, as it is understood: what was not said is there.
fn defaults() -> Value {
    let text = "{generation: 1, routes: [{match: {value: c}, endpoints: [{address: 'h:1'}]}]}";
    let file: RouteFile = yaml_serde::from_str(text).unwrap();
    serde_json::to_value(file).unwrap()
}

fn fields(schema: &Value, at: &str, all: &[(String, Value)], defaults: &Value, rows: &mut Vec<Vec<String>>) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let path = format!("{at}{name}");
        let one = one(property);
        let target = target(one, all);
        let default = &defaults[name];
        let must = required.iter().any(|required| required == name);
        let value = match default {
            // What the shortest file has only because it must be there.
            _ if must && (at.is_empty() || MUST.contains(&path.as_str())) => "required".to_owned(),
            Value::Null if must => "required there".to_owned(),
            Value::Null | Value::Object(_) => String::new(),
            Value::String(text) => code(text),
            other => code(&other.to_string()),
        };
        let places = [property, one, target];
        let description =
            places.into_iter().find_map(|place| place["description"].as_str()).unwrap_or_default();
        let (kind, suffix) = kind(property, one, target);
        rows.push(vec![code(&path), kind, value, description.to_owned()]);
        if target["properties"].is_object() {
            let inner = if default.is_array() { &default[0] } else { default };
            fields(target, &format!("{path}{suffix}."), all, inner, rows);
        }
    }
}

/// What no route and no endpoint is without.
const MUST: [&str; 4] =
    ["routes[].match", "routes[].match.value", "routes[].endpoints", "routes[].endpoints[].address"];

/// The schema of the value itself: in a list, or one that may be left out.
fn one(property: &Value) -> &Value {
    if property["items"].is_object() {
        return &property["items"];
    }
    let choices = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|word| property[word].as_array());
    choices.and_then(|choices| choices.iter().find(|one| one["type"] != "null")).unwrap_or(property)
}

/// What stands behind a name.
fn target<'a>(one: &'a Value, all: &'a [(String, Value)]) -> &'a Value {
    let name = one["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    all.iter().find(|(known, _)| Some(known.as_str()) == name).map_or(one, |(_, schema)| schema)
}

fn kind(property: &Value, one: &Value, target: &Value) -> (String, &'static str) {
    if property["items"].is_object() {
        return ("list".to_owned(), "[]");
    }
    if one["$ref"].as_str().is_some_and(|name| name.ends_with("/Span")) {
        return ("time".to_owned(), "");
    }
    if let Some(values) = target["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).map(code).collect();
        return (values.join(" or "), "");
    }
    let kind = match &target["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    (kind.unwrap_or("text").replace("string", "text").replace("integer", "number"), "")
}

#[test]
fn the_example_is_valid_and_says_everything_that_can_be_said() {
    let table = route_file::parse(EXAMPLE).unwrap();
    assert!(table.routes().iter().any(|route| route.default && route.rate_limit.is_some()));
    let file: RouteFile = yaml_serde::from_str(EXAMPLE).unwrap();
    let written = serde_json::to_value(&file).unwrap();
    let mut schemas = Vec::new();
    RouteFile::schemas(&mut schemas);
    for (name, schema) in schemas {
        let schema = serde_json::to_value(schema).unwrap();
        for field in schema["properties"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(
                written.to_string().contains(&format!("\"{field}\":")),
                "{name}.{field} is not in the example"
            );
        }
    }
}
