//! FundClusters that are right alone, and not together.

use fundbond_crds::claim::{Claim, claims};

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
    for (claim, same) in several(&clusters, claimed) {
        let (field, fix) = match claim {
            Claim::Value(_) => ("spec.route.value", "give one of them a value of its own"),
            Claim::Default => ("spec.route.default", "let one of them be the default"),
        };
        each(&clusters, &same, |first, later| {
            if name(first) == name(later) {
                return;
            }
            let reason = format!(
                "{claim} is that of {} already ({}); behind one gateway the younger of both gets Ready=False, reason \
                 RouteConflict",
                title(first),
                place(first, field),
            );
            report.add(Severity::Warning, &later.document, field.to_owned(), &reason, fix.to_owned());
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

fn claimed(sound: &Sound) -> impl Iterator<Item = Claim<String>> + use<> {
    let route = &sound.cluster.spec.route;
    claims(Some(route.value.clone()), route.default)
}

fn title(sound: &Sound) -> String {
    sound.document.title()
}

fn place(sound: &Sound, field: &str) -> String {
    let (file, line) = (sound.document.file(), sound.document.line(field));
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}
