//! Runbooks: one page an alert, in one shape, which ends in a command.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::{alerts::alerts, charts};

fn folder() -> PathBuf {
    charts().join("../docs/runbooks")
}

fn page(name: &str) -> String {
    fs::read_to_string(folder().join(format!("{name}.md"))).unwrap_or_default()
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let pages = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let pages: BTreeSet<String> =
        pages.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(pages, names);
}

#[test]
fn every_page_says_what_it_means_where_to_look_what_to_do_and_when_it_is_over() {
    for alert in alerts() {
        let (name, page) = (&alert.name, page(&alert.name));
        let severity = match alert.severity.as_str() {
            "critical" => "**Critical.** ",
            _ => "**Warning.** ",
        };
        assert!(page.starts_with(&format!("# {name}\n\n{severity}")), "{name}");
        let sections: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(sections, ["## Look", "## Do", "## It is over when"], "{name}");
        let last = page.lines().next_back().unwrap();
        let command = last.strip_prefix("    ").unwrap_or_default();
        let program = command.split(' ').next().unwrap();
        assert!(["fundctl", "helm", "kubectl"].contains(&program), "{name} ends with {last:?}");
    }
}

/// Of several pods, kubectl shows the last ten lines each, however long ago they are to begin.
#[test]
fn every_look_at_the_logs_of_several_pods_says_how_many_lines() {
    for alert in alerts() {
        for line in page(&alert.name).lines().filter(|line| line.contains("kubectl logs ")) {
            assert!(!line.contains(" -l ") || line.contains(" --tail="), "{}: {line}", alert.name);
        }
    }
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    for alert in alerts() {
        for link in page(&alert.name).split("](").skip(1) {
            let to = link.split(')').next().unwrap().split('#').next().unwrap();
            assert!(folder().join(to).is_file(), "{}: {to}", alert.name);
        }
    }
}
