//! Every member inherits what the workspace settles: version, edition, licence, lints, and versions of dependencies.

use super::facts::Member;
use super::{TextFile, Violation};

/// (section, line) every manifest has.
const INHERITED: [(&str, &str); 6] = [
    ("package", "version.workspace = true"),
    ("package", "edition.workspace = true"),
    ("package", "rust-version.workspace = true"),
    ("package", "license.workspace = true"),
    ("package", "publish.workspace = true"),
    ("lints", "workspace = true"),
];

/// Manifests that settle something themselves.
pub fn check(members: &[Member], files: &[TextFile]) -> Vec<Violation> {
    members
        .iter()
        .flat_map(|member| {
            let path = format!("{}/Cargo.toml", member.folder);
            match files.iter().find(|file| file.path == path) {
                Some(file) => check_manifest(file),
                None => vec![Violation::at(path, "a member whose manifest Git does not know")],
            }
        })
        .collect()
}

fn check_manifest(file: &TextFile) -> Vec<Violation> {
    let lines: Vec<(usize, &str, &str)> = sections(&file.text);
    let mut violations = Vec::new();
    for (section, wanted) in INHERITED {
        if !lines.iter().any(|(_, found, line)| *found == section && *line == wanted) {
            violations.push(Violation::at(&file.path, format!("[{section}] must say `{wanted}`")));
        }
    }
    for (number, section, line) in lines {
        let dependency = section.ends_with("dependencies") && line.contains('=');
        if dependency && !line.contains("workspace = true") {
            let text =
                format!("`{line}` settles a version here: write it in the root manifest and inherit it");
            violations.push(Violation::on_line(&file.path, number, text));
        }
    }
    violations
}

/// (line number, section, line) of every line that says something.
fn sections(manifest: &str) -> Vec<(usize, &str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if !line.is_empty() && !line.starts_with('#') {
            found.push((index + 1, section, line));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n\
                        [lints]\nworkspace = true\n\n[dependencies]\n# why\nserde.workspace = true\n\
                        tokio = { workspace = true, features = [\"test-util\"] }\n";

    fn found(manifest: &str) -> Vec<String> {
        let members = [Member { folder: "libs/a".into(), ..Member::default() }];
        let files = [TextFile::new("libs/a/Cargo.toml", manifest)];
        check(&members, &files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_manifest_that_inherits_everything_is_fine() {
        assert_eq!(found(GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_missing_line_is_a_violation() {
        for (section, line) in INHERITED {
            let found = found(&GOOD.replacen(&format!("\n{line}\n"), "\n", 1));
            assert_eq!(found, [format!("libs/a/Cargo.toml: [{section}] must say `{line}`")]);
        }
    }

    #[test]
    fn a_version_of_its_own_is_a_violation() {
        for line in ["serde = \"1\"", "serde = { version = \"1\" }", "b = { path = \"../b\" }"] {
            let found = found(&format!("{GOOD}{line}\n"));
            assert_eq!(found.len(), 1, "{line}");
            assert!(found[0].contains("write it in the root manifest"), "{found:?}");
        }
        let found = found(&format!("{GOOD}\n[target.'cfg(unix)'.dev-dependencies]\nserde = \"1\"\n"));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_member_without_a_manifest_in_git_is_a_violation() {
        assert_eq!(check(&[Member { folder: "a".into(), ..Member::default() }], &[]).len(), 1);
    }
}
