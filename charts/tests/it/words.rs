//! What the pages for people name: metrics, values and fields that exist, so that a renamed one is renamed there too.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::{charts, metrics::known};

/// Pages about the charts, and the pages of alerts.
fn pages() -> Vec<(PathBuf, String)> {
    let repository = charts().join("..");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(repository.join("docs/runbooks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.extend(
        ["docs/guide/troubleshooting.md", "charts/fundbond/README.md", "charts/fundbond-crds/README.md"]
            .map(|page| repository.join(page)),
    );
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Everything between two backticks in a line, and every line of commands.
fn code(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line);
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// What is no word of a path ends it.
fn path_of(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

#[test]
fn every_metric_on_a_page_is_served() {
    let known = known();
    let endings = ["_total", "_bucket", "_sum", "_count", ""];
    let bases: BTreeSet<&str> =
        known.keys().flat_map(|name| endings.iter().filter_map(|ending| name.strip_suffix(ending))).collect();
    let mut seen = 0;
    for (path, page) in pages() {
        for text in code(&page) {
            for (at, _) in text.match_indices("fund_") {
                let rest = &text[at..];
                let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
                // A pattern for several.
                if rest[end..].starts_with('(') {
                    let inside = rest[end + 1..].split(')').next().unwrap();
                    for each in inside.split('|') {
                        let name = format!("{}{each}", &rest[..end]);
                        let begins = bases.iter().any(|base| base.starts_with(&name));
                        assert!(begins, "{}: {name}", path.display());
                    }
                } else {
                    assert!(bases.contains(&rest[..end]), "{}: {}", path.display(), &rest[..end]);
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_value_on_a_page_is_one_of_the_chart() {
    let text = fs::read_to_string(charts().join("fundbond/values.yaml")).unwrap();
    let values: Value = yaml_serde::from_str(&text).unwrap();
    let roots: Vec<String> = values.as_object().unwrap().keys().map(|root| format!("{root}.")).collect();
    let mut seen = 0;
    for (page, text) in pages() {
        for span in code(&text) {
            for word in
                span.split([' ', ',', '"']).filter(|word| roots.iter().any(|root| word.starts_with(root)))
            {
                let path = path_of(word);
                let found = path.split('.').try_fold(&values, |at, key| at.get(key));
                assert!(found.is_some(), "{}: there is no value {path}", page.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn every_field_on_a_page_is_one_of_a_fund_cluster() {
    let page = fs::read_to_string(charts().join("../docs/reference/kubernetes.md")).unwrap();
    let fields: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    // What Kubernetes describes itself has no line for each of its own.
    let is_field = |path: &str| {
        fields.contains(path)
            || path.strip_prefix("spec.pods.resources.").is_some_and(|rest| rest.starts_with("requests"))
    };
    let mut seen = 0;
    for (path, text) in pages() {
        for span in code(&text) {
            // Commands may ask for fields of other objects.
            if span.starts_with("spec.") {
                assert!(is_field(path_of(span)), "{}: there is no field {}", path.display(), path_of(span));
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}
