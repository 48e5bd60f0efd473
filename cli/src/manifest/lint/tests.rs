//! Golden files: every object that a server refuses, with what is said about it here.

use std::fmt::Write as _;

use serde_json::json;

use super::*;
use crate::{golden, render::Style};

/// Objects and what an API server says of them: the table that the definitions are held to.
const VERDICTS: &str = include_str!("../../../../crds/tests/verdicts.yaml");

fn file(name: &str, text: impl Into<String>) -> File {
    File { name: name.to_owned(), text: text.into() }
}

fn smallest() -> Value {
    json!({
        "apiVersion": "fundbond.dev/v1alpha1",
        "kind": "FundCluster",
        "metadata": {"name": "cluster1", "namespace": "funds"},
        "spec": {"route": {"value": "cluster1"}, "redis": {"url": "redis://redis:6379"}},
    })
}

/// RFC 7396.
fn merged(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return object.clone_from(patch) };
    if !object.is_object() {
        *object = json!({});
    }
    let members = object.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merged(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn every_object_that_a_server_refuses_is_refused_with_field_line_reason_and_fix() {
    let rows: Vec<Value> = yaml_serde::from_str(VERDICTS).unwrap();
    let (mut all, mut refused) = (String::new(), 0);
    for row in rows {
        // What only a change does wrong is not wrong here.
        if row.get("was").is_some() {
            continue;
        }
        let mut object = smallest();
        merged(&mut object, &row["write"]);
        let report = lint(&[file("f.yaml", yaml_serde::to_string(&object).unwrap())], "funds");
        let errors: Vec<_> = report.problems.iter().filter(|p| p.severity == Severity::Error).collect();
        let name = row["name"].as_str().unwrap();
        let expected = row.get("refused").is_some();
        assert_eq!(!errors.is_empty(), expected, "{name}: {errors:#?}");
        assert_eq!(report.clusters.len(), usize::from(!expected), "{name}");
        for problem in &errors {
            let whole = !problem.field.is_empty() && !problem.reason.is_empty() && !problem.fix.is_empty();
            assert!(whole && problem.line.is_some() && problem.fix != problem.reason, "{name}: {problem:?}");
        }
        if expected {
            refused += 1;
            let _ = writeln!(all, "# {name}\n{}", text(&report.errors(), Style::PLAIN));
        }
    }
    assert!(refused > 45, "{refused}");
    assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
    golden::check("lint.verdicts.txt", &all);
}

#[test]
fn a_name_and_password_in_an_address_are_not_said_again() {
    for (reason, expected) in [
        ("\"redis://desk:secret@redis:6379\" is bad", "\"redis://***@redis:6379\" is bad"),
        ("\"redis://redis:6379\" is bad", "\"redis://redis:6379\" is bad"),
        ("a://b@c d://e:f@g/h", "a://***@c d://***@g/h"),
        ("does not match \"^redis://[^@/?#\\s]+$\"", "does not match \"^redis://[^@/?#\\s]+$\""),
        ("nothing", "nothing"),
    ] {
        assert_eq!(masked(reason), expected);
    }
}

#[test]
fn problems_are_in_the_order_of_the_files_and_their_lines() {
    let mut object = smallest();
    merged(&mut object, &json!({"spec": {"proxy": {"replicas": 0}, "pods": {"replicas": -1}}}));
    let text = yaml_serde::to_string(&object).unwrap();
    let report = lint(&[file("b.yaml", text.clone()), file("a.yaml", format!("{text}---\na: [\n"))], "funds");
    let places: Vec<_> = report.problems.iter().map(|p| (p.file.as_str(), p.line)).collect();
    let mut sorted = places.clone();
    sorted.sort_by_key(|(file, line)| (*file == "a.yaml", *line));
    assert_eq!((places.len(), &places), (5, &sorted));
}

#[test]
fn other_kinds_are_passed_over_and_two_of_one_name_are_told_apart_by_their_namespace() {
    let with = |namespace: &str, value: &str| {
        let mut object = smallest();
        let spec = json!({"metadata": {"namespace": namespace}, "spec": {"route": {"value": value}}});
        merged(&mut object, &spec);
        yaml_serde::to_string(&object).unwrap()
    };
    let other = "apiVersion: v1\nkind: Secret\nmetadata: {name: redis-auth}\n";
    let both = format!("{}---\n{}---\n{other}", with("funds", "cluster1"), with("bonds", "cluster2"));
    let report = lint(&[file("f.yaml", both)], "funds");
    assert_eq!((report.problems.as_slice(), report.checked, report.passed_over), (&[][..], 2, 1));
    let twice = format!("{}---\n{}", with("funds", "cluster1"), with("funds", "cluster1"));
    let report = lint(&[file("f.yaml", twice)], "funds");
    let reasons: Vec<_> = report.problems.iter().map(|problem| problem.reason.as_str()).collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("is there twice, first in f.yaml:4"), "{reasons:?}");
}

#[test]
fn an_object_without_a_name_is_told_so_and_judged_all_the_same() {
    let mut object = smallest();
    merged(&mut object, &json!({"metadata": {"name": null}, "spec": {"pods": {"replicas": -1}}}));
    let report = lint(&[file("f.yaml", yaml_serde::to_string(&object).unwrap())], "funds");
    let fields: Vec<_> = report.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["metadata.name", "spec.pods.replicas"]);
}
