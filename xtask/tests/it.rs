//! The repository keeps its own rules, and its dependency arrows are those of the golden file.

use std::fs;
use xtask::tidy::{Repository, arrows};

#[test]
fn the_repository_keeps_every_rule() {
    let repository = Repository::load().unwrap();
    assert!(repository.files.len() > 10, "only {} files were found", repository.files.len());
    let violations: Vec<String> = repository.violations().iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "broken rules:\n{}", violations.join("\n"));
}

#[test]
fn the_dependency_arrows_are_those_of_the_golden_file() {
    let repository = Repository::load().unwrap();
    let picture = arrows::picture(&repository.members);
    let golden = repository.root.join("xtask/tests/golden/arrows.txt");
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&golden, &picture).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(picture, expected, "if this arrow is meant, run it again with UPDATE=1");
}
