//! Findings for people: worst last would be nearest the prompt, yet the order of the checks is the order to mend things in.

use std::fmt::Write as _;

use super::{Finding, Level, count};
use crate::{
    output,
    render::{Style, printable},
};

/// Where what was found begins.
const MARGIN: usize = 20;

/// A paragraph for each finding. Commands are not broken, so that they can be copied.
pub fn text(findings: &[Finding], width: Option<usize>, style: Style) -> String {
    let mut text = String::new();
    for finding in findings {
        let what = if finding.object.is_empty() {
            finding.what.clone()
        } else {
            format!("{}: {}", finding.object, finding.what)
        };
        let body = output::wrapped(&printable(&what), MARGIN, width);
        // The same width in every colour.
        let word = match finding.level {
            Level::Ok => style.good("ok    "),
            Level::Unknown => style.step("?     "),
            Level::Warn => style.warn("warn  "),
            Level::Fail => style.bad("FAIL  "),
        };
        let _ = writeln!(text, "{word}{:<14}{}", finding.check, body.trim_start());
        if finding.level == Level::Ok {
            continue;
        }
        if !finding.next.is_empty() {
            let _ = writeln!(text, "      next: {}", style.bold(&printable(&finding.next)));
        }
        if let Some(runbook) = finding.runbook {
            let _ = writeln!(text, "      see:  docs/runbooks/{runbook}.md");
        }
    }
    text
}

/// How many of each.
pub fn summary(findings: &[Finding]) -> String {
    let number = |level| findings.iter().filter(|finding| finding.level == level).count();
    let mut parts = Vec::new();
    for (level, what) in [(Level::Fail, "failure"), (Level::Warn, "warning")] {
        if number(level) > 0 {
            parts.push(count(number(level), what));
        }
    }
    if number(Level::Unknown) > 0 {
        parts.push(format!("{} not looked at", number(Level::Unknown)));
    }
    if parts.is_empty() { "all is well".to_owned() } else { parts.join(", ") }
}
