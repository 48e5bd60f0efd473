//! `pod-service`: one pod.

use std::process::ExitCode;

use fundbond_pod_service::{PodService, Program};
use fundbond_service_runtime::{Shutdown, config, exit, healthcheck, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let program: Program = healthcheck::parse("pod-service");
    if let Err(error) = telemetry::init(&program.log) {
        return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG);
    }
    if let Err(error) = program.lease.fits(&program.store) {
        return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG);
    }
    exit::report("pod-service", run(program).await)
}

async fn run(program: Program) -> Result<(), fundbond_pod_service::RunError> {
    let shutdown = Shutdown::on_signals().map_err(fundbond_pod_service::RunError::Admin)?;
    let service = PodService::bind(program.config, program.store.open()?).await?;
    service.serve(shutdown).await
}
