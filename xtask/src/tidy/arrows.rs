//! Which crate may depend on which, and which libraries only one crate may speak to.

use super::Violation;
use super::facts::{Kind, Member};

/// `a` may depend on each of these, in any section of its manifest. What is not listed is forbidden; a crate that is
/// not listed at all is a new crate somebody has to think about here first. ARCHITECTURE.md tells the reasons.
const ALLOWED: [(&str, &[&str]); 24] = [
    // Pure libraries and their neighbours.
    ("bonds", &[]),
    ("crds", &["protocol", "routing", "test-api-server"]),
    ("desired", &["crds", "protocol", "routing", "test-api-server"]),
    ("ledger", &["protocol"]),
    ("lease", &["test-api-server"]),
    ("protocol", &[]),
    ("routing", &["protocol"]),
    ("service-runtime", &[]),
    ("store", &["lease", "protocol"]),
    // Deployables.
    ("gateway", &["api-simulator", "crds", "protocol", "routing", "service-runtime", "test-api-server"]),
    (
        "operator",
        &[
            "api-simulator",
            "crds",
            "desired",
            "lease",
            "protocol",
            "routing",
            "service-runtime",
            "test-api-server",
        ],
    ),
    ("pod-service", &["bonds", "ledger", "lease", "protocol", "service-runtime", "store"]),
    ("worker", &["ledger", "lease", "protocol", "service-runtime", "store"]),
    ("ws-manager", &["lease", "protocol", "routing", "service-runtime", "store"]),
    // The whole system in one process: the one crate that may depend on deployables. It shows its demo with the
    // client and the pictures of the command line (docs/adr/0002).
    (
        "all-in-one",
        &[
            "bonds",
            "cli",
            "desired",
            "fault-proxy",
            "gateway",
            "ledger",
            "lease",
            "operator",
            "pod-service",
            "protocol",
            "routing",
            "service-runtime",
            "store",
            "worker",
            "ws-manager",
        ],
    ),
    // Around the system.
    // Behaves as Kubernetes does; knows the kinds of the system, and no deployable knows it outside its tests.
    ("api-simulator", &["crds", "test-api-server"]),
    ("cli", &["api-simulator", "bonds", "crds", "desired", "protocol", "routing", "test-api-server"]),
    ("bench", &["protocol", "service-runtime", "store"]),
    // Runs the deployables as processes, so it depends on none of them (docs/adr/0015).
    ("chaos", &["fault-proxy", "protocol", "routing", "service-runtime"]),
    // Charts are held to what the programs may do and what a FundCluster becomes.
    ("charts", &["crds", "desired", "operator", "service-runtime", "test-api-server"]),
    // Clients and promises are those of the chaos runs; what breaks is Kubernetes.
    ("e2e", &["chaos", "crds", "protocol"]),
    // Breaks connections on purpose; knows nothing of the system, and no deployable knows it.
    ("fault-proxy", &[]),
    // Runs Kubernetes' own programs; knows our definitions as files.
    ("test-api-server", &[]),
    ("xtask", &["crds", "fault-proxy"]),
];

/// Calculation and decision without a runtime: time is an argument, input and output are somebody else's.
pub const PURE: [&str; 4] = ["bonds", "desired", "protocol", "routing"];

/// What no pure crate is built from, however far away.
const IMPURE_LIBRARIES: [&str; 8] =
    ["axum", "hyper", "kube", "kube-client", "redis", "reqwest", "sqlx", "tokio"];

/// (library, the one crate of the system that names it).
const SOLE_SPEAKERS: [(&str, &str); 2] = [("redis", "store"), ("sqlx", "ledger")];

/// Speak to servers past the crate that has their rules: one measures what other rules would cost, the other makes a
/// server forget, and looks at what was left in it.
const BESIDE_THE_RULES: [&str; 2] = ["bench", "chaos"];

/// Every arrow between members, one a line, as the golden file has it.
pub fn picture(members: &[Member]) -> String {
    let mut lines = Vec::new();
    for member in members {
        if member.arrows.is_empty() {
            lines.push(format!("{}\n", member.name()));
        }
        for (to, kind) in &member.arrows {
            let section = if *kind == Kind::Normal { String::new() } else { format!(" ({kind})") };
            lines.push(format!("{} -> {to}{section}\n", member.name()));
        }
    }
    lines.sort();
    lines.concat()
}

