//! Parse, run, exit.

use std::process::ExitCode;

use fundbond::Options;
use fundbond_service_runtime::config;

fn main() -> ExitCode {
    fundbond::run(config::parse::<Options>())
}
