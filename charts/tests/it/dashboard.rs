//! The dashboard: every expression is one that Prometheus takes, of metrics that exist, and every panel has its place.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    charts,
    helm::objects,
    metrics::{known, mistakes},
    programs::{promtool, run},
};

fn file() -> String {
    fs::read_to_string(charts().join("fundbond/files/dashboard.json")).unwrap()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&file()).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// What the lists at the top are filled from.
fn choices() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&file()).unwrap();
    let lists = dashboard["templating"]["list"].as_array().unwrap();
    let chosen = lists.iter().filter(|list| list["type"] == "query").map(|list| {
        let query = list["query"].as_str().unwrap();
        let inside = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
        let (series, label) = inside.rsplit_once(", ").unwrap();
        (list["name"].to_string(), format!("sum by ({label}) ({series})"))
    });
    chosen.collect()
}

/// Every expression, with the title of its panel.
fn expressions() -> Vec<(String, String)> {
    let mut found = choices();
    for panel in panels().iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap().to_owned();
            found.push((title, target["expr"].as_str().unwrap().to_owned()));
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

#[test]
fn every_line_is_of_metrics_and_labels_that_exist() {
    let known = known();
    for (title, expression) in expressions() {
        let wrong = mistakes(&expression, &known);
        assert!(wrong.is_empty(), "{title}: {wrong:#?}");
    }
}

#[test]
fn prometheus_understands_every_expression() {
    let rules: Vec<Value> = expressions()
        .iter()
        .enumerate()
        .map(|(index, (_, expression))| {
            // Grafana's own word for a range that fits the picture.
            json!({"record": format!("line:{index}"), "expr": expression.replace("$__rate_interval", "5m")})
        })
        .collect();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("rules.yaml");
    fs::write(&path, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    let output = run(promtool().args(["check", "rules"]).arg(&path));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_panel_has_a_place_a_title_and_a_sentence() {
    let mut taken: Vec<(u64, u64, u64, u64, String)> = Vec::new();
    let mut ids = Vec::new();
    for panel in panels() {
        let title = panel["title"].as_str().unwrap().to_owned();
        assert!(!title.is_empty());
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        }
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let place = (at("x"), at("y"), at("x") + at("w"), at("y") + at("h"));
        assert!(place.2 <= 24, "{title} is beyond the edge");
        for other in &taken {
            let beside = place.0 >= other.2 || other.0 >= place.2 || place.1 >= other.3 || other.1 >= place.3;
            assert!(beside, "{title} lies over {}", other.4);
        }
        taken.push((place.0, place.1, place.2, place.3, title));
        ids.push(panel["id"].as_u64().unwrap());
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn the_sidecar_is_given_the_file_as_it_is() {
    let made = objects("good/everything", "fb", &[]);
    let map = made.iter().find(|object| !object["data"]["fundbond.json"].is_null()).unwrap();
    assert_eq!(map["data"]["fundbond.json"], file());
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["metadata"]["annotations"], json!({"grafana_folder": "Fundbond"}));
}