/// Arrows that are not on the list, and crates it does not know.
pub fn check(members: &[Member]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members {
        let from = member.name();
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from) else {
            let text = "the allowed dependency arrows (xtask/src/tidy/arrows.rs, ARCHITECTURE.md) do not know this crate";
            violations.push(Violation::at(&member.folder, text));
            continue;
        };
        for (to, kind) in &member.arrows {
            // A crate may name itself as a dev-dependency to switch a feature on for its own tests.
            let own_tests = to == from && *kind == Kind::Dev;
            if !own_tests && !allowed.contains(&to.as_str()) {
                let text = format!(
                    "{from} must not depend on {to} (a {kind} dependency): the allowed arrows of {from} are {allowed:?}, \
                     written in xtask/src/tidy/arrows.rs and explained in ARCHITECTURE.md"
                );
                violations.push(Violation::at(format!("{}/Cargo.toml", member.folder), text));
            }
        }
    }
    violations
}

/// Libraries in a crate that must not have them.
pub fn check_libraries(members: &[Member]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members {
        let manifest = format!("{}/Cargo.toml", member.folder);
        if PURE.contains(&member.name()) {
            for library in IMPURE_LIBRARIES.iter().filter(|library| member.built_from.contains(**library)) {
                let text = format!(
                    "{} is pure and must not be built from {library}; `cargo tree -p <package> -i {library}` shows the way",
                    member.name()
                );
                violations.push(Violation::at(&manifest, text));
            }
        }
        for (library, speaker) in SOLE_SPEAKERS {
            if member.libraries.contains(library)
                && member.name() != speaker
                && !BESIDE_THE_RULES.contains(&member.name())
            {
                let text =
                    format!("{} must not name {library}: only libs/{speaker} speaks it", member.name());
                violations.push(Violation::at(&manifest, text));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn member(folder: &str, arrows: &[(&str, Kind)]) -> Member {
        let arrows = arrows.iter().map(|(to, kind)| ((*to).to_owned(), *kind)).collect();
        Member { folder: folder.to_owned(), arrows, ..Member::default() }
    }

    fn texts(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_allowed_arrow_is_fine_in_every_section() {
        let members = [
            member("libs/store", &[("protocol", Kind::Normal), ("protocol", Kind::Dev)]),
            member("all-in-one", &[("cli", Kind::Normal), ("gateway", Kind::Normal)]),
            member("gateway", &[("gateway", Kind::Dev)]),
        ];
        assert_eq!(texts(&check(&members)), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_arrow_names_both_crates_and_where_the_rule_is_written() {
        for kind in [Kind::Normal, Kind::Build, Kind::Dev] {
            let found = texts(&check(&[member("cli", &[("service-runtime", kind)])]));
            assert_eq!(found.len(), 1);
            assert!(
                found[0].starts_with("cli/Cargo.toml: cli must not depend on service-runtime"),
                "{found:?}"
            );
            assert!(
                found[0].contains("xtask/src/tidy/arrows.rs") && found[0].contains("ARCHITECTURE.md"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn deployables_are_for_the_all_in_one_alone() {
        for from in ["cli", "bench", "xtask", "gateway", "libs/store", "worker"] {
            assert_eq!(check(&[member(from, &[("pod-service", Kind::Normal)])]).len(), 1, "{from}");
        }
    }

    #[test]
    fn a_crate_nobody_thought_about_is_told_so() {
        let found = texts(&check(&[member("libs/helpers", &[])]));
        assert!(found[0].starts_with("libs/helpers: the allowed dependency arrows"), "{found:?}");
    }

    #[test]
    fn a_pure_crate_is_built_from_no_runtime_however_far() {
        let built_from = |name: &str| BTreeSet::from(["serde".to_owned(), name.to_owned()]);
        for library in IMPURE_LIBRARIES {
            let pure = Member {
                folder: "libs/routing".into(),
                built_from: built_from(library),
                ..Member::default()
            };
            assert!(
                texts(&check_libraries(&[pure]))[0].contains(&format!("must not be built from {library}"))
            );
        }
        let other =
            Member { folder: "libs/store".into(), built_from: built_from("tokio"), ..Member::default() };
        assert_eq!(check_libraries(&[other]), []);
    }

    #[test]
    fn redis_and_sql_have_one_speaker_each() {
        let names = |folder: &str, library: &str| Member {
            folder: folder.into(),
            libraries: BTreeSet::from([library.to_owned()]),
            ..Member::default()
        };
        assert_eq!(check_libraries(&[names("libs/store", "redis"), names("libs/ledger", "sqlx")]), []);
        let found = texts(&check_libraries(&[names("gateway", "redis"), names("libs/store", "sqlx")]));
        assert!(
            found[0].contains("only libs/store speaks it") && found[1].contains("only libs/ledger"),
            "{found:?}"
        );
    }

    #[test]
    fn the_picture_has_one_sorted_line_an_arrow_and_names_lonely_crates() {
        let members =
            [member("xtask", &[]), member("cli", &[("routing", Kind::Dev), ("protocol", Kind::Normal)])];
        assert_eq!(picture(&members), "cli -> protocol\ncli -> routing (dev)\nxtask\n");
    }
}
