//! Every object that a FundCluster becomes, as a function of its spec and of nothing else.
//!
//! Flow: [`children`] asks one module for each kind -> a list of [`Child`], in the order in which they are applied: what
//! others name comes before them, and what runs comes last. It cannot fail: what the API server took has an answer.
//!
//! The operator applies what is here, `fundctl render` prints it and `fundctl diff` compares it. Nothing here reads a
//! clock, draws a number or speaks to anybody: twice the same spec is twice the same text.

mod account;
mod child;
mod disruption;
mod exposure;
mod foreign;
mod meta;
mod monitoring;
mod names;
mod network;
mod pods;
mod probes;
mod proxy;
mod route;
mod scaling;
mod service;
mod settings;
mod site;
mod workload;

use fundbond_crds::FundCluster;

pub use child::Child;
pub use foreign::{HTTPRoute, PrometheusRule, ServiceMonitor};
pub use names::{cluster_id, proxy_service};
pub use site::{RUNBOOKS, Site};

use crate::names::Names;

/// The port of pods for requests.
pub const POD_PORT: i32 = 9090;
/// The port of a cluster's proxy for requests.
pub const PROXY_PORT: i32 = 8080;
/// What a process's admin port is above its own.
pub const ADMIN_OFFSET: i32 = 10_000;

/// The objects of `cluster`, in the order in which they are applied. `route_generation` is that of its GatewayRoute, which
/// its writer counts.
pub fn children(cluster: &FundCluster, site: &Site, route_generation: i64) -> Vec<Child> {
    let names = Names::of(cluster);
    let groups = pods::groups(cluster);
    let settings = settings::config_map(cluster, &names);
    let mut children = account::of(cluster, &names);
    children.push(Child::ConfigMap(settings.clone()));
    children.push(Child::ConfigMap(settings::live_map(cluster, &names)));
    children.extend(service::of(cluster, &names, &groups));
    if cluster.spec.network_policy.enabled {
        children.extend(network::of(cluster, &names));
    }
    children.extend(disruption::of(cluster, &names));
    for group in &groups {
        children.push(Child::Deployment(pods::deployment(cluster, site, &names, group, &settings)));
    }
    children.push(Child::Deployment(proxy::deployment(cluster, site, &names)));
    for group in &groups {
        children.extend(scaling::of(cluster, &names, group).map(Child::HorizontalPodAutoscaler));
    }
    children.extend(monitoring::monitor(cluster, &names).map(Child::ServiceMonitor));
    children.extend(monitoring::rules(cluster, site, &names).map(Child::PrometheusRule));
    // What brings traffic comes last.
    children.extend(exposure::of(cluster, &names).map(Child::HTTPRoute));
    children.push(Child::GatewayRoute(route::of(cluster, &names, &groups, route_generation)));
    children
}

/// Labels that all pods of `cluster` have, and no other: written as people and autoscalers select.
pub fn pod_selector(cluster: &FundCluster) -> String {
    let labels = meta::selecting(&Names::of(cluster), meta::Component::Pods, None);
    let parts: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parts.join(",")
}
