//! `lint`: what a server would refuse, and what a person would regret.

use std::io::{self, Write};

use serde_json::json;

use super::say;
use crate::{
    args::{Format, Global, manifest::LintArgs},
    error::{Error, Exit},
    manifest::{
        File, ManifestError,
        file::read,
        lint::{self, Report, Severity},
    },
    output,
    render::Style,
};

/// Where objects are that name no namespace; which one does not matter to any rule.
const NAMESPACE: &str = "default";

/// Writes every problem to standard output.
pub(super) fn run(global: &Global, args: &LintArgs) -> Result<Exit, Error> {
    let files = read(&args.manifests)?;
    let report = lint::lint(&files, NAMESPACE);
    write(&mut io::stdout().lock(), global.output, &report)?;
    some(&files, &report)?;
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    say(&lint::summary(&report));
    if errors == 0 && (warnings == 0 || !args.strict) {
        return Ok(Exit::Ok);
    }
    Err(ManifestError::Refused { errors, warnings, strict: args.strict }.into())
}

/// Files without anything of ours are the wrong files.
pub(super) fn some(files: &[File], report: &Report) -> Result<(), Error> {
    if report.checked > 0 || report.count(Severity::Error) > 0 {
        return Ok(());
    }
    let files = files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ");
    Err(ManifestError::NoCluster { files }.into())
}

fn write(out: &mut dyn Write, format: Format, report: &Report) -> io::Result<()> {
    match format {
        Format::Table => out.write_all(lint::text(report, Style::of_stdout()).as_bytes())?,
        Format::Ndjson => {
            for problem in &report.problems {
                output::document(out, format, problem)?;
            }
        }
        Format::Json | Format::Yaml => {
            let whole = json!({
                "checked": report.checked,
                "passedOver": report.passed_over,
                "errors": report.count(Severity::Error),
                "warnings": report.count(Severity::Warning),
                "problems": report.problems,
            });
            output::document(out, format, &whole)?;
        }
    }
    out.flush()
}
