//! Flags and variables of the programs that serve.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};
use fundbond::Options;
use fundbond_gateway::config::{ClusterProxyOptions, GatewayOptions};
use fundbond_pod_service::Program;
use fundbond_service_runtime::healthcheck;

use super::{commands, title};

const SAYS: &str = "\
A flag wins over its variable, the variable over the default. A configuration that is not valid is one line on standard \
error and exit code 64. `fundctl` has a page of its own: [cli.md](cli.md).";

pub(super) fn page() -> String {
    let mut page = title("Configuration", SAYS);
    for command in [
        healthcheck::command::<GatewayOptions>(),
        healthcheck::command::<ClusterProxyOptions>(),
        healthcheck::command::<Program>(),
        healthcheck::command::<fundbond_operator::Program>(),
        Options::command(),
    ] {
        program(command, &mut page);
    }
    page
}

fn program(mut command: Command, page: &mut String) {
    command.build();
    let _ = write!(page, "## {}\n\n{}\n\n", command.get_name(), commands::about(&command));
    let own: Vec<_> = command.get_arguments().filter(|arg| commands::is_shown(arg)).collect();
    page.push_str(&commands::arguments(&own));
    page.push('\n');
    for sub in command.get_subcommands() {
        let _ = write!(page, "`{} {}`: {}\n\n", command.get_name(), sub.get_name(), commands::about(sub));
    }
}
