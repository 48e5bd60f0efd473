//! `pod-service`: one pod.

use std::{process::ExitCode, sync::Arc};

use fundbond_lease::LeaseStore;
use fundbond_pod_service::{PodService, Program, open_lease};
use fundbond_service_runtime::{Shutdown, config, exit, healthcheck, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let program: Program = healthcheck::parse("pod-service");
    if let Err(error) = telemetry::init(&program.log) {
        return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG);
    }
    match open_lease(&program).await {
        Ok(lease) => exit::report("pod-service", run(program, lease).await),
        Err(error) => exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG),
    }
}

async fn run(
    program: Program,
    lease: Option<Arc<dyn LeaseStore>>,
) -> Result<(), fundbond_pod_service::RunError> {
    let shutdown = Shutdown::on_signals().map_err(fundbond_pod_service::RunError::Admin)?;
    let store = program.store.open()?;
    let service = match lease {
        Some(lease) => PodService::bind_with_lease(program.config, store, lease).await?,
        None => PodService::bind(program.config, store).await?,
    };
    service.serve(shutdown).await
}
