//! Parse, run, exit.

use std::process::ExitCode;

use clap::Parser as _;
use fundbond_chaos::{EXIT_BAD_CONFIG, Options};

// Two threads: most of the machine is for the system that is broken.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Options::try_parse() {
        Ok(options) => fundbond_chaos::main(options).await,
        Err(error) => {
            // Printing can fail only where nobody reads; the exit code says the rest.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(EXIT_BAD_CONFIG) } else { ExitCode::SUCCESS }
        }
    }
}
