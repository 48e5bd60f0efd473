//! The shape of files: no `mod.rs`, none too long, a README one can read.

use super::{TextFile, Violation};

/// Beyond this a file is no longer read, only searched.
const MOST_LINES: usize = 500;
/// A README is the first minute of a reader.
const MOST_README_LINES: usize = 150;
/// Files people write by hand; data, locks and prose are as long as they are.
const SOURCE_EXTENSIONS: [&str; 12] =
    ["css", "html", "js", "lua", "mjs", "py", "rs", "scss", "sh", "sql", "toml", "ts"];

/// (path, why it is long). An entry that is no longer needed is a violation too.
const LONG_FILES: [(&str, &str); 0] = [];

/// Files in a shape the repository does not want.
pub fn check(files: &[TextFile]) -> Vec<Violation> {
    let mut violations = no_mod_files(files);
    violations.extend(readme(files));
    violations.extend(lengths(files, &LONG_FILES));
    violations
}

fn no_mod_files(files: &[TextFile]) -> Vec<Violation> {
    let mod_files = files.iter().filter(|file| file.name() == "mod.rs");
    mod_files
        .map(|file| {
            let folder = file.path.trim_end_matches("/mod.rs");
            Violation::at(&file.path, format!("no mod.rs: call it {folder}.rs, beside the folder"))
        })
        .collect()
}

fn readme(files: &[TextFile]) -> Vec<Violation> {
    let Some(readme) = files.iter().find(|file| file.path == "README.md") else {
        return vec![Violation::at("README.md", "the repository has no README")];
    };
    let lines = readme.text.lines().count();
    if lines < MOST_README_LINES {
        return Vec::new();
    }
    let text = format!("{lines} lines; a README has fewer than {MOST_README_LINES}: move the rest to docs/");
    vec![Violation::at("README.md", text)]
}

fn lengths(files: &[TextFile], allowed: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| SOURCE_EXTENSIONS.contains(&file.extension())) {
        let lines = file.text.lines().count();
        if lines > MOST_LINES && !allowed.iter().any(|(path, _)| *path == file.path) {
            let text = format!("{lines} lines, at most {MOST_LINES}: divide it by what it does");
            violations.push(Violation::at(&file.path, text));
        }
    }
    for (path, _) in allowed {
        let still_long =
            files.iter().any(|file| file.path == *path && file.text.lines().count() > MOST_LINES);
        if !still_long {
            violations
                .push(Violation::at(*path, "listed as a long file in xtask/src/tidy/shape.rs, and is none"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, count: usize) -> TextFile {
        TextFile::new(path, "line\n".repeat(count))
    }

    #[test]
    fn a_mod_file_is_told_its_new_name() {
        let files = [TextFile::new("gateway/src/http/mod.rs", ""), TextFile::new("gateway/src/mode.rs", "")];
        let found = no_mod_files(&files);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("gateway/src/http.rs"));
    }

    #[test]
    fn a_long_readme_and_a_missing_one_are_violations() {
        assert_eq!(readme(&[lines("README.md", 149)]), []);
        assert_eq!(readme(&[lines("README.md", 150)]).len(), 1);
        assert_eq!(readme(&[lines("docs/README.md", 10)]).len(), 1);
    }

    #[test]
    fn a_long_source_file_is_a_violation_unless_listed() {
        assert_eq!(
            lengths(&[lines("a.rs", 500), lines("Cargo.lock", 5000), lines("data.csv", 5000)], &[]),
            []
        );
        assert_eq!(lengths(&[lines("a.rs", 501), lines("b.lua", 501)], &[]).len(), 2);
        assert_eq!(lengths(&[lines("a.rs", 501)], &[("a.rs", "a table")]), []);
    }

    #[test]
    fn a_listed_file_that_is_short_or_gone_is_a_violation() {
        assert_eq!(lengths(&[lines("a.rs", 10)], &[("a.rs", "was a table")]).len(), 1);
        assert_eq!(lengths(&[], &[("gone.rs", "was a table")]).len(), 1);
    }
}
