//! How a process ends: one line a cause on stderr, and an exit code.

use std::{error::Error, fmt::Write as _, io::Write as _, process::ExitCode};

use crate::{config::EXIT_BAD_CONFIG, telemetry};

/// The error and its causes in one line, joined by `: `. A cause that says what was said before it is left out:
/// libraries that put their causes into what they say themselves have them as causes, too.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        source = cause.source();
    }
    text
}

/// Turns the end of `main` into an exit code; an error is printed with its causes and gives 1.
pub fn report<E: Error + 'static>(program: &str, result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(program, &error, 1),
    }
}

/// Says `error` with its causes and gives `code`: as a log line where standard error is for machines, as a line for
/// people elsewhere, and always where the configuration is to blame, which is a person's to mend.
pub fn fail(program: &str, error: &(dyn Error + 'static), code: u8) -> ExitCode {
    if telemetry::speaks_json() && code != EXIT_BAD_CONFIG {
        tracing::error!(program, error = chain(error), "ended");
        return ExitCode::from(code);
    }
    // Where stderr is gone the exit code still speaks.
    let _ = writeln!(std::io::stderr(), "{program}: {}", chain(error));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the shop")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let error = Outer(std::io::Error::other("no key"));
        assert_eq!(chain(&error), "cannot open the shop: no key");
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Wrapper(#[source] std::io::Error);
        let error = Wrapper(std::io::Error::other("no key"));
        assert_eq!(chain(&error), "no key");
    }

    #[test]
    fn nor_is_one_that_was_told_in_the_middle() {
        #[derive(Debug, thiserror::Error)]
        #[error("nowhere: (no file: {0}), and in no pod")]
        struct Within(#[source] std::io::Error);
        assert_eq!(
            chain(&Within(std::io::Error::other("no key"))),
            "nowhere: (no file: no key), and in no pod"
        );
    }
}
