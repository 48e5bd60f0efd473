//! The files beside the crate, and what people read in them.

use std::{env, fs, path::Path};

use fundbond_crds::definitions::{definitions, file_name, yaml};
use serde_json::Value;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_files_are_what_the_types_say() {
    for definition in definitions() {
        let (path, is) = (folder().join(file_name(&definition)), yaml(&definition).unwrap());
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &is).unwrap();
        }
        let was = fs::read_to_string(&path).unwrap_or_default();
        assert!(was == is, "{} is not what the types say: run `cargo xtask reference`", path.display());
    }
}

/// Every field of our own, by its path, with its schema.
fn fields(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.push((path.clone(), schema.clone()));
        // What Kubernetes describes itself is its own to describe.
        let foreign = [
            ".spec.pods.affinity",
            ".spec.pods.env",
            ".spec.pods.tolerations",
            ".spec.pods.resources",
            ".spec.pods.imagePullSecrets",
            ".spec.proxy.tolerations",
            ".spec.proxy.resources",
            ".status.conditions",
        ];
        if !foreign.contains(&path.as_str()) {
            fields(schema, &path, found);
            fields(&schema["items"], &format!("{path}[]"), found);
        }
    }
}

/// Every field of our own of a definition.
pub(crate) fn all_fields(definition: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for part in ["spec", "status"] {
        fields(&schema["properties"][part], &format!(".{part}"), &mut found);
    }
    found
}

/// What the rules of a schema, and of all below it, say where they refuse.
pub(crate) fn refusals(schema: &Value) -> Vec<String> {
    fn walk(schema: &Value, found: &mut Vec<String>) {
        let rules = schema["x-kubernetes-validations"].as_array();
        found.extend(rules.into_iter().flatten().map(|rule| rule["message"].as_str().unwrap().to_owned()));
        for below in schema["properties"].as_object().into_iter().flat_map(|members| members.values()) {
            walk(below, found);
        }
        if let Some(items) = schema.get("items") {
            walk(items, found);
        }
    }
    let mut found = Vec::new();
    walk(schema, &mut found);
    found
}

fn of_both() -> Vec<(String, Value)> {
    let both = definitions().map(|definition| serde_json::to_value(definition).unwrap());
    let found: Vec<_> = both.iter().flat_map(all_fields).collect();
    assert!(found.len() > 90, "{}", found.len());
    found
}

#[test]
fn every_field_has_a_description_and_an_example() {
    let without: Vec<_> = of_both()
        .into_iter()
        .filter(|(_, schema)| {
            schema["description"].as_str().is_none_or(str::is_empty) || schema.get("example").is_none()
        })
        .map(|(path, _)| path)
        .collect();
    assert!(without.is_empty(), "{without:#?}");
}

// CEL's cost is judged by the longest that might come, and a list without a bound might be endless.
#[test]
fn every_list_text_and_number_has_a_bound() {
    let mut without = Vec::new();
    for (path, schema) in of_both() {
        if path.starts_with(".status") {
            continue;
        }
        let bounded = match schema["type"].as_str() {
            Some("array") => schema.get("maxItems").is_some(),
            Some("string") => schema.get("maxLength").is_some() || schema.get("enum").is_some(),
            Some("integer" | "number") => schema.get("minimum").is_some(),
            _ => true,
        };
        if !bounded {
            without.push(path);
        }
    }
    assert!(without.is_empty(), "{without:#?}");
}

#[test]
fn people_find_the_kinds_by_their_short_names_and_see_what_matters() {
    let [clusters, routes] = definitions();
    for (definition, short, columns, told) in [
        (clusters, "fc", &["Ready", "Pods", "Streams", "Strategy", "Reason", "Age"][..], true),
        // What became of a route is told to its FundCluster.
        (routes, "gr", &["Header", "Value", "Strategy", "Generation", "Age"], false),
    ] {
        let version = &definition.spec.versions[0];
        assert_eq!(definition.spec.group, "fundbond.dev");
        assert_eq!(definition.spec.names.short_names, Some(vec![short.to_owned()]));
        assert_eq!(definition.spec.names.categories, Some(vec!["fund".to_owned()]));
        let has_status = version.subresources.as_ref().is_some_and(|sub| sub.status.is_some());
        assert_eq!(has_status, told, "{short}");
        let named: Vec<_> =
            version.additional_printer_columns.iter().flatten().map(|c| c.name.as_str()).collect();
        assert_eq!(named, columns);
    }
}
