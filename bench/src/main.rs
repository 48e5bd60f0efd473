//! Parse, run, exit.

use std::process::ExitCode;

use fundbond_service_runtime::config;

#[tokio::main]
async fn main() -> ExitCode {
    fundbond_bench::main(config::parse()).await
}
