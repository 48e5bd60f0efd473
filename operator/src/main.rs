//! `operator`: one of several that look after the FundClusters of a Kubernetes.

use std::process::ExitCode;

use fundbond_operator::{Operator, Program, RunError, Surroundings};
use fundbond_service_runtime::{Shutdown, config, exit, healthcheck, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let program: Program = healthcheck::parse("operator");
    if let Err(error) = telemetry::init(&program.log) {
        return exit::fail("operator", &error, config::EXIT_BAD_CONFIG);
    }
    match Surroundings::of_environment(&program.config).await {
        Ok(surroundings) => exit::report("operator", run(program, surroundings).await),
        Err(error) => exit::fail("operator", &error, config::EXIT_BAD_CONFIG),
    }
}

async fn run(program: Program, surroundings: Surroundings) -> Result<(), RunError> {
    let shutdown = Shutdown::on_signals().map_err(RunError::Admin)?;
    Operator::bind(program.config, surroundings).await?.run(shutdown).await
}
