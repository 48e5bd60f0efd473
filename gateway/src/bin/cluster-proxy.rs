//! Picks the pod: see the library for everything.

use std::process::ExitCode;

use fundbond_gateway::{Role, config::ClusterProxyOptions, server};
use fundbond_service_runtime::healthcheck;

fn main() -> ExitCode {
    let options: ClusterProxyOptions = healthcheck::parse(Role::ClusterProxy.program());
    server::main(options.common.into_config(Role::ClusterProxy, options.port, options.one), &options.log)
}
