//! Answer a shell, or parse, run, report, exit.

use std::process::ExitCode;

use clap::FromArgMatches as _;
use fundbond_cli::{args::Cli, commands, completion, error, program};

fn main() -> ExitCode {
    completion::answer_if_asked();
    let cli = Cli::from_arg_matches(&program::command().get_matches()).unwrap_or_else(|error| error.exit());
    let program = cli.global.program();
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => error::report(&error, &program),
    }
}
