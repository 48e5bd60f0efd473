//! `cargo xtask reference`: writes the pages of `docs/reference` anew.
//!
//! The pages are made by tests of `all-in-one`, the one crate that knows every program, of `operator`, and of `crds`, which
//! writes its definitions too; those of `charts` write what the charts have from these. What makes them is what holds them to the code. This only asks them to write instead of compare.

use crate::process;
use anyhow::Result;

/// Writes every page.
pub fn run() -> Result<()> {
    for (package, tests) in TESTS {
        let mut command = process::cargo(["test", "-p", package, "--test", "it"]);
        command.args(process::lock_flag()).args(["--", "--exact"]).args(tests).env("UPDATE", "1");
        process::run(&mut command)?;
    }
    Ok(())
}

/// The tests that compare what is written, and write it under `UPDATE=1`.
const TESTS: [(&str, &[&str]); 4] = [
    ("fundbond", &["reference::every_page_is_what_the_code_says"]),
    (
        "fundbond-crds",
        &["definitions::the_files_are_what_the_types_say", "reference::the_page_is_what_the_types_say"],
    ),
    (
        "fundbond-charts",
        &[
            "definitions::the_templates_are_what_the_types_say",
            "rights::the_rules_are_those_of_the_operator_with_a_reason_beside_each",
            "values::every_value_has_a_comment_and_the_schema_says_the_same",
        ],
    ),
    ("fundbond-operator", &["reference::the_page_is_what_the_operator_may_do"]),
];
