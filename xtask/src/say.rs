//! What a chore tells the person who started it. Everything goes to stderr; stdout belongs to the programs it runs.

#![expect(clippy::print_stderr, reason = "the one place of a command-line tool that prints")]

/// A heading, so that a long log falls into parts.
pub fn section(title: &str) {
    eprintln!("\n== {title}");
}

/// One line of progress or outcome.
pub fn line(text: &str) {
    eprintln!("{text}");
}

/// The error that ended the chore, on one line with its causes.
pub fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
