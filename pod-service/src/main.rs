//! `pod-service`: one pod.

use std::{process::ExitCode, sync::Arc};

use fundbond_lease::LeaseStore;
use fundbond_pod_service::{Config, PodService, Program, open_lease};
use fundbond_service_runtime::{Shutdown, config, exit, healthcheck, telemetry};
use fundbond_store::StoreAddress;

#[tokio::main]
async fn main() -> ExitCode {
    let program: Program = healthcheck::parse("pod-service");
    if let Err(error) = telemetry::init(&program.log) {
        return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG);
    }
    if let Err(error) = program.config.settings.housekeeping.check() {
        return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG);
    }
    let address = match program.address() {
        Ok(address) => address,
        Err(error) => return exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG),
    };
    match open_lease(&program).await {
        Ok(lease) => exit::report("pod-service", run(program.config, &address, lease).await),
        Err(error) => exit::fail("pod-service", &error, config::EXIT_BAD_CONFIG),
    }
}

async fn run(
    config: Config,
    address: &StoreAddress,
    lease: Option<Arc<dyn LeaseStore>>,
) -> Result<(), fundbond_pod_service::RunError> {
    let shutdown = Shutdown::on_signals().map_err(fundbond_pod_service::RunError::Admin)?;
    let store = address.open()?;
    let service = match lease {
        Some(lease) => PodService::bind_with_lease(config, store, lease).await?,
        None => PodService::bind(config, store).await?,
    };
    service.serve(shutdown).await
}
