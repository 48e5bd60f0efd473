//! Parse, run, exit.

use std::process::ExitCode;

use fundbond_service_runtime::config;

// Two threads: most of the machine is for the system that is broken.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    fundbond_chaos::main(config::parse()).await
}
