//! FundClusters that are right alone, and not together.

use super::{Report, Severity, Sound, several};

/// Adds what is wrong with FundClusters that are in the same files.
pub(super) fn find(report: &mut Report) {
    let clusters = std::mem::take(&mut report.clusters);
    for same in several(&clusters, name).into_values() {
        each(&clusters, &same, |first, later| {
            let reason = format!(
                "{} is there twice, first in {}; the later one wins",
                title(later),
                place(first, "metadata.name")
            );
            report.add(
                Severity::Warning,
                &later.document,
                "metadata.name".to_owned(),
                &reason,
                "take one of them out, or give it another name".to_owned(),
            );
        });
    }
    for same in several(&clusters, |sound| Some(route(sound))).into_values() {
        each(&clusters, &same, |first, later| {
            if name(first) == name(later) {
                return;
            }
            let route = &later.cluster.spec.route;
            let reason = format!(
                "{}: {} is the route of {} already ({}); behind one gateway the younger of both gets Ready=False, \
                 reason RouteConflict",
                route.header,
                route.value,
                title(first),
                place(first, "spec.route.value"),
            );
            let fix = "give one of them a value of its own".to_owned();
            report.add(Severity::Warning, &later.document, "spec.route.value".to_owned(), &reason, fix);
        });
    }
    for same in several(&clusters, |sound| sound.cluster.spec.route.default.then_some(())).into_values() {
        each(&clusters, &same, |first, later| {
            if name(first) == name(later) {
                return;
            }
            let reason = format!(
                "{} is the default already ({}); behind one gateway the younger of both gets Ready=False, reason \
                 RouteConflict",
                title(first),
                place(first, "spec.route.default"),
            );
            let fix = "let one of them be the default".to_owned();
            report.add(Severity::Warning, &later.document, "spec.route.default".to_owned(), &reason, fix);
        });
    }
    report.clusters = clusters;
}

/// Each but the first, with the first.
fn each(clusters: &[Sound], same: &[usize], mut tell: impl FnMut(&Sound, &Sound)) {
    if let Some((first, later)) = same.split_first() {
        for later in later {
            tell(&clusters[*first], &clusters[*later]);
        }
    }
}

fn name(sound: &Sound) -> Option<(String, String)> {
    let metadata = &sound.cluster.metadata;
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

/// A header has one name however it is written; its value is what it is.
fn route(sound: &Sound) -> (String, String) {
    let route = &sound.cluster.spec.route;
    (route.header.to_ascii_lowercase(), route.value.clone())
}

fn title(sound: &Sound) -> String {
    sound.document.title()
}

fn place(sound: &Sound, field: &str) -> String {
    let (file, line) = (sound.document.file(), sound.document.line(field));
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}
