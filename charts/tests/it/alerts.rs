//! Alerts: promtool tries each on invented histories, and each is silenced and let loose to see that those histories notice.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    charts,
    helm::objects,
    metrics::{grouped_by, known, mistakes},
    programs::{promtool, run},
    rights::site,
};

/// One alert, as the file has it.
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) severity: String,
    expression: String,
    annotations: Value,
}

/// The rules of the chart.
fn of_the_chart() -> String {
    fs::read_to_string(charts().join("fundbond/files/rules.yaml")).unwrap()
}

/// The rules of the chart, and those of a FundCluster that asks for its own.
fn file() -> String {
    let mut rules: Value = yaml_serde::from_str(&of_the_chart()).unwrap();
    let own = own_rules();
    rules["groups"].as_array_mut().unwrap().extend(own["spec"]["groups"].as_array().unwrap().clone());
    yaml_serde::to_string(&rules).unwrap()
}

/// The PrometheusRule of FundCluster `funds/desk`.
fn own_rules() -> Value {
    let cluster = serde_json::from_value(json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": "desk", "namespace": "funds"},
        "spec": {
            "route": {"value": "desk"}, "redis": {"url": "redis://redis:6379"},
            "pods": {"maxStreams": 5000}, "monitoring": {"rules": true},
        },
    }));
    let children = fundbond_desired::children(&cluster.unwrap(), &site(), 1);
    children.iter().find(|child| child.kind() == "PrometheusRule").unwrap().to_value()
}

/// Every alert.
pub(crate) fn alerts() -> Vec<Alert> {
    let file: Value = yaml_serde::from_str(&file()).unwrap();
    let rules =
        file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts: Vec<Alert> = rules
        .map(|rule| Alert {
            name: text(&rule["alert"]),
            severity: text(&rule["labels"]["severity"]),
            expression: text(&rule["expr"]),
            annotations: rule["annotations"].clone(),
        })
        .collect();
    assert!(alerts.len() > 15, "{}", alerts.len());
    alerts
}

#[test]
fn every_alert_speaks_of_metrics_and_labels_that_exist() {
    let known = known();
    for alert in alerts() {
        let wrong = mistakes(&alert.expression, &known);
        assert!(wrong.is_empty(), "{}: {wrong:#?}", alert.name);
    }
}

#[test]
fn every_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on() {
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = &alert.name;
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert!(["critical", "warning"].contains(&alert.severity.as_str()), "{name}");
        assert_eq!(alert.annotations["runbook_url"], format!("docs/runbooks/{name}.md"));
        let left = grouped_by(&alert.expression);
        for annotation in ["summary", "description"] {
            let text = alert.annotations[annotation].as_str().unwrap();
            assert!(text.ends_with('.'), "{name}: {text}");
            // What is added up is gone.
            for used in text.split("$labels.").skip(1) {
                let label = used.split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
                assert!(left.contains(label), "{name}: {label} is not there any more");
            }
        }
    }
}

#[test]
fn the_chart_gives_prometheus_the_file_with_the_runbooks_where_they_are() {
    let made = objects("good/everything", "fb", &[]);
    let rule = made.iter().find(|object| object["kind"] == "PrometheusRule").unwrap();
    let wanted = of_the_chart().replace("docs/runbooks/", "https://runbooks.example.com/fundbond/");
    assert_eq!(rule["spec"], yaml_serde::from_str::<Value>(&wanted).unwrap());
}

/// What promtool says to the histories, with rules of one's own.
fn tried(rules: &str) -> (bool, String) {
    let directory = TempDir::new().unwrap();
    let tests = fs::read_to_string(charts().join("tests/alerts.yaml")).unwrap();
    let named = "rule_files: [../fundbond/files/rules.yaml]";
    assert!(tests.contains(named));
    fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let path = directory.path().join("tests.yaml");
    fs::write(&path, tests.replace(named, "rule_files: [rules.yaml]")).unwrap();
    said(&["test", "rules"], &path)
}

fn said(arguments: &[&str], file: &Path) -> (bool, String) {
    let output = run(promtool().args(arguments).arg(file));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn promtool_takes_the_rules_and_every_alert_fires_when_it_should_and_only_then() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("rules.yaml");
    fs::write(&path, file()).unwrap();
    let (fine, text) = said(&["check", "rules"], &path);
    assert!(fine && text.contains(&format!("{} rules found", alerts().len())), "{text}");
    let (fine, text) = tried(&file());
    assert!(fine, "{text}");
}

/// The alerts whose histories failed, where `expected` is what should have been: `nil` where nothing should fire.
fn noticed(text: &str, nothing_expected: bool) -> BTreeSet<String> {
    let mut noticed = BTreeSet::new();
    for failure in text.split("expr: ").skip(1) {
        let (_, rest) = failure.split_once("alertname=\\\"").unwrap();
        let name = rest.split('\\').next().unwrap();
        if failure.contains("exp: nil") == nothing_expected {
            noticed.insert(name.to_owned());
        }
    }
    noticed
}

/// The rules with another expression for every alert, and without a time to wait.
fn changed(expression: &str) -> String {
    let mut rules: Value = yaml_serde::from_str(&file()).unwrap();
    for group in rules["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            rule["expr"] = expression.into();
            rule.as_object_mut().unwrap().remove("for");
            rule["annotations"] = Value::Object(serde_json::Map::new());
        }
    }
    yaml_serde::to_string(&rules).unwrap()
}

#[test]
fn an_alert_that_is_silent_or_never_stops_is_noticed() {
    let all: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let (fine, text) = tried(&changed("vector(0) > 1"));
    assert!(!fine);
    assert_eq!(noticed(&text, false), all, "silent:\n{text}");
    let (fine, text) = tried(&changed("vector(1)"));
    assert!(!fine);
    assert_eq!(noticed(&text, true), all, "never stops:\n{text}");
}
