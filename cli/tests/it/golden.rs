//! What a person reads, byte by byte. `UPDATE=1 cargo test -p fundbond-cli` rewrites it.

use std::{env, fs, path::Path};

use crate::fundctl::Run;

/// What a run wrote and how it ended is what the file `tests/golden/<name>` has, and fits 80 columns.
#[track_caller]
pub(crate) fn check(name: &str, command: &str, run: &Run) {
    let said: Vec<String> = run.err.lines().map(|line| format!("stderr| {line}\n")).collect();
    let actual = format!("$ {command}\n{}{}exit {}\n", run.out, said.concat(), run.code.unwrap());
    let wide: Vec<_> =
        run.out.lines().chain(run.err.lines()).filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, [""; 0], "{name}: wider than 80 columns");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{name} differs; UPDATE=1 rewrites it");
}
