//! Golden files: what a person reads, byte by byte. `UPDATE=1 cargo test -p fundbond-cli` rewrites them.

use std::{env, fs, path::Path};

/// `actual` is what the file `tests/golden/<name>` has.
#[track_caller]
pub(crate) fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{name} differs; UPDATE=1 rewrites it");
}
