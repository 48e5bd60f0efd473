//! Only `libs/protocol` spells a header or a Redis key. Everybody else uses its names, so that two processes cannot
//! come to disagree about a letter.

use super::Violation;
use super::tokens::Source;

/// Headers of ours beside the private ones (`x-...`): found as a whole string, or before a colon. A sentence may
/// name them. Lower case.
const HEADERS: [&str; 1] = ["last-event-id"];

/// Keys that mean nothing else: found anywhere inside a string.
const KEYS: [&str; 12] = [
    "node-dead:",
    "node-health:",
    "node-index:",
    "pod-conns:",
    "sse-alias:",
    "sse-connections",
    "sse-log:",
    "sse-meta:",
    "sse-seen:",
    "sse-tasks:",
    "sweep-fence:",
    "task-state:",
];

/// Names that are also ordinary words: found where a string starts with them as a key would, or is nothing else.
const KEY_STARTS: [&str; 12] = [
    "node-dead",
    "node-health",
    "node-index",
    "pod-conns",
    "sse-alias",
    "sse-log",
    "sse-meta",
    "sse-seen",
    "sse-tasks",
    "task-control",
    "task-events",
    "ws-events",
];

/// Strings that spell what `libs/protocol` has a name for, tests aside.
pub fn check(source: &Source) -> Vec<Violation> {
    let path = &source.file.path;
    // xtask depends on no crate of ours and has to say what it looks for.
    if path.starts_with("libs/protocol/") || path.starts_with("xtask/") {
        return Vec::new();
    }
    // `"name" = ...` stands in attributes only: the parameters of the OpenAPI document, which must be literals.
    let is_parameter = |at: usize| source.tokens.get(at + 1).is_some_and(|next| next.text == "=");
    let tokens = source.tokens.iter().enumerate().filter(|(at, token)| !token.test && !is_parameter(*at));
    let strings = tokens.filter_map(|(_, token)| Some((token, token.string()?)));
    let spelled = strings.filter_map(|(token, string)| Some((token.line, spells(&string.to_lowercase())?)));
    spelled
        .map(|(line, name)| {
            let text = format!(
                "`{name}` is spelled here: use its name in libs/protocol, the only crate that spells it"
            );
            Violation::on_line(path, line, text)
        })
        .collect()
}

/// The header or key a lower-case string spells.
fn spells(string: &str) -> Option<String> {
    let key = KEYS.iter().find(|name| string.contains(**name));
    let start = KEY_STARTS.iter().find(|name| {
        string.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.']))
    });
    let tasks = string.strip_prefix("tasks:").filter(|rest| !rest.starts_with(' ')).map(|_| "tasks:");
    if let Some(name) = key.or(start).copied().or(tasks) {
        return Some(name.to_owned());
    }
    // A header is a word of its own: the whole string, or a word before a colon, as in the head of a request.
    let whole = std::iter::once(string);
    let before_colons =
        string.split_whitespace().filter_map(|word| word.split_once(':')).map(|(word, _)| word);
    whole.chain(before_colons).find(|word| is_header(word)).map(str::to_owned)
}

/// One of ours, or any private header. (`x-forwarded-` is no header: it names a family. Nor is what begins `x-kubernetes-`:
/// that is Kubernetes' own part of a schema.)
fn is_header(word: &str) -> bool {
    let private = word.strip_prefix("x-").is_some_and(|rest| {
        let letters = rest.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '-');
        !rest.is_empty() && letters && !rest.ends_with('-') && !rest.starts_with("kubernetes-")
    });
    private || HEADERS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::super::{TextFile, tokens};
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Violation> {
        tokens::read(&[TextFile::new(path, text)]).0.iter().flat_map(check).collect()
    }

    #[test]
    fn every_spelling_of_ours_is_found() {
        for name in HEADERS.iter().chain(&KEYS).chain(&KEY_STARTS) {
            assert!(spells(name).is_some(), "{name}");
            assert_eq!(
                found("gateway/src/lib.rs", &format!("fn f() {{ g(\"{name}\") }}")).len(),
                1,
                "{name}"
            );
        }
        for text in [
            "Last-Event-ID",
            "X-Cluster-Route",
            "GET / X-Y: z",
            "x-anything",
            "tasks:{}",
            "task-events:{pod}",
        ] {
            let found = found("libs/store/src/lib.rs", &format!("\nfn f() {{ format!(\"{text}\") }}"));
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].place.ends_with(":2") && found[0].text.contains("libs/protocol"), "{found:?}");
        }
    }

    #[test]
    fn ordinary_words_are_left_alone() {
        for text in [
            "not a Last-Event-ID",
            "x-forwarded-",
            "x-kubernetes-validations",
            "text/event-stream",
            "task-eventful",
            "tasks: none",
            "x-",
            "x- y",
            "node-health is",
            "box-1",
            "tasks",
        ] {
            assert_eq!(found("libs/store/src/lib.rs", &format!("fn f() {{ g(\"{text}\") }}")), [], "{text}");
        }
    }

    #[test]
    fn parameters_of_the_document_must_be_literals() {
        let text = "#[path(params((\"Last-Event-ID\" = String, Header)))]\nfn f() {}";
        assert_eq!(found("pod-service/src/http.rs", text), []);
    }

    #[test]
    fn the_protocol_crate_tests_and_comments_may_spell() {
        let text = "fn f() { g(\"X-Cluster-Route\") }";
        for path in ["libs/protocol/src/headers.rs", "gateway/tests/it.rs", "xtask/src/tidy/spelling.rs"] {
            assert_eq!(found(path, text), [], "{path}");
        }
        assert_eq!(
            found("gateway/src/lib.rs", "/// X-Cluster-Route\n#[test]\nfn f() { g(\"X-Cluster-Route\") }"),
            []
        );
    }
}
