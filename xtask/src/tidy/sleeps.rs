//! Tests never sleep: they pause time or wait for a condition. Where real waiting cannot be avoided (polling a
//! condition of another process under a deadline), the line or the one above it says `sleep-ok:` and why.

use super::tokens::{Source, is_test_path};
use super::{TextFile, Violation};

const EXCUSE: &str = "sleep-ok:";
const TEXT: &str = "a test sleeps: pause time, wait for a condition, or say `sleep-ok: <why>` beside it";
/// What sleeps in other languages; each is followed by its argument.
const SCRIPT_SLEEPS: [(&str, &str); 4] =
    [("py", "sleep("), ("mjs", "setTimeout("), ("ts", "setTimeout("), ("sh", "sleep ")];

/// Sleeps in Rust tests.
pub fn check(source: &Source) -> Vec<Violation> {
    let lines: Vec<&str> = source.file.text.lines().collect();
    let calls = source.tokens.windows(2).filter(|window| {
        let sleeps =
            matches!(window[0].text.as_str(), "sleep" | "sleep_until" | "sleep_ms") && window[1].text == "(";
        sleeps && window[0].test
    });
    let mut violations = Vec::new();
    for call in calls {
        let line = call[0].line;
        // Paused time does not reach the thread's own sleep.
        let real = lines.get(line - 1).is_some_and(|text| text.contains("thread::sleep"));
        if (real || !call[0].paused) && !excused(&lines, line) {
            violations.push(Violation::on_line(&source.file.path, line, TEXT));
        }
    }
    violations
}

/// Sleeps in tests that are not Rust.
pub fn check_scripts(files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| is_test_path(&file.path)) {
        let Some((_, sleep)) = SCRIPT_SLEEPS.iter().find(|(extension, _)| *extension == file.extension())
        else {
            continue;
        };
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let comment = code.starts_with('#') || code.starts_with("//");
            if !comment && code.contains(sleep) && !excused(&lines, index + 1) {
                violations.push(Violation::on_line(&file.path, index + 1, TEXT));
            }
        }
    }
    violations
}

/// Whether the line (counted from 1) or the one above it gives a reason.
fn excused(lines: &[&str], line: usize) -> bool {
    let gives_reason =
        |text: &&str| text.split_once(EXCUSE).is_some_and(|(_, reason)| !reason.trim().is_empty());
    lines[line.saturating_sub(2)..line.min(lines.len())].iter().any(gives_reason)
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let files = [TextFile::new(path, text)];
        tokens::read(&files).0.iter().flat_map(check).map(|violation| violation.place).collect()
    }

    #[test]
    fn a_sleep_in_a_test_is_found_wherever_tests_are() {
        let body = "fn f() {\n    tokio::time::sleep(LONG).await;\n}";
        assert_eq!(found("gateway/tests/it.rs", body), ["gateway/tests/it.rs:2"]);
        assert_eq!(
            found("gateway/src/lib.rs", &format!("#[tokio::test]\nasync {body}")),
            ["gateway/src/lib.rs:3"]
        );
        assert_eq!(found("gateway/src/lib.rs", &format!("#[cfg(test)]\nmod tests {{ {body} }}")).len(), 1);
        assert_eq!(found("gateway/tests/it.rs", "fn f() { sleep_until(later) }").len(), 1);
    }

    #[test]
    fn paused_time_and_production_code_may_sleep() {
        let text = "#[tokio::test(start_paused = true)]\nasync fn f() { sleep(LONG).await }";
        assert_eq!(found("gateway/tests/it.rs", text), Vec::<String>::new());
        assert_eq!(found("gateway/src/lib.rs", "async fn f() { sleep(LONG).await }"), Vec::<String>::new());
    }

    #[test]
    fn paused_time_does_not_excuse_a_sleeping_thread() {
        let text = "#[tokio::test(start_paused = true)]\nasync fn f() { std::thread::sleep(LONG) }";
        assert_eq!(found("gateway/tests/it.rs", text).len(), 1);
    }

    #[test]
    fn an_excuse_needs_a_reason_and_stands_beside_the_sleep() {
        let test = |above: &str, beside: &str| {
            found("a/tests/it.rs", &format!("fn f() {{\n{above}\nsleep(x);{beside}\n}}")).len()
        };
        assert_eq!(test("// sleep-ok: polls another process", ""), 0);
        assert_eq!(test("", "// sleep-ok: polls another process"), 0);
        assert_eq!(test("// sleep-ok:", ""), 1);
        assert_eq!(test("// sleep-ok: far away\n\n", ""), 1);
    }

    #[test]
    fn scripts_among_the_tests_do_not_sleep_either() {
        let place = |path: &str, text: &str| check_scripts(&[TextFile::new(path, text)]).len();
        assert_eq!(place("a/tests/x.py", "time.sleep(1)"), 1);
        assert_eq!(place("a/tests/x.mjs", "setTimeout(f, 1)"), 1);
        assert_eq!(place("a/tests/x.sh", "sleep 1"), 1);
        assert_eq!(place("a/tests/x.sh", "# sleep 1"), 0);
        assert_eq!(place("a/tests/x.py", "time.sleep(1)  # sleep-ok: polls"), 0);
        assert_eq!(place("a/src/x.py", "time.sleep(1)"), 0);
    }
}
