//! Parse, run, report, exit.

use std::process::ExitCode;

use clap::Parser;
use fundbond_cli::{args::Cli, commands, error};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let program = cli.global.program();
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => error::report(&error, &program),
    }
}
