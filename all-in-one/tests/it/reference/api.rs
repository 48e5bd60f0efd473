//! The API, from the document that pods serve.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::{code, table, title};

/// Methods in the order of the page.
const METHODS: [&str; 5] = ["get", "head", "post", "put", "delete"];

pub(super) fn page() -> String {
    let document: Value = serde_json::from_str(&fundbond_pod_service::openapi().to_json().unwrap()).unwrap();
    let mut page = title("API", document["info"]["description"].as_str().unwrap());
    let mut problems = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                describe(method, path, operation, &mut page);
                collect(operation, &mut problems);
            }
        }
    }
    let rows =
        problems.into_iter().map(|(slug, (status, title))| vec![code(&slug), status.to_string(), title]);
    let _ = write!(
        page,
        "## Problems\n\nThe `type` of a problem is `urn:fundbond:problem:` and one of these words.\n\n{}",
        table(&["word", "status", "meaning"], rows)
    );
    page
}

fn describe(method: &str, path: &str, operation: &Value, page: &mut String) {
    let text = |name: &str| operation[name].as_str().unwrap_or_default();
    let _ = write!(page, "## {} {path}\n\n{}\n\n", method.to_uppercase(), text("summary"));
    if !text("description").is_empty() {
        let _ = write!(page, "{}\n\n", text("description"));
    }
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let rows = parameters.iter().map(|parameter| {
        let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
        let required = if parameter["required"] == true { "yes" } else { "" };
        vec![code(&text("name")), text("in"), required.to_owned(), text("description")]
    });
    let _ = writeln!(page, "{}", table(&["parameter", "in", "required", "meaning"], rows));
    for (media, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        let example = content.get("example").map(|example| serde_json::to_string_pretty(example).unwrap());
        let _ = write!(page, "Body: `{media}`");
        let _ = match example {
            Some(example) => write!(page, ", for example\n\n```json\n{example}\n```\n\n"),
            None => write!(page, ".\n\n"),
        };
    }
    let rows = operation["responses"].as_object().unwrap().iter().map(|(status, response)| {
        let media = response["content"].as_object().into_iter().flat_map(serde_json::Map::keys);
        let media: Vec<_> = media.map(|media| code(media)).collect();
        let says = response["description"].as_str().unwrap_or_default();
        vec![status.clone(), media.join(", "), says.to_owned()]
    });
    let _ = writeln!(page, "{}", table(&["answer", "media type", "meaning"], rows));
}

/// Every problem that the operation names: its word, its status and what it means.
fn collect(operation: &Value, problems: &mut BTreeMap<String, (u64, String)>) {
    for response in operation["responses"].as_object().unwrap().values() {
        let examples = &response["content"]["application/problem+json"]["examples"];
        for (slug, example) in examples.as_object().into_iter().flatten() {
            let problem = &example["value"];
            let title = problem["title"].as_str().unwrap().to_owned();
            problems.insert(slug.clone(), (problem["status"].as_u64().unwrap(), title));
        }
    }
}
