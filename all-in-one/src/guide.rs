//! What a person is told: where things are, and what to try next. Pure.

use std::fmt::Write as _;

use fundbond_cli::args::DEFAULT_SERVER;
use fundbond_protocol::headers;

use fundbond_service_runtime::cors::Origins;

use crate::{Shown, system::Cluster};

/// Where everything listens, in one line a cluster.
pub(crate) fn started(shown: &Shown) -> String {
    let mut text = format!("Fundbond serves on {}", shown.gateway);
    for cluster in &shown.clusters {
        let pods: Vec<String> = cluster.pods.iter().map(|pod| pod.address.to_string()).collect();
        let _ = write!(text, "\n  {}: proxy {}, pods {}", cluster.id, cluster.proxy.address, pods.join(" "));
    }
    if shown.origins == Origins::Any {
        text.push_str("\n  Web pages of any origin may call it; --cors-origins names those that may.");
    }
    text
}

/// How `fundctl` is called to reach this system.
pub(crate) fn fundctl(shown: &Shown) -> String {
    let mut program = "fundctl".to_owned();
    if shown.gateway.as_str() != DEFAULT_SERVER {
        let _ = write!(program, " --server {}", shown.gateway);
    }
    if let Some(cluster) = shown.clusters.first() {
        let _ = write!(program, " --cluster {}", cluster.id);
    }
    program
}

/// Commands that work as they stand. `cargo test` runs them.
pub(crate) fn next_steps(shown: &Shown) -> String {
    let fundctl = fundctl(shown);
    let (gateway, admin) = (&shown.gateway, &shown.gateway_admin);
    let route = |cluster: &Cluster| format!("-H '{}: {}'", headers::X_CLUSTER_ROUTE_DISPLAY, cluster.id);
    let mut text = "What to try next:\n".to_owned();
    if let Some(cluster) = shown.clusters.first() {
        let route = route(cluster);
        let _ = write!(
            text,
            "
  Start a task that counts, and read its stream:
    curl -sS {route} --json '{{\"correlationId\":\"desk1-fund-1\",\"kind\":\"steps\",\"count\":5,\"delayMs\":300}}' {gateway}/api/fund-api
    curl -sSN {route} {gateway}/api/fund-events/desk1

  Ask for its state, and for every task of the cluster:
    curl -sS {route} {gateway}/api/tasks/desk1-fund-1
    curl -sS '{gateway}/api/tasks?cluster={}'
",
            cluster.id
        );
    }
    let _ = write!(
        text,
        "
  The same, and a fund, with the command line client:
    {fundctl} task start examples/fund.json --watch
    {fundctl} task list

  See where the gateway sends what, and what it counts:
    curl -sS {admin}/routes
    curl -sS {admin}/metrics

Ctrl-C drains and stops."
    );
    text
}
