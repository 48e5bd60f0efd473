//! What sets of values become, as text that a reviewer can read and compare.

use crate::{
    helm::{MAIN, template, value_files, values},
    hold,
};

#[test]
fn each_set_of_values_becomes_what_it_became() {
    for name in value_files("good") {
        let file = values(&name);
        let made = template(MAIN, "funds-system", &["--values", file.to_str().unwrap()]);
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        // Long files of their own, and tested on their own.
        let (alerts, dashboard) = ("spec:\n  # Alerts of", "  fundbond.json: ");
        let mut text = String::new();
        for document in made.split_inclusive("\n---\n") {
            let cut = [alerts, dashboard].iter().find_map(|start| document.find(start));
            match cut {
                Some(at) => {
                    text.push_str(&document[..at]);
                    text.push_str("  # as the file has it\n---\n");
                }
                None => text.push_str(document),
            }
        }
        hold(&format!("tests/golden/{}.yaml", name.trim_start_matches("good/")), &text);
    }
}
