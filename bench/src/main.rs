//! Parse, run, exit.

use std::process::ExitCode;

use clap::Parser as _;
use fundbond_bench::{EXIT_BAD_CONFIG, Options};

#[tokio::main]
async fn main() -> ExitCode {
    match Options::try_parse() {
        Ok(options) => fundbond_bench::main(options).await,
        Err(error) => {
            // Printing can fail only where nobody reads; the exit code says the rest.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(EXIT_BAD_CONFIG) } else { ExitCode::SUCCESS }
        }
    }
}
