//! Metrics as the reference lists them, which a test of the programs holds to what they serve; and what an expression names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::charts;

/// Labels that come from a target and not from a program: those of Kubernetes, those of our PodMonitor, and of buckets.
const OF_TARGETS: [&str; 5] = ["fundcluster", "le", "namespace", "pod", "program"];

/// Each series that is scraped, with its labels and what the reference says of their values.
pub(crate) type Known = BTreeMap<String, BTreeMap<String, String>>;

/// Every series there is.
pub(crate) fn known() -> Known {
    let page = fs::read_to_string(charts().join("../docs/reference/metrics.md")).unwrap();
    let mut known = Known::new();
    for row in page.lines().filter(|line| line.starts_with("| `fund_")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let (name, kind, labels) = (cells[0].trim_matches('`'), cells[1], cells[2]);
        let labels: BTreeMap<String, String> = labels
            .split("<br>")
            .filter_map(|label| label.split_once(':'))
            .map(|(name, values)| (name.trim_matches('`').to_owned(), values.to_owned()))
            .collect();
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "gauge" => &[""],
            other => panic!("{name} is a {other}"),
        };
        known.extend(endings.iter().map(|ending| (format!("{name}{ending}"), labels.clone())));
    }
    assert!(known.len() > 50, "{}", known.len());
    known
}

/// The series that an expression names, each with what stands in its braces.
pub(crate) fn series(expression: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, _) in expression.match_indices("fund_") {
        if expression[..at].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let rest = &expression[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let braces = rest[end..].strip_prefix('{').map_or("", |inside| inside.split('}').next().unwrap());
        found.push((rest[..end].to_owned(), braces.to_owned()));
    }
    found
}

/// What an expression groups by, all of its groupings together.
pub(crate) fn grouped_by(expression: &str) -> BTreeSet<String> {
    let lists = expression.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap());
    lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

/// What is wrong with the names in an expression.
pub(crate) fn mistakes(expression: &str, known: &Known) -> Vec<String> {
    let named = series(expression);
    if named.is_empty() {
        return vec![format!("no metric of ours in {expression}")];
    }
    let mut wrong = Vec::new();
    for (name, braces) in &named {
        let Some(labels) = known.get(name) else {
            wrong.push(format!("nobody serves {name}"));
            continue;
        };
        for matcher in braces.split(',').filter(|matcher| !matcher.is_empty()) {
            let at = matcher.find(['=', '!']).unwrap();
            let (label, value) = (&matcher[..at], matcher[at..].trim_matches(['=', '!', '~', '"']));
            match labels.get(label) {
                None if OF_TARGETS.contains(&label) => {}
                None => wrong.push(format!("{name} has no label {label}")),
                Some(values) if value.contains('$') || says(values, value) => {}
                Some(values) => wrong.push(format!("{label} of {name} is never {value}: it is{values}")),
            }
        }
    }
    for label in grouped_by(expression) {
        let has =
            named.iter().any(|(name, _)| known.get(name).is_some_and(|labels| labels.contains_key(&label)));
        if !has && !OF_TARGETS.contains(&label.as_str()) {
            wrong.push(format!("nothing in {expression} has a label {label}"));
        }
    }
    wrong
}

/// Whether the reference names a value; `1xx to 5xx` names those between as well.
fn says(values: &str, value: &str) -> bool {
    let words = values.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.into_iter().any(|word| word == value)
}

#[test]
fn a_name_that_nobody_serves_is_found() {
    let known = known();
    for (expression, wrong) in [
        ("sum(fund_streams)", "nobody serves fund_streams"),
        ("fund_gateway_requests_total{state=\"open\"}", "has no label state"),
        ("fund_gateway_breakers{state=\"opened\"}", "is never opened"),
        ("sum by (shape) (fund_streams_open)", "has a label shape"),
        ("up == 0", "no metric of ours"),
    ] {
        let found = mistakes(expression, &known);
        assert!(found.len() == 1 && found[0].contains(wrong), "{expression}: {found:?}");
    }
    assert!(
        mistakes("sum by (pod) (rate(fund_gateway_requests_total{class=\"5xx\"}[5m])) > 0", &known)
            .is_empty()
    );
}
