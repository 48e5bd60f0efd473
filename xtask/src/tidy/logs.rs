//! Log lines say nothing that the reference page of logs does not explain, and tell an error with all its causes.

use std::collections::BTreeSet;

use super::tokens::{Source, Token};
use super::{TextFile, Violation};

/// The page, which is made from the list in `libs/service-runtime`.
const PAGE: &str = "docs/reference/logs.md";

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// Programs that run no part of the system: equipment of tests and of this repository.
const EQUIPMENT: [&str; 5] = ["bench/", "chaos/", "fuzz/", "libs/fault-proxy/", "xtask/"];

/// Names that are there whatever a line says.
const OF_EVERY_LINE: [&str; 4] = ["level", "ts", "msg", "target"];

/// Fields of the contract, which have their place on the page even where no line has them yet.
const PROMISED: [&str; 2] = ["tradeId", "symbol"];

/// One field of one line.
#[derive(Debug)]
struct Field {
    name: String,
    line: usize,
    /// Whether it is shown by its own text alone, which leaves out what caused it.
    bare: bool,
}

/// Fields that the page does not know, fields that only the page knows, and errors without their causes.
pub fn check(sources: &[Source], files: &[TextFile]) -> Vec<Violation> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![Violation::at(PAGE, "is missing: run `cargo xtask reference`")];
    };
    let known: BTreeSet<&str> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let mut violations = Vec::new();
    let mut used: BTreeSet<String> = OF_EVERY_LINE.into_iter().chain(PROMISED).map(str::to_owned).collect();
    let product = |source: &&Source| !EQUIPMENT.iter().any(|folder| source.file.path.starts_with(folder));
    for source in sources.iter().filter(product) {
        for field in fields(&source.tokens) {
            let at = |text: String| Violation::on_line(&source.file.path, field.line, text);
            if field.name == "error" && field.bare {
                violations.push(at("tell an error with its causes: `error = chain(&error)`".to_owned()));
            }
            if !known.contains(field.name.as_str()) {
                let text = format!(
                    "the log field `{}` is not in libs/service-runtime/src/telemetry/fields.rs: use a name that is, or \
                     explain it there and run `cargo xtask reference`",
                    field.name
                );
                violations.push(at(text));
            }
            used.insert(field.name);
        }
    }
    for name in known.into_iter().filter(|name| !used.contains(*name)) {
        violations.push(Violation::at(PAGE, format!("no line of the code has the field `{name}`")));
    }
    violations
}

/// Every field of `tracing::level!(...)` and `tracing::level_span!(...)`, tests aside.
fn fields(tokens: &[Token]) -> Vec<Field> {
    let mut found = Vec::new();
    for (index, window) in tokens.windows(6).enumerate() {
        let texts = window.each_ref_text();
        let level = texts[3].strip_suffix("_span").unwrap_or(texts[3]);
        if window[0].test
            || texts[..3] != ["tracing", ":", ":"]
            || !LEVELS.contains(&level)
            || texts[4..] != ["!", "("]
        {
            continue;
        }
        let mut parts = split(&tokens[index + 6..]).into_iter();
        if texts[3].ends_with("_span") {
            // Its name.
            parts.next();
        }
        for part in parts.map(part) {
            match part {
                Part::Field(field) => found.push(field),
                Part::Setting => {}
                Part::Text => break,
            }
        }
    }
    found
}

trait Texts {
    fn each_ref_text(&self) -> Vec<&str>;
}

impl Texts for [Token] {
    fn each_ref_text(&self) -> Vec<&str> {
        self.iter().map(|token| token.text.as_str()).collect()
    }
}

/// The arguments of a macro whose opening bracket was just read.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => {
                parts.push(&tokens[start..index]);
                break;
            }
            ")" | "]" | "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tokens[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts
}

/// One argument of a macro.
enum Part {
    Field(Field),
    /// `target: ...` and its like.
    Setting,
    /// The text of the event, behind which are only its own arguments; or nothing, behind the last comma.
    Text,
}

fn part(part: &[Token]) -> Part {
    let Some(first) = part.first().filter(|first| first.string().is_none()) else { return Part::Text };
    let texts = part.each_ref_text();
    if texts.get(1) == Some(&":") {
        return Part::Setting;
    }
    let sign = |text: &str| matches!(text, "%" | "?");
    let shorthand = sign(texts[0]);
    let words = texts.iter().skip(usize::from(shorthand));
    let name: String = words.take_while(|text| **text != "=").copied().collect();
    let value = texts.iter().skip_while(|text| **text != "=").nth(1);
    let bare = shorthand || value.is_some_and(|value| sign(value));
    Part::Field(Field { name, line: first.line, bare })
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;

    const KNOWN: &str = "| field | meaning |\n|---|---|\n| `error` | x. |\n| `pod` | y. |\n";

    fn found(text: &str) -> Vec<String> {
        let files = [TextFile::new("gateway/src/a.rs", text), TextFile::new(PAGE, KNOWN)];
        let (sources, unreadable) = tokens::read(&files);
        assert!(unreadable.is_empty(), "{unreadable:?}");
        check(&sources, &files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_line_of_known_fields_is_fine() {
        let text = r#"fn f() {
            tracing::warn!(target: "x", error = chain(&a, "b"), %pod, "text {} of {}", unknown, other);
            let span = tracing::error_span!("pod", pod = tracing::field::Empty);
        }"#;
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn a_field_that_nobody_explains_is_found_in_any_form() {
        for form in ["other = 1", "%other", "?other", "other", "other = %x.y(1, 2)"] {
            let text = format!("fn f() {{ tracing::info!(error = chain(&e), pod, {form}, \"text\"); }}");
            let found = found(&text);
            assert!(found.len() == 1 && found[0].contains("`other`"), "{form}: {found:?}");
        }
        let span = "fn f() { tracing::info_span!(\"s\", pod, error = chain(&e), other = 1); }";
        assert_eq!(found(span).len(), 1);
    }

    #[test]
    fn an_error_without_its_causes_is_found() {
        for form in ["%error", "?error", "error = %e", "error = ?e"] {
            let found = found(&format!("fn f() {{ tracing::info!({form}, pod, \"text\"); }}"));
            assert!(found.len() == 1 && found[0].contains("causes"), "{form}: {found:?}");
        }
    }

    #[test]
    fn a_field_that_no_line_has_is_found() {
        let found = found("fn f() { tracing::info!(pod, \"text\"); }");
        assert_eq!(found, [format!("{PAGE}: no line of the code has the field `error`")]);
    }

    #[test]
    fn tests_may_log_what_they_like() {
        let text = "fn f() { tracing::info!(pod, error = chain(&e), \"x\"); } #[test] fn g() { tracing::info!(odd, \"x\"); }";
        assert_eq!(found(text), [""; 0]);
    }
}
