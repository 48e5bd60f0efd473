//! No unbounded queue exists: what is full must say so to whoever fills it.

use super::Violation;
use super::tokens::Source;

const UNBOUNDED: [&[&str]; 8] = [
    &["unbounded_channel"],
    &["unbounded", "("],
    &["unbounded", ":", ":", "<"],
    &["UnboundedSender"],
    &["UnboundedReceiver"],
    // The standard library's `channel` has no bound; `sync_channel` has one.
    &["mpsc", ":", ":", "channel", "(", ")"],
    &["channel", "(", "usize", ":", ":", "MAX"],
    &["sync_channel", "(", "usize", ":", ":", "MAX"],
];

/// Queues without a bound, tests aside.
pub fn check(source: &Source) -> Vec<Violation> {
    let mut lines: Vec<usize> =
        UNBOUNDED.iter().flat_map(|sequence| source.lines_of(sequence, |token| !token.test)).collect();
    lines.extend(typed_standard_channels(source));
    lines.sort_unstable();
    lines.dedup();
    let text = "a queue without a bound: give it one, and say what happens when it is full";
    lines.into_iter().map(|line| Violation::on_line(&source.file.path, line, text)).collect()
}

/// `mpsc::channel::<T>()`, whatever `T` is.
fn typed_standard_channels(source: &Source) -> Vec<usize> {
    let start = ["mpsc", ":", ":", "channel", ":", ":", "<"];
    let windows = source.tokens.windows(start.len()).enumerate();
    windows
        .filter(|(_, window)| {
            !window[0].test && window.iter().zip(start).all(|(token, text)| token.text == text)
        })
        .filter(|(index, _)| {
            let mut depth = 1;
            let mut rest = source.tokens[index + start.len()..].iter().skip_while(|token| {
                depth += match token.text.as_str() {
                    "<" => 1,
                    ">" => -1,
                    _ => 0,
                };
                depth > 0
            });
            // `>` itself, then the arguments: an empty pair of brackets is a channel without a bound.
            rest.next();
            [rest.next(), rest.next()].map(|token| token.map(|token| token.text.as_str()))
                == [Some("("), Some(")")]
        })
        .map(|(_, window)| window[0].line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{TextFile, tokens};
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        tokens::read(&[TextFile::new(path, text)]).0.iter().flat_map(check).count()
    }

    #[test]
    fn every_kind_of_unbounded_queue_is_found() {
        for queue in [
            "mpsc::unbounded_channel()",
            "tokio::sync::mpsc::unbounded_channel::<u8>()",
            "futures::channel::mpsc::unbounded::<u8>()",
            "flume::unbounded()",
            "std::sync::mpsc::channel()",
            "mpsc::channel::<Vec<Vec<u8>>>()",
            "tokio::sync::mpsc::channel(usize::MAX)",
            "broadcast::channel(usize::MAX)",
        ] {
            assert_eq!(found("gateway/src/lib.rs", &format!("fn f() {{ let q = {queue}; }}")), 1, "{queue}");
        }
        assert_eq!(found("gateway/src/lib.rs", "struct S { queue: mpsc::UnboundedSender<u8> }"), 1);
    }

    #[test]
    fn bounded_queues_tests_and_comments_are_fine() {
        for queue in [
            "mpsc::channel(8)",
            "mpsc::channel::<Vec<u8>>(8)",
            "mpsc::sync_channel(1)",
            "broadcast::channel(2)",
        ] {
            assert_eq!(found("gateway/src/lib.rs", &format!("fn f() {{ let q = {queue}; }}")), 0, "{queue}");
        }
        assert_eq!(found("gateway/tests/it.rs", "fn f() { mpsc::unbounded_channel(); }"), 0);
        assert_eq!(found("gateway/src/lib.rs", "// unbounded_channel()\nfn f() { let unbounded = 1; }"), 0);
    }
}
