//! What the end-to-end tests found, for people. Pure.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// A report in Markdown of results, one JSON object a line.
pub(super) fn of(results: &str, prepared: Duration, all: Duration, full: bool) -> Result<String> {
    let mut lines: Vec<Value> = Vec::new();
    for line in results.lines() {
        lines.push(serde_json::from_str(line).with_context(|| format!("no result: {line}"))?);
    }
    lines.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let failed = lines.iter().filter(|line| line["passed"] != true).count();
    let mut report = String::from("# End-to-end tests\n\n");
    let command = if full { "cargo xtask e2e --full" } else { "cargo xtask e2e" };
    writeln!(
        report,
        "`{command}`: {} tests, {failed} failed, {:.0} s, of which {:.0} s to bring the cluster up.\n",
        lines.len(),
        all.as_secs_f64(),
        prepared.as_secs_f64()
    )?;
    let mut reasons = String::new();
    report.push_str("| test | | seconds | figures |\n|---|---|---|---|\n");
    for line in &lines {
        let name =
            line["name"].as_str().context("a result has a name")?.replace("::", ": ").replace('_', " ");
        let passed = if line["passed"] == true { "passed" } else { "**FAILED**" };
        let seconds = line["seconds"].as_f64().context("a result has seconds")?;
        let figures = line["figures"].as_array().into_iter().flatten();
        let figures: Vec<String> = figures
            .filter_map(|figure| Some(format!("{} {}", figure["what"].as_str()?, figure["value"].as_str()?)))
            .collect();
        writeln!(report, "| {name} | {passed} | {seconds:.0} | {} |", figures.join("; "))?;
        if let Some(why) = line["why"].as_str() {
            // Under the table, and as it was said: it may have lines.
            write!(reasons, "\n## {name}\n\n```text\n{}\n```\n", why.trim_end())?;
        }
    }
    report.push_str(&reasons);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_every_test_with_its_figures_and_says_what_failed() {
        let results = concat!(
            r#"{"name":"pods::b_is_killed","passed":false,"why":"it lives\nstill","seconds":2.4,"figures":[]}"#,
            "\n",
            r#"{"name":"first::a","passed":true,"seconds":61.0,"figures":[{"what":"lost","value":"0"},{"what":"s","value":"3.1"}]}"#,
            "\n"
        );
        let report = of(results, Duration::from_secs(40), Duration::from_secs(100), false).unwrap();
        assert!(report.contains("`cargo xtask e2e`: 2 tests, 1 failed, 100 s, of which 40 s"), "{report}");
        let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
        assert_eq!(
            rows,
            ["| first: a | passed | 61 | lost 0; s 3.1 |", "| pods: b is killed | **FAILED** | 2 |  |"]
        );
        assert!(report.ends_with("|\n\n## pods: b is killed\n\n```text\nit lives\nstill\n```\n"), "{report}");
        assert!(of("no json\n", Duration::ZERO, Duration::ZERO, true).is_err());
    }
}
