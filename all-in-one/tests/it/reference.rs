//! `docs/reference`: pages made from the code that they are about. `cargo xtask reference` writes them anew; without it
//! a page that differs fails here.

mod api;
mod commands;
mod configuration;
mod logs;
mod metrics;
mod routes;
mod scrape;

use std::{fmt::Write as _, path::PathBuf};

/// A page: its file, its title for the index, and what makes it.
type Page = (&'static str, &'static str, fn() -> String);

const PAGES: [Page; 6] = [
    ("configuration.md", "Configuration: every flag and variable of every program", configuration::page),
    ("routes.md", "The route file of the gateway and the cluster proxy", routes::page),
    ("api.md", "The API: calls, answers and problems", api::page),
    ("cli.md", "`fundctl`: every command", commands::page),
    ("metrics.md", "Metrics: what `/metrics` says", metrics::page),
    ("logs.md", "Logs: what a line says", logs::page),
];

/// Pages made by the tests of other crates: file and title.
const ELSEWHERE: [(&str, &str); 2] = [
    ("kubernetes.md", "FundCluster and GatewayRoute: every field"),
    ("rights.md", "What the operator must be allowed to do, as manifests"),
];

#[test]
fn every_page_is_what_the_code_says() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let pages = PAGES.iter().map(|(file, _, page)| (*file, page()));
    for (file, body) in pages.chain([("README.md", index())]) {
        let text = format!("{}\n", body.trim_end());
        let path = folder().join(file);
        if update {
            std::fs::write(&path, &text).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            wrong.push(file);
        }
    }
    assert_eq!(
        wrong, [""; 0],
        "differ in docs/reference from what the code says; run `cargo xtask reference`"
    );
}

#[test]
fn the_folder_holds_the_pages_and_nothing_else() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<String> = PAGES.iter().map(|(file, ..)| (*file).to_owned()).collect();
    known.extend(ELSEWHERE.iter().map(|(file, _)| (*file).to_owned()));
    known.push("README.md".to_owned());
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference")
}

fn index() -> String {
    let mut page = title("Reference", "Made from the code; `cargo xtask reference` writes it anew.");
    for (file, title) in PAGES.iter().map(|(file, title, _)| (*file, *title)).chain(ELSEWHERE) {
        let _ = writeln!(page, "- [{title}]({file})");
    }
    page.push_str("\nA running pod also serves its API as OpenAPI 3.1 at `/api/openapi.json`.\n");
    page
}

/// The head of a page.
fn title(title: &str, says: &str) -> String {
    format!("<!-- Generated: run `cargo xtask reference` instead of editing. -->\n# {title}\n\n{says}\n\n")
}

/// A table. Cells may hold any text.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        text.push_str(&line(row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect()));
    }
    text
}

/// `text` as code; nothing where there is none.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}
