//! Values: every one has a comment, which is its description in the schema; and what is refused is refused in words a person
//! can act on.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use serde_json::Value;

use crate::{
    charts,
    helm::{MAIN, lint, template, value_files, values},
    hold,
};

const CHARTS: [&str; 2] = [MAIN, "fundbond-crds"];

fn read(file: &str) -> String {
    fs::read_to_string(charts().join(file)).unwrap()
}

/// Every key of a values file by its path, with the comment above it.
fn comments(text: &str) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let (mut path, mut comment): (Vec<(usize, String)>, String) = (Vec::new(), String::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(words) = line.trim_start().strip_prefix('#') {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(words.trim());
        } else if let Some((key, _)) = line.split_once(':') {
            path.retain(|(at, _)| *at < indent);
            path.push((indent, key.trim().to_owned()));
            found.push((path.iter().map(|(_, key)| key.clone()).collect(), std::mem::take(&mut comment)));
        } else {
            assert!(line.trim().is_empty(), "a line that is neither a comment nor a key: {line}");
            comment.clear();
        }
    }
    found
}

/// The part of a schema that a path leads to; none below what has names of its own.
fn part<'a>(schema: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    let mut at = schema;
    for key in path {
        at = at.get_mut("properties")?.get_mut(key)?;
    }
    Some(at)
}

#[test]
fn every_value_has_a_comment_and_the_schema_says_the_same() {
    for chart in CHARTS {
        let values = read(&format!("{chart}/values.yaml"));
        let file = format!("{chart}/values.schema.json");
        let mut schema: Value = serde_json::from_str(&read(&file)).unwrap();
        for (path, comment) in comments(&values) {
            let shown = path.join(".");
            let is_group = values_at(&values, &path).as_object().is_some_and(|members| !members.is_empty());
            assert!(is_group || !comment.is_empty(), "{chart}: {shown} has no comment above it");
            if let (Some(part), false) = (part(&mut schema, &path), comment.is_empty()) {
                part["description"] = comment.into();
            }
        }
        hold(&file, &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    }
}

fn values_at(values: &str, path: &[String]) -> Value {
    let mut at: Value = yaml_serde::from_str(values).unwrap();
    for key in path {
        at = at[key].take();
    }
    at
}

/// Everything in a schema that knows its members, with whether it takes others.
fn objects(schema: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    if schema.get("properties").is_some() {
        found.push((at.to_owned(), schema.clone()));
    }
    match schema {
        Value::Object(members) => {
            members.iter().for_each(|(key, below)| objects(below, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, at, found)),
        _ => {}
    }
}

#[test]
fn what_the_schema_does_not_know_it_refuses_and_what_it_knows_it_explains() {
    for chart in CHARTS {
        let schema: Value = serde_json::from_str(&read(&format!("{chart}/values.schema.json"))).unwrap();
        let mut found = Vec::new();
        objects(&schema, "", &mut found);
        for (at, object) in found {
            // Charts above this one share theirs there.
            let open = at == "/properties/global";
            assert_eq!(object["additionalProperties"] == Value::Bool(false), !open, "{chart}: {at}");
            for (name, member) in object["properties"].as_object().unwrap() {
                let is_group = member.get("properties").is_some();
                let explained = member["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(explained || is_group, "{chart}: {at}/{name} has no description");
            }
        }
    }
}

#[test]
fn the_charts_are_of_the_version_of_the_programs() {
    for chart in CHARTS {
        let about: Value = yaml_serde::from_str(&read(&format!("{chart}/Chart.yaml"))).unwrap();
        for field in ["version", "appVersion"] {
            assert_eq!(about[field], env!("CARGO_PKG_VERSION"), "{chart}: {field}");
        }
    }
}

#[test]
fn helm_finds_nothing_wrong() {
    for chart in CHARTS {
        let said = lint(chart, &[]).unwrap_or_else(|said| panic!("{said}"));
        assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
    }
    for name in value_files("good") {
        let said = lint(MAIN, &["--values", values(&name).to_str().unwrap()]);
        assert!(said.is_ok(), "{name}: {}", said.unwrap_err());
    }
}

#[test]
fn wrong_values_are_refused_with_where_and_why() {
    let mut said = BTreeMap::new();
    for name in value_files("bad") {
        let file = values(&name);
        let refused = template(MAIN, "fundbond", &["--values", file.to_str().unwrap()]);
        said.insert(name.clone(), refused.err().unwrap_or_else(|| panic!("{name} is taken")));
    }
    assert!(said.len() >= 10, "{}", said.len());
    let text = said.iter().fold(String::new(), |mut text, (name, refusal)| {
        let asked = fs::read_to_string(values(name)).unwrap();
        let refusal = refusal.replace("Use --debug flag to render out invalid YAML", "");
        let _ =
            writeln!(text, "## {}\n{}\n{}\n", name.trim_start_matches("bad/"), asked.trim(), refusal.trim());
        text
    });
    hold("tests/golden/refusals.txt", &text);
}
