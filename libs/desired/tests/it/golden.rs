//! Each example beside what it becomes. `UPDATE=1 cargo test -p fundbond-desired` writes the texts anew.

use std::{env, fmt::Write as _, fs};

use crate::{EXAMPLES, example, of, path};

#[test]
fn every_example_becomes_what_stands_beside_it() {
    let mut differ = Vec::new();
    for name in EXAMPLES {
        let mut text = String::new();
        for child in of(&example(name)) {
            let _ = write!(text, "---\n{}", yaml_serde::to_string(&child.to_value()).unwrap());
        }
        let file = path(&format!("{name}.yaml"));
        if env::var_os("UPDATE").is_some() {
            fs::write(&file, &text).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != text {
            differ.push(name);
        }
    }
    assert_eq!(differ, [""; 0], "read what changed: UPDATE=1 cargo test -p fundbond-desired, then git diff");
}

// What is there and is not looked at says nothing.
#[test]
fn every_file_belongs_to_an_example() {
    let mut found: Vec<_> = fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut known: Vec<_> =
        EXAMPLES.iter().flat_map(|name| [format!("{name}.cluster.yaml"), format!("{name}.yaml")]).collect();
    known.sort();
    assert_eq!(found, known);
}
