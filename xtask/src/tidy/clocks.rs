//! No pure crate reads a clock or starts a thread: time is an argument there.

use super::Violation;
use super::arrows::PURE;
use super::tokens::Source;

/// What reads a clock or spawns. A name alone where it has no innocent use.
const IMPURE_CALLS: [&[&str]; 8] = [
    &["SystemTime"],
    &["Instant", ":", ":", "now"],
    &["Timestamp", ":", ":", "now"],
    &["Utc", ":", ":", "now"],
    &["Zoned", ":", ":", "now"],
    &["thread", ":", ":", "sleep"],
    &["thread", ":", ":", "scope"],
    &["thread", ":", ":", "spawn"],
];

/// Clocks and threads in the sources of pure crates, tests and benches aside.
pub fn check(source: &Source) -> Vec<Violation> {
    let path = &source.file.path;
    if !PURE.iter().any(|name| path.starts_with(&format!("libs/{name}/"))) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for call in IMPURE_CALLS {
        for line in source.lines_of(call, |token| !token.test) {
            let text = format!("a pure crate does not use {}: take the time as an argument", call.concat());
            violations.push(Violation::on_line(path, line, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::{TextFile, tokens};
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Violation> {
        tokens::read(&[TextFile::new(path, text)]).0.iter().flat_map(check).collect()
    }

    #[test]
    fn every_clock_and_spawn_is_found_in_a_pure_crate() {
        for call in IMPURE_CALLS {
            let text = format!("fn f() {{\n    let x = std::{}();\n}}", call.concat());
            for crate_name in PURE {
                let found = found(&format!("libs/{crate_name}/src/lib.rs"), &text);
                assert_eq!(found.len(), 1, "{text}");
                assert!(found[0].place.ends_with("lib.rs:2"));
            }
        }
    }

    #[test]
    fn tests_comments_and_other_crates_may() {
        let text = "fn f() { Instant::now(); }";
        assert_eq!(found("gateway/src/lib.rs", text), []);
        assert_eq!(found("libs/bonds/benches/price.rs", text), []);
        assert_eq!(
            found("libs/bonds/src/lib.rs", "// Instant::now()\n#[test]\nfn f() { Instant::now(); }"),
            []
        );
        assert_eq!(
            found("libs/bonds/src/lib.rs", "fn f(now: jiff::Timestamp) -> Instant { later(now) }"),
            []
        );
    }
}
