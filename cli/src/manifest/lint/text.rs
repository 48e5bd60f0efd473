//! What is wrong, for people.

use std::fmt::Write as _;

use super::{Problem, Report, Severity};
use crate::{
    manifest::{error::Count, wrap},
    render::{Style, printable},
};

/// Every problem: where it is, then field, reason and fix.
pub fn text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        one(&mut text, problem, style);
    }
    text
}

fn one(text: &mut String, problem: &Problem, style: Style) {
    let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
    let severity = match problem.severity {
        Severity::Error => style.bad("error"),
        Severity::Warning => style.warn("warning"),
    };
    let head = format!("{}{line}: {severity} in {}", printable(&problem.file), printable(&problem.object));
    // A colour has no width, so what is coloured is not wrapped: a title is as long as its names.
    let _ = writeln!(text, "{}", if style == Style::PLAIN { wrap::hanging(&head) } else { head });
    for (label, value) in [("field", &problem.field), ("reason", &problem.reason), ("fix", &problem.fix)] {
        if !value.is_empty() {
            let _ = writeln!(text, "{}", wrap::labelled(&format!("    {label:<8}"), &printable(value)));
        }
    }
}

/// How much was looked at.
pub fn summary(report: &Report) -> String {
    let checked = Count(report.checked, "object");
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let mut said = vec![format!("{checked} checked")];
    if errors > 0 {
        said.push(Count(errors, "error").to_string());
    }
    if warnings > 0 {
        said.push(Count(warnings, "warning").to_string());
    }
    if report.passed_over > 0 {
        said.push(format!("{} of other kinds passed over", Count(report.passed_over, "object")));
    }
    said.join(", ")
}
