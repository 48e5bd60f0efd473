//! Picks the cluster: see the library for everything.

use std::process::ExitCode;

use fundbond_gateway::{
    Role,
    config::{GatewayOptions, One},
    server,
};
use fundbond_service_runtime::healthcheck;

fn main() -> ExitCode {
    let options: GatewayOptions = healthcheck::parse(Role::Gateway.program());
    server::main(options.common.into_config(Role::Gateway, options.port, One::default()), &options.log)
}
