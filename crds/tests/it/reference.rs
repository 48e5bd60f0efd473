//! `docs/reference/kubernetes.md`: every field, made from the schemas.

use std::{env, fmt::Write as _, fs, path::Path};

use fundbond_crds::definitions::definitions;
use serde_json::Value;

use crate::definitions::{all_fields, refusals};

const HEAD: &str = "<!-- Generated: run `cargo xtask reference` instead of editing. -->
# FundCluster and GatewayRoute

Every field, made from the schemas; the definitions themselves are `crds/*.yaml`. What Kubernetes describes itself
(affinity, tolerations and the like) `kubectl explain` shows.
";

#[test]
fn the_page_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/kubernetes.md");
    let page = page();
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let was = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        was == page,
        "docs/reference/kubernetes.md is not what the types say; run `cargo xtask reference`"
    );
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for definition in definitions() {
        let names = definition.spec.names.clone();
        let definition = serde_json::to_value(&definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let short = names.short_names.unwrap_or_default().join(", ");
        let _ = writeln!(page, "\n## {} (`{short}`)\n\n{}\n", names.kind, text(&schema["description"]));
        page.push_str("| field | type | default | example | what it says |\n|---|---|---|---|---|\n");
        for (path, schema) in all_fields(&definition) {
            let cells = [
                format!("`{}`", path.trim_start_matches('.')),
                kind(&schema),
                schema.get("default").map(code).unwrap_or_default(),
                schema.get("example").map(code).unwrap_or_default(),
                text(&schema["description"]).to_owned(),
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
            let _ = writeln!(page, "| {} |", cells.join(" | "));
        }
        page.push_str("\nWhat is refused, beside values out of their bounds:\n\n");
        for message in refusals(schema) {
            let _ = writeln!(page, "- {message}");
        }
    }
    page
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(code).collect::<Vec<_>>().join(" ");
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return "number or text".into();
    }
    let name = match text(&schema["type"]) {
        "array" => "list",
        "object" if schema.get("additionalProperties").is_some() => "map",
        "string" if text(&schema["pattern"]).contains("(ms|s|m|h)") => "time",
        "string" => "text",
        other => other,
    };
    let bounds = ["minimum", "maximum"].iter().filter_map(|bound| schema[bound].as_f64());
    let bounds: Vec<_> = bounds.map(|bound| bound.to_string()).collect();
    match &bounds[..] {
        [] => name.into(),
        [least] => format!("{name}, from {least}"),
        all => format!("{name}, {}", all.join(" to ")),
    }
}

fn code(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    if value.is_object() && text.len() > 90 { "its fields' own".into() } else { format!("`{text}`") }
}
