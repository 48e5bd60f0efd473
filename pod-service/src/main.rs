//! `pod-service`: one pod.

use std::process::ExitCode;

use clap::Parser;
use fundbond_pod_service::{Config, PodService};
use fundbond_service_runtime::{Shutdown, config, exit, healthcheck, telemetry};
use fundbond_store::StoreAddress;

/// Runs fund calculations and streams their progress.
#[derive(Parser, Debug)]
#[command(version)]
struct Program {
    #[command(flatten)]
    config: Config,
    /// Where tasks and events are kept: `memory`, or redis://[user:password@]host[:port][/db] to work together
    /// with other pods. Passwords belong into the environment, not on the command line.
    #[arg(long, env = "FUND_STORE", hide_env_values = true, default_value = "memory")]
    store: StoreAddress,
    #[command(flatten)]
    log: telemetry::LogArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program: Program = healthcheck::parse("pod-service");
    if let Err(error) = telemetry::init(&program.log) {
        return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG);
    }
    exit::report("pod-service", run(program).await)
}

async fn run(program: Program) -> Result<(), fundbond_pod_service::RunError> {
    let shutdown = Shutdown::on_signals().map_err(fundbond_pod_service::RunError::Admin)?;
    let service = PodService::bind(program.config, program.store.open()?).await?;
    service.serve(shutdown).await
}
